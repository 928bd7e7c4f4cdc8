// A replica and the pages of its source: sessions, applying, resets, pulls.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "replication/internal/replica_impl.h"

namespace tidemark {
namespace {

constexpr int kPullAttempts = 3;
constexpr size_t kSweepBatch = 1000;

/// What the source says goes, for events too.
CommitOptions Repeat(bool sync = true) {
  return {.sync = sync, .rewrite_events = true};
}

void CountOwn(const BatchRow& row, bool changed, ApplyResult* result) {
  if (!changed) {
    ++result->unchanged;
  } else if (row.op == RowOp::kDelete) {
    ++result->deleted;
  } else {
    ++(row.op == RowOp::kUpdated ? result->updated : result->created);
  }
}

/// What a row of a page does to what applications see, if anything.
void NoteRow(std::string_view entity,
             const BatchRow& row,
             const std::optional<Record>& current,
             std::vector<ReplicaChange>* changed) {
  const bool deleted = row.op == RowOp::kDelete;
  const bool same = deleted ? !current.has_value()
                            : current.has_value() && current->value == row.value &&
                                  current->value_kind == row.value_kind;
  if (same) return;
  changed->push_back({.entity = std::string(entity),
                      .id = RecordId(row.id, row.id_form),
                      .kind = deleted               ? ChangeKind::kDeleted
                              : current.has_value() ? ChangeKind::kUpdated
                                                    : ChangeKind::kCreated,
                      .origin = ChangeOrigin::kRemote});
}

}  // namespace

Status Replica::Impl::Load() {
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, store->GetRow(kReplicaStateKey));
  if (row.has_value()) {
    TIDEMARK_ASSIGN_OR_RETURN(state_, DecodeReplicaState(*row));
    if (!device_id.empty() && state_.device != device_id) {
      return {ErrorCode::kWrongDevice, "this replica belongs to device " + state_.device};
    }
    device_id = state_.device;
    TIDEMARK_RETURN_IF_ERROR(outbox_.Load());
    return store->BecomeReplica();  // one that an older version made does not say so yet
  }
  if (device_id.empty()) {
    return {ErrorCode::kNotFound,
            store->directory().string() + " is no replica yet; name the device that it is to be"};
  }
  for (const EntityInfo& entity : store->ListEntities(/*dropped=*/true)) {
    if (entity.record_count == 0 && entity.tombstone_count == 0) continue;
    return {ErrorCode::kConflict,
            store->directory().string() + " is no replica and holds records of its own, of " +
                entity.name + ", which a pull would mix up or drop; give an empty folder"};
  }
  TIDEMARK_RETURN_IF_ERROR(store->BecomeReplica());
  ReplicaState made;
  made.device = device_id;
  std::array<uint8_t, 16> incarnation{};
  store->runtime().random().Fill(incarnation);
  made.incarnation.assign(incarnation.begin(), incarnation.end());
  return Save(std::move(made));
}

Status Replica::Impl::Save(ReplicaState next) {
  WriteBatch batch;
  batch.SetRow(kReplicaStateKey, EncodeReplicaState(next));
  TIDEMARK_RETURN_IF_ERROR(store->Commit(batch).status());
  state_ = std::move(next);
  return {};
}

Hello Replica::Impl::MakeHello() const {
  const std::lock_guard lock(mutex_);
  return {.device = device_id,
          .position = state_.position,
          .incarnation = state_.incarnation,
          .fresh = state_.position.empty() && outbox_.state().sent_through == 0,
          .sent_through = outbox_.state().sent_through,
          .answered_through = outbox_.state().answered_through};
}

Status Replica::Impl::BeginSession(const SessionInfo& session) {
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard lock(mutex_);
  return Begin(session, state_.incarnation, /*bundle=*/{});
}

Status Replica::Impl::Begin(const SessionInfo& session,
                            const std::string& incarnation,
                            const std::string& bundle) {
  // Histories that branched from one backup may number their sessions alike.
  const bool other_history =
      !session.epoch.empty() && !state_.epoch.empty() && session.epoch != state_.epoch;
  if (session.number < state_.session && !other_history) {
    return {ErrorCode::kStalePage, "a newer session of this device was begun here"};
  }
  // A session that is no reset follows only one that settled: everything listed has arrived.
  if (!session.reset) TIDEMARK_RETURN_IF_ERROR(Sweep().status());
  if (session.number == state_.session && !other_history) return {};
  ReplicaState next = state_;
  next.epoch = session.epoch;
  next.session = session.number;
  next.page = 0;
  next.incarnation = incarnation;
  next.bundle = bundle;
  if (session.reset) {
    next.sweep_through = store->last_sequence();
    next.reset_cut = session.cut;
  }
  TIDEMARK_RETURN_IF_ERROR(Save(std::move(next)));
  return outbox_.ForgetFences();
}

Status Replica::Impl::CheckPage(const BatchHeader& header) const {
  if (header.device != device_id) {
    return {ErrorCode::kWrongDevice, "the page is for device " + header.device};
  }
  if (!state_.source.empty() && header.store != state_.source) {
    return {ErrorCode::kWrongDevice, "the page is from another store than the earlier ones"};
  }
  if (!state_.epoch.empty() && header.epoch != state_.epoch) {
    return {ErrorCode::kWrongEpoch, "the page belongs to another history of its store"};
  }
  if (header.session != state_.session) {
    return {ErrorCode::kStalePage,
            "the page belongs to session " + std::to_string(header.session) +
                ", the replica is in session " + std::to_string(state_.session)};
  }
  return {};
}

Result<ApplyResult> Replica::Impl::Apply(std::string_view page) {
  TIDEMARK_ASSIGN_OR_RETURN(const BatchView rows, BatchView::Parse(page, BatchKind::kPage));
  const BatchHeader header = rows.header();
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard lock(mutex_);
  TIDEMARK_RETURN_IF_ERROR(CheckPage(header));
  return ApplyRows(rows, header);
}

/// Entities are of the kind that they have at the source. Declared before the page is applied, and
/// again after a crash: a kind says which writes fit, not what is held.
Status Replica::Impl::FollowKinds(const BatchView& rows) const {
  for (size_t i = 0; i < rows.entity_count(); ++i) {
    const auto index = static_cast<uint16_t>(i);
    const std::optional<EntityKind> kind = rows.entity_kind(index);
    if (!kind.has_value()) continue;  // of an older source: snapshots, unless known better
    const auto known = store->FindEntity(rows.entity_name(index));
    if (known.has_value() && known->declaration.kind == *kind) continue;
    TIDEMARK_RETURN_IF_ERROR(store->FollowKind(rows.entity_name(index), *kind));
  }
  return {};
}

Result<ApplyResult> Replica::Impl::ApplyRows(const BatchView& rows,
                                             const BatchHeader& header,
                                             bool keeps_token) {
  TIDEMARK_RETURN_IF_ERROR(FollowKinds(rows));
  ApplyResult result;
  WriteBatch batch;
  std::vector<ReplicaChange> seen;
  for (size_t i = 0; i < rows.size(); ++i) {
    const BatchRow row = rows.row(i);
    const std::string_view entity = rows.entity_name(row.entity);
    const RecordId id(row.id, row.id_form);
    bool changed = false;
    TIDEMARK_ASSIGN_OR_RETURN(const bool own,
                              outbox_.TakeRow(rows, row, header.reset, &batch, &changed));
    if (own) {
      CountOwn(row, changed, &result);
      continue;
    }
    TIDEMARK_ASSIGN_OR_RETURN(const auto current, store->Get(entity, id));
    const bool newer_here = current.has_value() && current->origin.has_value() &&
                            current->origin->head > row.sequence && !header.reset;
    if (!newer_here && changes.any()) NoteRow(entity, row, current, &seen);
    if (newer_here) {
      ++result.unchanged;
    } else if (row.op == RowOp::kDelete) {
      ++(current.has_value() ? result.deleted : result.unchanged);
      batch.Delete(entity, id);
    } else {
      const bool repeated = current.has_value() &&
                            current->origin == OriginVersion{row.birth, row.sequence} &&
                            current->value == row.value;
      ++(repeated ? result.unchanged : row.op == RowOp::kUpdated ? result.updated : result.created);
      batch.Put(entity,
                id,
                row.value,
                row.value_kind,
                WriteCondition{.renew = header.reset},
                OriginVersion{row.birth, row.sequence});
    }
  }
  ReplicaState next = state_;
  next.source = header.store;
  if (header.page > next.page) {  // else a repetition, or workers overtook each other
    next.page = header.page;
    next.position = header.token;
  }
  batch.SetRow(kReplicaStateKey, EncodeReplicaState(next));
  if (keeps_token) batch.SetRow(CarriedKeyRow(header.session, header.page), header.token);
  TIDEMARK_RETURN_IF_ERROR(store->Commit(batch, Repeat()).status());
  state_ = std::move(next);
  changes.Note(std::move(seen));
  result.token = header.token;
  return result;
}

/// Ends a reset: what was not written again since it began was not listed.
Result<uint64_t> Replica::Impl::Sweep() {
  uint64_t dropped = 0;
  if (!state_.sweep_through.has_value()) return dropped;
  TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store->PinCut());
  std::vector<LogRange> ranges;
  for (const EntityNumber entity : store->EntityNumbers()) {
    ranges.push_back({.entity = entity, .tombstones = false});
  }
  LogCursor cursor = store->ReadLog(cut, ranges);
  WriteBatch batch;
  std::vector<ReplicaChange> changed;
  while (cursor.Next() && cursor.entry().head <= *state_.sweep_through) {
    const LogEntry& entry = cursor.entry();
    const auto info = store->FindEntity(entry.entity);
    if (!info.has_value()) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const bool pending, outbox_.IsPending(info->name, entry.id));
    if (pending) continue;
    const RecordId id(entry.id, entry.id_form);
    batch.Delete(info->name, id);
    if (changes.any()) {
      changed.push_back({.entity = info->name,
                         .id = id,
                         .kind = ChangeKind::kDeleted,
                         .origin = ChangeOrigin::kRemote});
    }
    ++dropped;
    if (batch.size() < kSweepBatch) continue;
    TIDEMARK_RETURN_IF_ERROR(store->Commit(batch, Repeat(/*sync=*/false)).status());
    changes.Note(std::exchange(changed, {}));
    batch.Clear();
  }
  TIDEMARK_RETURN_IF_ERROR(cursor.status());
  TIDEMARK_RETURN_IF_ERROR(outbox_.FinishReset());
  ReplicaState next = state_;
  next.sweep_through.reset();
  batch.SetRow(kReplicaStateKey, EncodeReplicaState(next));
  TIDEMARK_RETURN_IF_ERROR(store->Commit(batch, Repeat()).status());
  changes.Note(std::move(changed));
  state_ = std::move(next);
  return dropped;
}

// Without a session there are no pages that could be on their way.
Status Replica::Impl::ForgetFences() {
  const std::lock_guard lock(mutex_);
  return outbox_.ForgetFences();
}

Result<uint64_t> Replica::Impl::FinishSession() {
  const internal::DeliverAfter deliver(changes);
  const std::lock_guard lock(mutex_);
  return Sweep();
}

Status Replica::Impl::Drain(const SessionInfo& session, Pulling* pull) {
  pull->sofar = {.owed = session.owed};
  uint64_t rest = session.owed;
  for (const QueueInfo& queue : session.queues) {
    rest -= std::min(rest, queue.owed);
    pull->sofar.queue_owed = queue.owed;
    TIDEMARK_RETURN_IF_ERROR(DrainQueue(session, queue.name, pull));
  }
  pull->sofar.queue_owed = rest;
  TIDEMARK_RETURN_IF_ERROR(DrainQueue(session, kMainQueue, pull));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t dropped, FinishSession());
  pull->result->deleted += dropped;
  return Acknowledge(pull);
}

Status Replica::Impl::DrainQueue(const SessionInfo& session,
                                 std::string_view queue,
                                 Pulling* pull) {
  PageOptions options = options_.page;
  options.queue = queue;
  pull->sofar.queue = queue;
  pull->sofar.queue_records = 0;
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto page, pull->transport.Next(session.id, options));
    if (!page.has_value()) return {};
    TIDEMARK_RETURN_IF_ERROR(Take(*page, pull));
  }
}

Status Replica::Impl::Take(const Page& page, Pulling* pull) {
  TIDEMARK_ASSIGN_OR_RETURN(const ApplyResult applied, Apply(page.bytes));
  pull->tracked->NotePage(page.bytes);
  pull->tokens.push_back(applied.token);
  if (pull->tokens.size() >= options_.pages_per_ack) TIDEMARK_RETURN_IF_ERROR(Acknowledge(pull));
  PullResult& result = *pull->result;
  result.pages += 1;
  result.bytes += page.bytes.size();
  result.created += applied.created;
  result.updated += applied.updated;
  result.deleted += applied.deleted;
  result.unchanged += applied.unchanged;
  PullProgress& sofar = pull->sofar;
  sofar.pages = result.pages;
  sofar.bytes = result.bytes;
  sofar.records += page.records;
  sofar.queue_records += page.records;
  if (pull->progress) pull->progress(sofar);
  return {};
}

Status Replica::Impl::Acknowledge(Pulling* pull) const {
  if (pull->tokens.empty()) return {};
  TIDEMARK_RETURN_IF_ERROR(pull->transport.Acknowledge(device_id, pull->tokens).status());
  pull->tokens.clear();
  return {};
}

Result<PullResult> Replica::Impl::Pull(Transport& transport,
                                       const std::function<void(const PullProgress&)>& progress) {
  const std::lock_guard pulling(pull_mutex_);
  std::set<std::string> entities;
  for (const EntityInfo& entity : store->ListEntities()) entities.insert(entity.name);
  internal::TrackedTransfer tracked(*tracker, kPullMember, entities);
  Result<PullResult> result = PullTracked(transport, progress, &tracked);
  tracked.End(result.status());
  return result;
}

Result<PullResult> Replica::Impl::PullTracked(
    Transport& transport,
    const std::function<void(const PullProgress&)>& progress,
    internal::TrackedTransfer* tracked) {
  PullResult result;
  TIDEMARK_RETURN_IF_ERROR(AcknowledgeCarried(transport));
  for (int attempt = 1;; ++attempt) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto session, transport.Start(MakeHello()));
    if (!session.has_value()) {
      TIDEMARK_RETURN_IF_ERROR(ForgetFences());
      TIDEMARK_ASSIGN_OR_RETURN(const uint64_t dropped, FinishSession());
      result.deleted += dropped;
      result.nothing_owed = result.pages == 0;
      return result;
    }
    result.reset = result.reset || session->reset;
    result.gaps.insert(result.gaps.end(), session->gaps.begin(), session->gaps.end());
    TIDEMARK_RETURN_IF_ERROR(BeginSession(*session));
    Pulling pull{
        .transport = transport, .progress = progress, .tracked = tracked, .result = &result};
    const Status drained = Drain(*session, &pull);
    if (drained.ok()) return result;
    // An expired session costs a new one; its pages are not repeated once acknowledged.
    if (drained.code() != ErrorCode::kSessionExpired || attempt == kPullAttempts) return drained;
  }
}

}  // namespace tidemark
