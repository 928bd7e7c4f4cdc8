#include "db/internal/committer.h"

#include "db/internal/writing_stopped.h"
#include "db/tuning.h"
#include "format/record.h"

namespace tidemark::internal {
namespace {

/// What can be told from the batch alone, before it queues.
Status CheckBatch(const WriteBatch& batch, bool local) {
  TIDEMARK_RETURN_IF_ERROR(batch.status());
  std::string_view checked_name;
  for (size_t i = 0; i < batch.size(); ++i) {
    const WriteOperation operation = batch.operation(i);
    Status bad;
    if (operation.entity != checked_name) {
      bad = local && IsLocalName(operation.entity) ? CheckLocalName(operation.entity)
                                                   : CheckName(operation.entity);
    }
    if (bad.ok() && !(operation.op == WriteOp::kAppend && operation.id.empty())) {
      bad = CheckRecordId(operation.id);
    }
    if (!bad.ok()) return bad.WithContext("operation " + std::to_string(i));
    checked_name = operation.entity;
  }
  return {};
}

}  // namespace

Result<CommitResult> Committer::Commit(const WriteBatch& batch,
                                       const CommitOptions& options,
                                       const std::vector<JoinedRow>& joined) {
  if (state_.options.read_only) {
    return {ErrorCode::kReadOnly, "the store was opened read-only"};
  }
  TIDEMARK_RETURN_IF_ERROR(CheckBatch(batch, options.local));
  Waiter self{.batch = &batch, .options = &options, .joined = &joined, .turn = {}};
  std::unique_lock lock(mutex_);
  queue_.push_back(&self);
  self.turn.wait(lock, [&] { return self.done || queue_.front() == &self; });
  if (self.done) return std::move(self.result);

  lock.unlock();
  const std::lock_guard commit_lock(state_.commit_mutex);  // later writers queue up meanwhile
  lock.lock();
  const std::deque<Waiter*> group = TakeGroup();
  lock.unlock();
  RunGroup(group);
  lock.lock();
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(group.size()));
  for (Waiter* waiter : group) {
    waiter->done = true;
    if (waiter != &self) waiter->turn.notify_one();
  }
  if (!queue_.empty()) queue_.front()->turn.notify_one();
  return std::move(self.result);
}

std::deque<Committer::Waiter*> Committer::TakeGroup() {
  std::deque<Waiter*> group;
  size_t operations = 0;
  size_t bytes = 0;
  bool has_changes = false;
  for (Waiter* waiter : queue_) {
    operations += waiter->batch->size();
    bytes += waiter->batch->payload_bytes();
    for (const JoinedRow& row : *waiter->joined) {
      bytes += row.value.has_value() ? row.value->size() : 0;
    }
    if (!group.empty() && (operations > tuning::kGroupOperations || bytes > tuning::kGroupBytes)) {
      break;
    }
    // A pin shows what is committed before its batch, so changes may not stand before it.
    if (waiter->options->pin_cut && has_changes) break;
    // NOLINTNEXTLINE(readability-container-size-empty): rows alone are no changes
    has_changes = has_changes || waiter->batch->size() > 0;
    group.push_back(waiter);
  }
  return group;
}

void Committer::RunGroup(const std::deque<Waiter*>& group) {
  if (!state_.write_error.ok()) {
    for (Waiter* waiter : group) {
      waiter->result = WritingStopped(state_.write_error);
    }
    return;
  }
  CommitGroup commit(state_);
  bool sync = false;
  for (Waiter* waiter : group) {
    waiter->result = commit.Add(*waiter->batch, *waiter->options);
    if (!waiter->result.ok()) continue;
    sync = sync || waiter->options->sync;
    if (!waiter->joined->empty()) commit.Join(*waiter->joined);
  }
  if (commit.empty()) {
    // Nothing to write, but what a caller builds on may not be durable yet.
    if (!sync || !state_.syncing() || state_.synced_commit >= state_.head.commit) return;
  }
  const Status written = commit.Write(sync);
  if (written.ok()) {
    commit.Publish();
    return;
  }
  for (Waiter* waiter : group) {
    if (waiter->result.ok()) waiter->result = written;
  }
}

}  // namespace tidemark::internal
