// A replica and its own writes: written here, sent to the source, answered.
#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "format/json.h"
#include "replication/internal/replica_impl.h"

namespace tidemark {

Result<LocalWriteResult> Replica::Impl::Write(const WriteBatch& batch,
                                              const LocalWriteOptions& options) {
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard lock(mutex_);
  return outbox_.Write(batch, options);
}

Status Replica::Impl::RetryOperations(const std::vector<uint64_t>& numbers) {
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard lock(mutex_);
  return outbox_.Retry(numbers);
}

Status Replica::Impl::DropOperations(const std::vector<uint64_t>& numbers) {
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard lock(mutex_);
  return outbox_.Drop(numbers);
}

Result<uint64_t> Replica::Impl::DropRecord(const std::string& entity, const RecordId& id) {
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard lock(mutex_);
  return outbox_.DropRecord(entity, id);
}

Status Replica::Impl::ReplaceId(const IdReplacement& what) {
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard lock(mutex_);
  return outbox_.ReplaceId(what);
}

OutboxStatus Replica::Impl::Outbox() const {
  const std::lock_guard lock(mutex_);
  const internal::OutboxState& state = outbox_.state();
  return {.pending = state.pending,
          .failed = state.failed,
          .sent = state.sent,
          .records = state.records};
}

Result<PushTotals> Replica::Impl::Push(Transport& transport,
                                       const std::function<void(const PushTotals&)>& progress) {
  const std::lock_guard pushing(push_mutex_);
  // What failed before and is no longer pending was dropped: nothing of it is left to be sent.
  std::set<std::string> entities = internal::UnsyncedEntities(*tracker, kPushMember);
  entities.merge(PendingEntities());
  internal::TrackedTransfer tracked(*tracker, kPushMember, entities);
  Result<PushTotals> totals = PushTracked(transport, progress, &tracked);
  tracked.End(totals.status());
  return totals;
}

/// For the tables only: what cannot be read is told by the push itself.
std::set<std::string> Replica::Impl::PendingEntities() const {
  std::set<std::string> entities;
  if (Outbox().pending == 0) return entities;
  RecordIterator rows = store->GetView().Scan(kOutboxEntity, ScanOptions{});
  while (rows.Next()) {
    const auto fields = ReadJsonFields(rows.value(), {"entity", "state"});
    if (!fields.ok() || !fields->at(0) || !fields->at(1)) continue;
    if (fields->at(1)->text == "pending") entities.insert(fields->at(0)->text);
  }
  return entities;
}

Result<PushTotals> Replica::Impl::PushTracked(
    Transport& transport,
    const std::function<void(const PushTotals&)>& progress,
    internal::TrackedTransfer* tracked) {
  PushTotals totals;
  const internal::DeliverAfter deliver(changes);
  std::unique_lock lock(mutex_);
  // What has to wait for something is queued again behind it, and comes with the next push.
  const uint64_t last = outbox_.state().next_number - 1;
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto batch, outbox_.NextPush(device_id, {.last = last}));
    if (!batch.has_value()) return totals;
    lock.unlock();
    changes.Deliver();
    TIDEMARK_ASSIGN_OR_RETURN(const PushResult result, SendPush(transport, batch->bytes));
    tracked->NotePush(batch->bytes, result);
    lock.lock();
    const uint64_t pending = outbox_.state().pending;
    const uint64_t next = outbox_.state().next_number;
    TIDEMARK_RETURN_IF_ERROR(outbox_.TakeAnswers(result.answers, &totals));
    ++totals.pushes;
    totals.bytes += batch->bytes.size();
    if (outbox_.state().pending == pending && outbox_.state().next_number == next) {
      return {ErrorCode::kUnavailable, "the source answered none of the operations"};
    }
    if (progress) progress(totals);
  }
}

Status Replica::Impl::Sync(Transport& transport,
                           const std::function<void(const PullProgress&)>& progress,
                           SyncResult* result) {
  PushTotals before = result->push;
  const auto add = [&](const PushTotals& sofar) {
    result->push = before;
    for (size_t i = 0; i < sofar.counts.size(); ++i) result->push.counts[i] += sofar.counts[i];
    result->push.pushes += sofar.pushes;
    result->push.bytes += sofar.bytes;
  };
  TIDEMARK_RETURN_IF_ERROR(Push(transport, add).status());
  TIDEMARK_ASSIGN_OR_RETURN(result->pull, Pull(transport, progress));
  return {};
}

void Replica::Impl::Wait(std::chrono::milliseconds longest) const {
  std::array<uint8_t, 1> byte{};
  store->runtime().random().Fill(byte);
  const int64_t share = 128 + byte[0] % 128;  // of 256
  std::this_thread::sleep_for(longest * share / 256);
}

Result<PushResult> Replica::Impl::SendPush(Transport& transport, const std::string& batch) {
  Result<PushResult> result = transport.Push(batch);
  if (result.status().code() == ErrorCode::kIdempotencyMismatch) {
    TIDEMARK_RETURN_IF_ERROR(RenewIncarnation());
    return {ErrorCode::kUnavailable,
            "this replica is an older copy of itself, as its source knows it; it goes on as a new "
            "one: sync again"};
  }
  if (result.ok() && result->id != PushId(batch)) {
    return {ErrorCode::kUnavailable, "the answer is one to another push"};
  }
  return result;
}

Status Replica::Impl::RenewIncarnation() {
  const std::lock_guard lock(mutex_);
  ReplicaState next = state_;
  std::array<uint8_t, 16> incarnation{};
  store->runtime().random().Fill(incarnation);
  next.incarnation.assign(incarnation.begin(), incarnation.end());
  return Save(std::move(next));
}

}  // namespace tidemark
