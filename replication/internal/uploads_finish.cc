// How a finish runs: one at a time, planned, applied by one flip, and told.
#include <chrono>
#include <utility>

#include "replication/internal/uploads_impl.h"

namespace tidemark {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): the parts this file joins

// A second finish, or a forced start, waits this long for the finish that runs.
constexpr std::chrono::seconds kFinishWaitMax{5};

// Collects the rows that a finish sets aside and writes them, a chunk at a time. They count once
// the sync's row says how many chunks there are.
class DanglingWriter {
 public:
  DanglingWriter(Store& store, uint64_t ordinal, uint64_t room)
      : store_(store), ordinal_(ordinal), room_(room) {}

  Status Add(RejectedRow row) {
    if (room_ == 0) return {};
    --room_;
    rows_.push_back(std::move(row));
    return rows_.size() < kRejectedRowsChunkMax ? Status() : Flush();
  }

  Status Flush() {
    if (rows_.empty()) return {};
    WriteBatch batch;
    batch.SetRow(DanglingKey(ordinal_, chunks_), EncodeRejected(rows_, rows_.size()));
    CommitOptions options;
    options.sync = false;  // the step that makes them count comes later, and syncs
    TIDEMARK_RETURN_IF_ERROR(store_.Commit(batch, options).status());
    ++chunks_;
    rows_.clear();
    return {};
  }

  uint64_t chunks() const { return chunks_; }

 private:
  Store& store_;
  const uint64_t ordinal_;
  uint64_t room_;
  uint64_t chunks_ = 0;
  std::vector<RejectedRow> rows_;
};

}  // namespace

Uploads::Impl::FinishSlot::FinishSlot(Impl& uploads, uint64_t ordinal) : uploads_(uploads) {
  std::unique_lock lock(uploads_.mutex_);
  held_ = uploads_.finish_ended_.wait_for(
      lock, kFinishWaitMax, [&] { return uploads_.finishing_ == 0; });
  if (held_) uploads_.finishing_ = ordinal;
}

Uploads::Impl::FinishSlot::~FinishSlot() {
  if (!held_) return;
  {
    const std::lock_guard lock(uploads_.mutex_);
    uploads_.finishing_ = 0;
  }
  uploads_.finish_ended_.notify_all();
}

Result<UploadInfo> Uploads::Impl::Finish(std::string_view id, const FinishOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t ordinal, Find(id));
  Result<UploadInfo> outcome = UploadInfo();
  bool ended_here = false;
  {
    const FinishSlot slot(*this, ordinal);
    if (!slot.held()) return InfoNow(ordinal);  // still processing: to be asked again
    RetryPendingFailure();
    TIDEMARK_ASSIGN_OR_RETURN(const SyncRow sync, LoadSync(store_, ordinal));
    const bool same_call = !options.dry_run && !sync.finish_options.empty() &&
                           sync.finish_options == FingerprintOf(options);
    if (IsClosed(sync.state)) {
      if (same_call) return InfoOf(sync);
      return CheckOpen(sync);
    }
    if (options.dry_run) return DryRun(ordinal, sync, options);
    outcome = RunFinish(ordinal, options);
    ended_here = outcome.ok();
  }
  if (ended_here) {
    CleanUp(ordinal, Cleanup::kStage);
    Notify(*outcome);
  }
  return outcome;
}

Result<UploadInfo> Uploads::Impl::DryRun(uint64_t ordinal,
                                         const SyncRow& sync,
                                         const FinishOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckOpen(sync));
  TIDEMARK_RETURN_IF_ERROR(CheckComplete(sync, options));
  const Stage stage(store_, ordinal);
  FinishPlanner planner(store_, stage, ordinal, sync, options);
  TIDEMARK_RETURN_IF_ERROR(planner.Plan([](const RejectedRow&) { return Status(); }));
  TIDEMARK_ASSIGN_OR_RETURN(const auto counts, stage.DryRun(planner.Plans()));

  UploadInfo info = InfoOf(sync);
  info.warnings = planner.warnings();
  AddOutcomeWarnings(counts, &info.warnings);
  for (const auto& [name, entity] : counts) info.entities[name].counts = entity;
  for (const auto& [name, dangling] : planner.dangling()) info.entities[name].rejected += dangling;
  return info;
}

Result<UploadInfo> Uploads::Impl::RunFinish(uint64_t ordinal, const FinishOptions& options) {
  SyncRow sync;
  const Status begun = CommitStep([&](CommitContext& rows) -> Status {
    TIDEMARK_ASSIGN_OR_RETURN(sync, LoadSync(rows, ordinal));
    TIDEMARK_RETURN_IF_ERROR(BeginFinish(&sync, options));
    rows.SetRow(SyncKey(ordinal), EncodeSync(sync));
    return {};
  });
  if (IsRefusal(begun.code())) NoteRefusal(ordinal, begun);
  TIDEMARK_RETURN_IF_ERROR(begun);

  const Stage stage(store_, ordinal);
  FinishPlanner planner(store_, stage, ordinal, sync, options);
  const uint64_t room = kRejectedRowsMax - std::min(sync.rejected_listed, kRejectedRowsMax);
  DanglingWriter dangling(store_, ordinal, room);
  Status planned = planner.Plan([&](RejectedRow row) { return dangling.Add(std::move(row)); });
  const Status flushed = dangling.Flush();
  if (planned.ok()) planned = flushed;
  SyncRow after = sync;
  after.dangling_chunks = dangling.chunks();
  for (const auto& [name, count] : planner.dangling()) after.entities[name].dangling = count;
  if (!planned.ok()) return EndUnfinished(ordinal, std::move(after), std::move(planned));
  return ApplyPlans(ordinal, planner, std::move(after), options);
}

Result<UploadInfo> Uploads::Impl::ApplyPlans(uint64_t ordinal,
                                             const FinishPlanner& planner,
                                             SyncRow sync,
                                             const FinishOptions& options) {
  for (const auto& [name, declaration] : planner.undeclared()) {
    const Result<EntityInfo> declared = store_.Declare(name, declaration);
    if (!declared.ok()) return EndUnfinished(ordinal, std::move(sync), declared.status());
  }
  SyncRow closed = sync;
  const auto join = [&](const std::map<std::string, ReplaceCounts>& counts, WriteBatch& batch) {
    closed = sync;
    closed.warnings = planner.warnings();
    AddOutcomeWarnings(counts, &closed.warnings);
    for (const auto& [name, entity] : counts) closed.entities[name].counts = entity;
    closed.state =
        closed.warnings.empty() ? UploadState::kFinished : UploadState::kFinishedWithWarnings;
    closed.ended_at_ms = WallMilliseconds();
    closed.finish_options = FingerprintOf(options);
    batch.SetRow(SyncKey(ordinal), EncodeSync(closed));
    batch.SetRow(CleanupKey(ordinal), EncodeCleanup(Cleanup::kStage));
    batch.DeleteRow(ActiveKey());
    return Status();
  };
  Stage stage(store_, ordinal);
  const auto applied = stage.Apply(planner.Plans(), join, options.progress);
  if (!applied.ok()) return EndUnfinished(ordinal, std::move(sync), applied.status());
  return InfoOf(closed);
}

// For who asks later. Should it fail, the next finish is refused for the same reason.
void Uploads::Impl::NoteRefusal(uint64_t ordinal, const Status& reason) {
  static_cast<void>(CommitStep([&](CommitContext& rows) -> Status {
                      TIDEMARK_ASSIGN_OR_RETURN(SyncRow sync, LoadSync(rows, ordinal));
                      if (!CheckOpen(sync).ok()) return {};
                      sync.error = reason.ToString();
                      rows.SetRow(SyncKey(ordinal), EncodeSync(sync));
                      return {};
                    }).ok());
}

Status Uploads::Impl::EndUnfinished(uint64_t ordinal, SyncRow sync, Status reason) {
  const bool refused = IsRefusal(reason.code());
  sync.state = refused ? UploadState::kStarted : UploadState::kFailed;
  sync.error = reason.ToString();
  sync.ended_at_ms = refused ? 0 : WallMilliseconds();
  const Status ended = CommitStep([&](CommitContext& rows) -> Status {
    TIDEMARK_ASSIGN_OR_RETURN(const SyncRow now, LoadSync(rows, ordinal));
    if (now.state == UploadState::kProcessing) rows.SetRow(SyncKey(ordinal), EncodeSync(sync));
    return {};
  });
  if (!ended.ok()) {
    const std::lock_guard lock(mutex_);
    pending_failure_ = PendingFailure{ordinal, reason.ToString()};
  } else if (!refused) {
    Notify(InfoOf(sync));
  }
  return reason;
}

// The failure of a finish that could not be written when it happened is written before the next
// step, if it can be by now.
void Uploads::Impl::RetryPendingFailure() {
  std::optional<PendingFailure> failure;
  {
    const std::lock_guard lock(mutex_);
    failure = pending_failure_;
  }
  if (!failure) return;
  std::optional<UploadInfo> failed;
  const Status written = CommitStep([&](CommitContext& rows) -> Status {
    failed.reset();
    TIDEMARK_ASSIGN_OR_RETURN(SyncRow sync, LoadSync(rows, failure->ordinal));
    if (sync.state != UploadState::kProcessing) return {};
    sync.state = UploadState::kFailed;
    sync.error = failure->error;
    sync.ended_at_ms = WallMilliseconds();
    rows.SetRow(SyncKey(failure->ordinal), EncodeSync(sync));
    failed = InfoOf(sync);
    return {};
  });
  if (!written.ok()) return;
  {
    const std::lock_guard lock(mutex_);
    pending_failure_.reset();
  }
  if (failed) Notify(*failed);
}

void Uploads::Impl::WaitForFinish() {
  std::unique_lock lock(mutex_);
  finish_ended_.wait_for(lock, kFinishWaitMax, [&] { return finishing_ == 0; });
}

// --- Aborting ---

}  // namespace tidemark
