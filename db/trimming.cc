// What a store forgets: trimmed events, tombstones, entities that were dropped, old positions.
#include <algorithm>

#include "db/internal/commit_group.h"
#include "db/internal/fold.h"
#include "db/internal/part_index.h"
#include "db/internal/rocks_status.h"
#include "db/internal/store_impl.h"
#include "db/internal/writing_stopped.h"
#include "db/store.h"
#include "format/coding.h"

namespace tidemark {

using internal::CommitGroup;
using internal::EntityPtr;
using internal::EntityState;
using internal::JoinedRow;
using internal::StoreState;

namespace {

/// Position rows that one commit deletes.
constexpr size_t kPositionsAtATime = 10'000;

Status CheckWritable(const StoreState& state) {
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  return {};
}

/// Requires commit_mutex.
Status CheckWriting(const StoreState& state) {
  if (!state.write_error.ok()) return internal::WritingStopped(state.write_error);
  return {};
}

/// The sequence number of the last row in the log of `entity`; zero when there is none.
Result<SequenceNumber> LastLogRow(const StoreState& state, const EntityState& entity) {
  const std::unique_ptr<rocksdb::Iterator> segments(
      state.db->NewIterator(rocksdb::ReadOptions(), entity.log.get()));
  segments->SeekToLast();
  if (!segments->Valid()) {
    TIDEMARK_RETURN_IF_ERROR(
        internal::FromRocks(segments->status(), "reading the log of " + entity.name));
    return kSequenceZero;
  }
  const auto segment = BatchView::Parse(
      {segments->value().data(), segments->value().size()}, BatchKind::kSegment, Trust::kChecked);
  if (!segment.ok()) return segment.status();
  return segment->size() == 0 ? kSequenceZero : segment->sequence(segment->size() - 1);
}

/// True if no device, no open cut and no follower is owed anything of a dropped entity.
Result<bool> IsForgettable(const StoreState& state, const EntityState& entity) {
  if (!entity.dropped) return false;
  SequenceNumber shown;  // followers are shown what is above it
  {
    const std::shared_lock lock(state.state_mutex);
    const auto* sets = state.liveness.Find(entity.number);
    if (sets != nullptr &&
        !(sets->live.empty() && sets->tombstones.empty() && sets->died.empty())) {
      return false;
    }
    shown = state.trimmed_through;
  }
  TIDEMARK_ASSIGN_OR_RETURN(const SequenceNumber last, LastLogRow(state, entity));
  return last <= shown;
}

/// The rows that an entity leaves behind in the store's own families.
Status CollectRows(const StoreState& state, EntityNumber entity, std::vector<JoinedRow>* rows) {
  rows->push_back({state.rows.get(), internal::row_key::Entity(entity), std::nullopt});
  const std::unique_ptr<rocksdb::Iterator> chunks(
      state.db->NewIterator(rocksdb::ReadOptions(), state.folds.get()));
  const std::string prefix = internal::fold_key::EntityPrefix(entity);
  for (chunks->Seek(prefix); chunks->Valid() && chunks->key().starts_with(prefix); chunks->Next()) {
    rows->push_back({state.folds.get(), chunks->key().ToString(), std::nullopt});
  }
  TIDEMARK_RETURN_IF_ERROR(internal::FromRocks(chunks->status(), "reading liveness"));
  const std::unique_ptr<rocksdb::Iterator> times(
      state.db->NewIterator(rocksdb::ReadOptions(), state.rows.get()));
  const std::string of_entity = internal::row_key::WriterTime(entity, {});
  for (times->Seek(of_entity); times->Valid() && times->key().starts_with(of_entity);
       times->Next()) {
    rows->push_back({state.rows.get(), times->key().ToString(), std::nullopt});
  }
  return internal::FromRocks(times->status(), "reading writers' times");
}

/// Requires fold_mutex and commit_mutex.
Status Forget(StoreState& state, const EntityState& entity) {
  std::vector<JoinedRow> rows;
  TIDEMARK_RETURN_IF_ERROR(CollectRows(state, entity.number, &rows));
  CommitGroup group(state);
  group.Join(rows);
  std::string next;
  AppendVarint(&next, state.GetCatalog()->next_number());
  group.SetRow(internal::row_key::kNextEntity, std::move(next));  // numbers are never used again
  group.OnPublish([number = entity.number](StoreState& published) {
    published.catalog = published.catalog->Without(number);
    published.liveness.Erase(number);
    published.dead_rows.erase(number);
    published.small_segments.erase(number);
  });
  TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/true));
  group.Publish();
  // What cannot be dropped now is dropped at the next open. Open views keep reading their handles.
  state.db->DropColumnFamily(entity.log.get()).PermitUncheckedError();
  state.db->DropColumnFamily(entity.index.get()).PermitUncheckedError();
  return {};
}

}  // namespace

Result<uint64_t> Store::Trim(std::string_view name, SequenceNumber through, const TrimJoin& join) {
  StoreState& state = impl_->state;
  TIDEMARK_RETURN_IF_ERROR(CheckWritable(state));
  const std::lock_guard lock(state.commit_mutex);
  TIDEMARK_RETURN_IF_ERROR(CheckWriting(state));
  const EntityPtr existing = state.GetCatalog()->Find(name);
  if (existing == nullptr) {
    return {ErrorCode::kNotFound, "there is no entity " + std::string(name)};
  }
  if (existing->declaration.kind != EntityKind::kIncremental) {
    return {ErrorCode::kWrongKind, std::string(name) + " is a snapshot; only events are trimmed"};
  }
  EntityState entity = *existing;
  through = std::min(through, state.head.sequence);
  if (through <= entity.trimmed_through) return uint64_t{0};
  SequenceSet live;
  {
    const std::shared_lock state_lock(state.state_mutex);
    if (const auto* sets = state.liveness.Find(entity.number)) live = sets->live;
  }
  const uint64_t trimmed = live.CountRange({kSequenceZero, through.Next()});
  entity.trimmed_through = through;
  entity.trimmed_count += trimmed;
  const EntityNumber number = entity.number;
  WriteBatch rows;
  if (join && trimmed > 0) {
    join({.entity = number, .live = live, .through = through}, &rows);
  }
  CommitGroup group(state);  // the mark is durable before anything is forgotten
  group.SetEntity(std::move(entity));
  TIDEMARK_RETURN_IF_ERROR(group.Add(rows, CommitOptions()).status());
  group.OnPublish([number, through, trimmed](StoreState& published) {
    published.liveness.Trim(number, through);
    published.dead_rows[number] += trimmed;
  });
  TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/true));
  group.Publish();
  return trimmed;
}

Status Store::PurgeTombstones(EntityNumber entity, const std::vector<SequenceNumber>& heads) {
  StoreState& state = impl_->state;
  // Written down by the next fold, at the latest at close. After a crash the tombstones are back,
  // and the next pass purges them again.
  const std::unique_lock lock(state.state_mutex);
  for (const SequenceNumber head : heads) state.liveness.ForgetTombstone(entity, head);
  state.dead_rows[entity] += heads.size();
  state.forgotten += heads.size();
  if (state.forgotten < state.options.window_records) return {};
  state.fold_wanted = true;
  if (state.wake_upkeep) state.wake_upkeep();
  return {};
}

Result<uint64_t> Store::RemoveDropped() {
  StoreState& state = impl_->state;
  TIDEMARK_RETURN_IF_ERROR(CheckWritable(state));
  const auto any_dropped = [](const internal::Catalog& catalog) {
    return std::any_of(catalog.all().begin(), catalog.all().end(), [](const auto& numbered) {
      return numbered.second->dropped;
    });
  };
  uint64_t removed = 0;
  if (!any_dropped(*state.GetCatalog())) return removed;
  const std::lock_guard fold_lock(state.fold_mutex);
  const std::lock_guard lock(state.commit_mutex);
  TIDEMARK_RETURN_IF_ERROR(CheckWriting(state));
  const auto catalog = state.GetCatalog();
  for (const auto& [number, entity] : catalog->all()) {
    TIDEMARK_ASSIGN_OR_RETURN(const bool forgettable, IsForgettable(state, *entity));
    if (!forgettable) continue;
    TIDEMARK_RETURN_IF_ERROR(Forget(state, *entity));
    TIDEMARK_RETURN_IF_ERROR(internal::ForgetParts(state, number));
    ++removed;
  }
  return removed;
}

Status Store::PrunePositions(const SequenceSet& kept, SequenceNumber before) {
  StoreState& state = impl_->state;
  TIDEMARK_RETURN_IF_ERROR(CheckWritable(state));
  const std::unique_ptr<rocksdb::Iterator> positions(
      state.db->NewIterator(rocksdb::ReadOptions(), state.rows.get()));
  const std::string end = internal::row_key::Position(before);
  bool more = true;
  positions->Seek(internal::row_key::Position(kSequenceZero));
  while (more) {
    std::vector<JoinedRow> rows;
    for (; (more = positions->Valid() && positions->key().compare(end) < 0) &&
           rows.size() < kPositionsAtATime;
         positions->Next()) {
      const SequenceNumber sequence(LoadBigEndian64(positions->key().data() + 1));
      if (kept.Contains(sequence)) continue;
      rows.push_back({state.rows.get(), positions->key().ToString(), std::nullopt});
    }
    if (rows.empty()) continue;
    const std::lock_guard lock(state.commit_mutex);
    TIDEMARK_RETURN_IF_ERROR(CheckWriting(state));
    CommitGroup group(state);
    group.Join(rows);
    TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/false));
    group.Publish();
  }
  return internal::FromRocks(positions->status(), "reading positions");
}

}  // namespace tidemark
