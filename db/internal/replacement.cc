#include "db/internal/replacement.h"

#include <algorithm>
#include <memory>
#include <mutex>

#include "db/internal/commit_group.h"
#include "db/internal/entity_change.h"
#include "db/internal/event_append.h"
#include "db/internal/fold.h"
#include "db/internal/hidden_log.h"
#include "db/internal/rocks_status.h"
#include "db/internal/snapshot_merge.h"
#include "db/internal/staged_merge.h"
#include "db/internal/staging.h"
#include "db/internal/writing_stopped.h"
#include "db/tuning.h"
#include "format/coding.h"

namespace tidemark::internal {
namespace {

/// True if the entity's log has rows above `after` and at or below `through`.
bool HasRowsBetween(const StoreState& state,
                    const EntityState& entity,
                    SequenceNumber after,
                    SequenceNumber through) {
  std::string key;
  AppendBigEndian64(&key, after.Next().value());
  const std::unique_ptr<rocksdb::Iterator> segments(
      state.db->NewIterator(rocksdb::ReadOptions(), entity.log.get()));
  segments->Seek(key);
  if (!segments->Valid()) return !segments->status().ok();  // not known: merge again
  return SequenceNumber(LoadBigEndian64(segments->key().data())) <= through;
}

/// One replacement. Requires fold_mutex throughout.
class Replacement {
 public:
  Replacement(StoreState& state,
              const ReplaceRequest& request,
              bool stage_nothing,
              ReplaceProgress& progress)
      : state_(state),
        request_(request),
        stage_nothing_(stage_nothing),
        progress_(progress),
        commits_(state),
        reader_(state, request.stage) {}

  Result<ReplaceCountsMap> Run();

 private:
  Result<bool> IsSmall() const;
  Status Attempt(bool beside_commits);
  Status Prepare(bool beside_commits);
  Status Merge();
  bool IsOvertaken(Status* failed) const;
  Result<bool> IsStaged(const ReplacePlan& plan);
  Status MergeEntity(const ReplacePlan& plan);
  Status Flip();
  void SetEntities(CommitGroup* group);
  Status IngestEvents();
  void Publish(StoreState& state);
  void DropReplaced();
  void Undo();

  StoreState& state_;
  const ReplaceRequest& request_;
  const bool stage_nothing_;
  ReplaceProgress& progress_;
  CommitHold commits_;
  const StagingReader reader_;
  MergeBase base_;
  bool overtaken_ = false;          // commits changed what was merged beside them
  std::unique_ptr<HiddenLog> log_;  // null: a dry run
  std::vector<std::unique_ptr<EntityChange>> changes_;
  ReplaceCountsMap counts_;
};

Result<ReplaceCountsMap> Replacement::Run() {
  TIDEMARK_ASSIGN_OR_RETURN(const bool small, IsSmall());
  overtaken_ = true;
  for (int attempt = 0; !small && overtaken_ && attempt < tuning::kReplaceAttempts; ++attempt) {
    const Status done = Attempt(/*beside_commits=*/true);
    if (!overtaken_ && !done.ok()) return done;
  }
  if (overtaken_) TIDEMARK_RETURN_IF_ERROR(Attempt(/*beside_commits=*/false));
  return counts_;
}

/// Merged so fast that commits may as well wait.
Result<bool> Replacement::IsSmall() const {
  const size_t rows_max = state_.options.window_records / tuning::kReplaceBesideShare;
  uint64_t rows = 0;
  const auto catalog = state_.GetCatalog();
  for (const ReplacePlan& plan : request_.plans) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<StagedPage> pages, reader_.Pages(plan.entity));
    for (const StagedPage& page : pages) rows += page.rows;
    const EntityPtr entity = catalog->Find(plan.entity);
    if (entity == nullptr || entity->declaration.kind != EntityKind::kSnapshot) continue;
    const std::shared_lock lock(state_.state_mutex);
    if (const auto* sets = state_.liveness.Find(entity->number)) rows += sets->live.Count();
  }
  return rows <= rows_max;
}

Status Replacement::Attempt(bool beside_commits) {
  overtaken_ = false;
  changes_.clear();
  counts_.clear();
  progress_.Restart();
  TIDEMARK_RETURN_IF_ERROR(Prepare(beside_commits));
  if (beside_commits) commits_.Release();
  Status done = Merge();
  if (request_.dry_run) return done;
  commits_.Take();
  state_.number_limit = kSequenceLimit;
  if (done.ok() && !state_.write_error.ok()) {
    done = WritingStopped(state_.write_error);
  }
  overtaken_ = beside_commits && state_.write_error.ok() && IsOvertaken(&done);
  if (done.ok()) done = Flip();
  if (done.ok()) {
    DropReplaced();
  } else {
    Undo();
  }
  commits_.Release();
  return done;
}

/// The index is whole, and the window without anything of the entities, from here to the flip, or
/// else the merge is overtaken: nobody folds. Leaves commits waiting.
Status Replacement::Prepare(bool beside_commits) {
  if (beside_commits) TIDEMARK_RETURN_IF_ERROR(FoldBesideCommits(state_));
  commits_.Take();
  if (!state_.write_error.ok()) return WritingStopped(state_.write_error);
  TIDEMARK_RETURN_IF_ERROR(Fold(state_));  // what little came meanwhile
  base_ = {.sequence = state_.head.sequence,
           .numbered_after = state_.head.sequence,
           .exposed = state_.head.exposed,
           .stay_filter = {},
           .catalog = state_.GetCatalog(),
           .liveness = {}};
  if (beside_commits) {
    base_.numbered_after = base_.sequence + tuning::kReplaceReserve;
    if (base_.numbered_after >= kSequenceLimit) {
      return {ErrorCode::kTooLarge, "the store has used up its sequence numbers"};
    }
  } else {
    base_.stay_filter = state_.stay_filter;
  }
  const std::shared_lock lock(state_.state_mutex);
  for (const ReplacePlan& plan : request_.plans) {
    const EntityPtr entity = base_.catalog->Find(plan.entity);
    const auto* sets = entity == nullptr ? nullptr : state_.liveness.Find(entity->number);
    if (sets != nullptr) base_.liveness[entity->number] = {sets->live, sets->tombstones};
  }
  if (request_.dry_run) return {};
  log_ = std::make_unique<HiddenLog>(state_, base_.numbered_after, commits_, &reader_);
  if (beside_commits) state_.number_limit = base_.numbered_after;
  return {};
}

/// True if commits beside the merge changed what it went by; then what it found says nothing.
/// Requires commit_mutex.
bool Replacement::IsOvertaken(Status* failed) const {
  const auto overtaken = [&] {
    const auto catalog = state_.GetCatalog();
    return std::any_of(changes_.begin(), changes_.end(), [&](const auto& change) {
      return catalog->Find(change->before->number) != change->before ||
             change->lowest_unexposed <= state_.head.exposed ||
             HasRowsBetween(state_, *change->before, base_.sequence, base_.numbered_after);
    });
  }();
  if (overtaken) *failed = {ErrorCode::kConflict, "the entity was changed beside the replacement"};
  return overtaken;
}

Status Replacement::Merge() {
  std::vector<const ReplacePlan*> plans;
  for (const ReplacePlan& plan : request_.plans) plans.push_back(&plan);
  std::sort(plans.begin(), plans.end(), [](const ReplacePlan* a, const ReplacePlan* b) {
    return a->entity < b->entity;
  });
  std::vector<const ReplacePlan*> staged;
  for (const ReplacePlan* plan : plans) {
    if (counts_.contains(plan->entity)) {
      return {ErrorCode::kInvalidArgument, plan->entity + " is planned twice"};
    }
    counts_[plan->entity] = {};
    TIDEMARK_ASSIGN_OR_RETURN(const bool is_staged, IsStaged(*plan));
    if (is_staged) staged.push_back(plan);
  }
  for (const ReplacePlan* plan : staged) TIDEMARK_RETURN_IF_ERROR(MergeEntity(*plan));
  return {};
}

/// An entity without any page is left as it is; an empty page declares it empty.
Result<bool> Replacement::IsStaged(const ReplacePlan& plan) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<StagedPage> pages, reader_.Pages(plan.entity));
  if (!pages.empty() || stage_nothing_) return true;
  const EntityPtr entity = base_.catalog->Find(plan.entity);
  if (entity != nullptr && entity->declaration.kind == EntityKind::kSnapshot) {
    counts_[plan.entity].unchanged = base_.LivenessOf(entity).live.Count();
  }
  return false;
}

Status Replacement::MergeEntity(const ReplacePlan& plan) {
  const EntityPtr entity = base_.catalog->Find(plan.entity);
  if (entity == nullptr && log_ != nullptr) {
    return {ErrorCode::kNotFound, "there is no entity " + plan.entity + "; declare it first"};
  }
  const EntityKind kind = entity == nullptr ? plan.kind : entity->declaration.kind;
  EntityChange& change = *changes_.emplace_back(std::make_unique<EntityChange>());
  change.before = entity;
  TIDEMARK_ASSIGN_OR_RETURN(const auto staged, StagedMerge::Open(reader_, plan.entity, plan.skip));
  if (kind == EntityKind::kSnapshot) {
    SnapshotMerge merge(state_, base_, commits_, reader_, plan, log_.get(), progress_, &change);
    TIDEMARK_RETURN_IF_ERROR(merge.Run(*staged));
  } else {
    EventAppend append(state_, base_, reader_, plan, log_.get(), progress_, &change);
    TIDEMARK_RETURN_IF_ERROR(append.Run(*staged));
  }
  counts_[plan.entity] = change.counts;
  return {};
}

Status Replacement::Flip() {
  WriteBatch joined;
  if (request_.join) TIDEMARK_RETURN_IF_ERROR(request_.join(counts_, joined));
  TIDEMARK_RETURN_IF_ERROR(joined.status());
  if (const size_t operations = joined.size(); operations > 0) {
    return {ErrorCode::kInvalidArgument, "only rows may join a flip"};
  }
  CommitGroup group(state_);
  if (!log_->empty()) group.ExtendLog(log_->last(), log_->checksums());
  SetEntities(&group);
  TIDEMARK_RETURN_IF_ERROR(group.Add(joined, CommitOptions()).status());
  if (group.empty() && log_->empty()) return {};
  TIDEMARK_RETURN_IF_ERROR(group.Write(/*sync=*/true));
  if (Status ingested = IngestEvents(); !ingested.ok()) {
    // The flip is durable; what it made visible is in the log, where the next open finds it.
    state_.write_error = ingested.WithContext("reopen the store to go on");
    return ingested;
  }
  group.OnPublish([this](StoreState& state) { Publish(state); });
  group.Publish();
  return {};
}

void Replacement::SetEntities(CommitGroup* group) {
  for (const auto& change : changes_) {
    if (change->next_index == nullptr) continue;
    EntityState next = *change->before;
    ++next.generation;
    next.generation_mark = log_->last();
    next.index = change->next_index;
    group->SetEntity(std::move(next));
  }
}

/// After the flip, since a row in the index of a flip that never came could become valid when its
/// sequence number is given out again. Readers ignore heads above what they see.
Status Replacement::IngestEvents() {
  for (const auto& change : changes_) {
    if (change->files.empty()) continue;
    rocksdb::IngestExternalFileArg arg = change->files.front()->Ingestion();
    arg.external_files.clear();
    for (const auto& file : change->files) arg.external_files.push_back(file->path());
    const rocksdb::Status ingested = state_.db->IngestExternalFiles({arg});
    if (!ingested.ok()) {
      return FromRocks(ingested, "writing the index of " + change->before->name);
    }
  }
  return {};
}

void Replacement::Publish(StoreState& state) {
  uint64_t rows = 0;
  for (const auto& change : changes_) {
    if (!change->changed()) continue;
    const EntityNumber number = change->before->number;
    for (const auto& [head, by] : change->superseded) state.liveness.Supersede(number, head, by);
    for (const SequenceRange& range : change->live) {
      state.liveness.Of(number).live.AddRange(range);
      rows += range.size();
    }
    for (const SequenceNumber head : change->tombstones) state.liveness.AddTombstone(number, head);
    for (EntityChange::WindowEntry& entry : change->window) {
      state.window.Set(number, entry.id, KeyHash(number, entry.id), std::move(entry.entry));
    }
    state.dead_rows[number] += change->superseded.size();
    rows += change->superseded.size();
  }
  for (const auto& [number, key] : log_->small_segments()) state.small_segments[number].Note(key);
  // Liveness of the flip is in the log alone until the next fold, and replaying costs by the row.
  if (rows > state.options.window_records / 2) state.fold_wanted = true;
}

/// Readers keep the handles of what they read, and with them its data.
void Replacement::DropReplaced() {
  bool flushed = state_.syncing();
  for (const auto& change : changes_) {
    if (change->next_index == nullptr || log_ == nullptr) continue;
    // A drop is durable at once; the flip that allows it must not be behind.
    if (!state_.write_error.ok()) return;
    rocksdb::Status dropped;
    if (!flushed) dropped = state_.db->FlushWAL(/*sync=*/true);
    flushed = true;
    if (dropped.ok()) dropped = state_.db->DropColumnFamily(change->before->index.get());
    if (dropped.ok()) continue;
    // What is left of the old generation is dropped at the next open.
    state_.write_error = FromRocks(dropped, "dropping an old generation");
    state_.Log(state_.write_error.ToString());
  }
}

void Replacement::Undo() {
  // Whether a write that failed is on disk is for the next open to find out; it clears the rest.
  if (log_ == nullptr || !state_.write_error.ok()) return;
  Status undone;
  for (const auto& change : changes_) {
    if (change->next_index == nullptr) continue;
    const rocksdb::Status dropped = state_.db->DropColumnFamily(change->next_index.get());
    if (!dropped.ok()) undone = FromRocks(dropped, "dropping an unfinished generation");
  }
  if (const Status deleted = DeleteHidden(state_); !deleted.ok()) undone = deleted;
  if (undone.ok()) return;
  // Sequence numbers would be given out twice.
  state_.write_error = undone.WithContext("undoing a replacement; reopen the store to go on");
}

/// Adds up what is staged, and tells it while no lock is held yet.
Status Announce(const StoreState& state, const ReplaceRequest& request, ReplaceProgress* progress) {
  const StagingReader reader(state, request.stage);
  for (const ReplacePlan& plan : request.plans) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<StagedPage> pages, reader.Pages(plan.entity));
    for (const StagedPage& page : pages) progress->AddTotal(page.rows);
  }
  progress->Tell();
  return {};
}

Result<ReplaceCountsMap> RunReplacement(StoreState& state,
                                        const ReplaceRequest& request,
                                        bool stage_nothing) {
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  TIDEMARK_RETURN_IF_ERROR(CheckNoReplica(state));
  ReplaceProgress progress(request.progress);
  if (request.progress) TIDEMARK_RETURN_IF_ERROR(Announce(state, request, &progress));
  const std::lock_guard fold_lock(state.fold_mutex);
  return Replacement(state, request, stage_nothing, progress).Run();
}

}  // namespace

Result<ReplaceCountsMap> Replace(StoreState& state, const ReplaceRequest& request) {
  return RunReplacement(state, request, /*stage_nothing=*/false);
}

Result<ReplaceCounts> EmptySnapshot(StoreState& state, std::string_view entity) {
  ReplaceRequest request;
  request.plans.push_back({.entity = std::string(entity)});
  // No stage has this number: upper layers count from one.
  request.stage = ~uint64_t{0};
  TIDEMARK_ASSIGN_OR_RETURN(const ReplaceCountsMap counts,
                            RunReplacement(state, request, /*stage_nothing=*/true));
  return counts.begin()->second;
}

}  // namespace tidemark::internal
