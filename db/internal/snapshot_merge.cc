#include "db/internal/snapshot_merge.h"

#include <algorithm>

#include "db/internal/rocks_status.h"

namespace tidemark::internal {
namespace {

constexpr uint64_t kGuardedDeletions = 100;
constexpr size_t kReadaheadBytes = 1024 * 1024;

std::unique_ptr<rocksdb::Iterator> ReadIndex(const StoreState& state, const EntityState& entity) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = kReadaheadBytes;
  return std::unique_ptr<rocksdb::Iterator>(state.db->NewIterator(options, entity.index.get()));
}

std::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

}  // namespace

SnapshotMerge::SnapshotMerge(StoreState& state,
                             const MergeBase& base,
                             CommitHold& commits,
                             const StagingReader& reader,
                             const ReplacePlan& plan,
                             HiddenLog* log,
                             ReplaceProgress& progress,
                             EntityChange* change)
    : state_(state),
      base_(base),
      commits_(commits),
      plan_(plan),
      log_(log),
      progress_(progress),
      change_(*change),
      entity_(change->before),
      liveness_(base.LivenessOf(change->before)),
      live_before_(liveness_.live.Count()),
      keep_(plan.keep),
      values_(reader) {
  std::sort(keep_.begin(), keep_.end());
}

Status SnapshotMerge::Run(StagedInput& staged) {
  if (log_ != nullptr) log_->Begin(entity_);
  TIDEMARK_RETURN_IF_ERROR(NextStaged(staged));
  PlaceIndex();
  TIDEMARK_RETURN_IF_ERROR(ReadEntry());
  while (has_staged_ || has_entry_) {
    const int order = !has_staged_  ? 1
                      : !has_entry_ ? -1
                                    : std::string_view(staged_.id).compare(EntryId());
    TIDEMARK_RETURN_IF_ERROR(order <= 0 ? MergeStaged(/*indexed=*/order == 0) : MergeUnlisted());
    if (order <= 0) TIDEMARK_RETURN_IF_ERROR(NextStaged(staged));
    if (order < 0) continue;
    index_->Next();
    TIDEMARK_RETURN_IF_ERROR(ReadEntry());
  }
  TIDEMARK_RETURN_IF_ERROR(CheckGuard());
  if (files_.empty()) return {};
  TIDEMARK_RETURN_IF_ERROR(log_->End());
  return FinishGeneration();
}

/// Moves to the next id that is staged; the last of its rows wins.
Status SnapshotMerge::NextStaged(StagedInput& staged) {
  if (!staged_started_) {
    staged_started_ = true;
    staged_more_ = staged.Next();
  }
  has_staged_ = staged_more_;
  if (!has_staged_) return staged.status();
  staged_.id.assign(staged.id().id);
  if (staged_.id.empty()) {
    return {ErrorCode::kInvalidArgument,
            plan_.entity + ", page " + std::to_string(staged.id().place.page) + ", row " +
                std::to_string(staged.id().row) + ": a record of a snapshot needs an id"};
  }
  while (true) {
    staged_.value_size = staged.id().value_size;
    staged_.hash = staged.id().hash;
    staged_.place = staged.id().place;
    progress_.Step();
    staged_more_ = staged.Next();
    if (!staged_more_ || staged.id().id != staged_.id) break;
    ++change_.counts.duplicates;
  }
  return staged.status();
}

void SnapshotMerge::PlaceIndex() {
  if (entity_ == nullptr) return;
  index_ = ReadIndex(state_, *entity_);
  index_->SeekToFirst();
}

Status SnapshotMerge::ReadEntry() {
  has_entry_ = index_ != nullptr && index_->Valid();
  if (!has_entry_) {
    return index_ == nullptr ? Status()
                             : FromRocks(index_->status(), "reading the index of " + entity_->name);
  }
  if (!DecodeIndexEntry(ToView(index_->value()), &entry_)) {
    return {ErrorCode::kCorruption, "the index of " + entity_->name + " is damaged"};
  }
  valid_ = liveness_.IsValid(entry_);
  return {};
}

Result<bool> SnapshotMerge::IsKept() {
  if (plan_.keep_unlisted) return true;
  while (kept_ < keep_.size() && keep_[kept_] < EntryId()) ++kept_;
  if (kept_ < keep_.size() && keep_[kept_] == EntryId()) return true;
  if (!plan_.keeps) return false;
  TIDEMARK_ASSIGN_OR_RETURN(const Record record, ReadRecord(state_, *entity_, entry_, EntryId()));
  return plan_.keeps(record);
}

Status SnapshotMerge::MergeStaged(bool indexed) {
  if (indexed && valid_ && entry_.live()) {
    if (entry_.hash == staged_.hash) {
      ++change_.counts.unchanged;
      CopyEntry();
      return {};
    }
    ++change_.counts.updated;
  } else {
    ++change_.counts.created;
  }
  return Change(RowOp::kPut, staged_.id, indexed);
}

Status SnapshotMerge::MergeUnlisted() {
  if (!valid_) return {};
  if (entry_.live()) {
    TIDEMARK_ASSIGN_OR_RETURN(const bool kept, IsKept());
    if (!kept) {
      ++change_.counts.deleted;
      return Change(RowOp::kDelete, EntryId(), /*indexed=*/true);
    }
    ++change_.counts.unchanged;
  }
  CopyEntry();
  return {};
}

Status SnapshotMerge::Change(RowOp op, std::string_view id, bool indexed) {
  if (log_ == nullptr) return {};
  if (files_.empty()) TIDEMARK_RETURN_IF_ERROR(BeginGeneration(id));
  IndexEntry before;
  if (indexed) {
    before.head = entry_.head;  // of use even when nothing else of the entry is
    if (valid_) before = entry_;
  }
  const bool deleted = op == RowOp::kDelete;
  const size_t value_size = deleted ? 0 : staged_.value_size;
  TIDEMARK_ASSIGN_OR_RETURN(const HiddenLog::Place place, log_->Allocate(id.size(), value_size));

  HiddenRow row;
  row.op = op;
  row.id = id;
  row.sequence = place.sequence;
  row.birth = before.live() ? before.birth : place.sequence;
  row.superseded = before.head;
  RecordChange change{.before = before,
                      .stays_before = {},
                      .deleted = deleted,
                      .values = {},
                      .sequence = place.sequence,
                      .exposed = base_.exposed};
  TIDEMARK_RETURN_IF_ERROR(FindStays(id, &change));
  StaysAfter stays = StaysAfterChange(change, *entity_, base_.stay_filter);
  row.ended = std::move(stays.ended);
  row.stays = std::move(stays.open);
  change_.lowest_unexposed = std::min(change_.lowest_unexposed, stays.lowest_unexposed);
  if (!deleted) row.place = staged_.place;
  log_->Add(row);

  IndexEntry after;
  after.head = row.sequence;
  after.birth = row.birth;
  after.distance = place.distance;
  after.hash = deleted ? Hash128{} : staged_.hash;
  after.state = !deleted            ? IndexState::kLive
                : row.ended.empty() ? IndexState::kAbsent
                                    : IndexState::kTombstone;
  after.extra = MakeExtra({.writer_time = {},
                           .origin = {},
                           .ended = std::move(row.ended),
                           .stays = std::move(row.stays)});
  if (row.superseded != kSequenceZero) {
    change_.superseded.emplace_back(row.superseded, row.sequence);
  }
  if (after.state == IndexState::kLive) change_.AddLive(after.head);
  if (after.state == IndexState::kTombstone) change_.tombstones.push_back(after.head);
  if (after.state != IndexState::kAbsent) {
    encoded_.clear();
    EncodeIndexEntry(after, &encoded_);
    PutNext(id, encoded_);
  }
  return FromRocks(files_.back()->status(), "writing the index of " + entity_->name);
}

/// What a record that changes was in, and what it is in from now on.
Status SnapshotMerge::FindStays(std::string_view id, RecordChange* change) {
  if (entity_->keys.empty()) return {};
  if (change->before.live()) {
    TIDEMARK_ASSIGN_OR_RETURN(change->stays_before, StaysOf(state_, *entity_, change->before, id));
  }
  if (change->deleted) return {};
  TIDEMARK_ASSIGN_OR_RETURN(const BatchRow staged, values_.Read(plan_.entity, staged_.place));
  change->values =
      ReadKeyValues(state_.identity.secret, entity_->keys, staged.value_kind, staged.value);
  return {};
}

Status SnapshotMerge::CheckGuard() const {
  const uint64_t deleted = change_.counts.deleted;
  if (!plan_.delete_share_max.has_value() || deleted < kGuardedDeletions) return {};
  if (static_cast<double>(deleted) <= *plan_.delete_share_max * static_cast<double>(live_before_)) {
    return {};
  }
  return {ErrorCode::kDeleteGuard,
          "the finish would delete " + std::to_string(deleted) + " of " +
              std::to_string(live_before_) + " records of " + plan_.entity};
}

Status SnapshotMerge::BeginGeneration(std::string_view first_change) {
  const std::string name = IndexFamilyName(entity_->number, entity_->generation + 1);
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  const rocksdb::Status made = state_.db->CreateColumnFamily(
      MakeIndexOptions(*state_.runtime, std::make_shared<IndexFilterFactory>(entity_->filter)),
      name,
      &handle);
  if (!made.ok()) {
    return commits_.StopWrites(FromRocks(made, "making column family " + name));
  }
  change_.next_index = WrapFamily(state_.db.get(), handle);
  BeginFile();
  const std::unique_ptr<rocksdb::Iterator> rows = ReadIndex(state_, *entity_);
  IndexEntry entry;
  for (rows->SeekToFirst(); rows->Valid() && ToView(rows->key()) < first_change; rows->Next()) {
    if (!DecodeIndexEntry(ToView(rows->value()), &entry)) {
      return {ErrorCode::kCorruption, "the index of " + entity_->name + " is damaged"};
    }
    if (liveness_.IsValid(entry)) PutNext(ToView(rows->key()), ToView(rows->value()));
  }
  return FromRocks(rows->status(), "reading the index of " + entity_->name);
}

void SnapshotMerge::CopyEntry() {
  if (!files_.empty()) PutNext(EntryId(), ToView(index_->value()));
}

void SnapshotMerge::BeginFile() {
  const std::string family = IndexFamilyName(entity_->number, entity_->generation + 1);
  const std::string number = std::to_string(files_.size());
  files_.push_back(std::make_unique<SortedFile>(
      state_, change_.next_index, "generation-" + family + "." + number));
  file_rows_ = 0;
}

// An error stays in the last file.
void SnapshotMerge::PutNext(std::string_view id, std::string_view entry) {
  if (file_rows_ == kIndexFileRows && files_.back()->Finish().ok()) BeginFile();
  files_.back()->Put(id, entry);
  ++file_rows_;
}

Status SnapshotMerge::FinishGeneration() {
  const std::string what = "writing the index of " + entity_->name;
  if (const rocksdb::Status finished = files_.back()->Finish(); !finished.ok()) {
    return FromRocks(finished, what);
  }
  if (files_.back()->empty()) return {};  // it is the only one
  rocksdb::IngestExternalFileArg arg = files_.back()->Ingestion();
  arg.external_files.clear();
  for (const auto& file : files_) arg.external_files.push_back(file->path());
  const rocksdb::Status ingested = state_.db->IngestExternalFiles({arg});
  return ingested.ok() ? Status() : commits_.StopWrites(FromRocks(ingested, what));
}

}  // namespace tidemark::internal
