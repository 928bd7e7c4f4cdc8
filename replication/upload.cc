#include "replication/upload.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <span>
#include <utility>

#include "format/checksum.h"
#include "replication/internal/upload_finish.h"
#include "replication/internal/upload_page.h"
#include "replication/internal/upload_rows.h"
#include "replication/internal/upload_state.h"

namespace tidemark {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): the parts this file joins

// A second finish, or a forced start, waits this long for the finish that runs.
constexpr std::chrono::seconds kFinishWaitMax{5};
constexpr size_t kCleanupRowsMax = 1000;  // deleted by one commit
constexpr int kIdAttemptsMax = 8;

// The same reads serve the store and the committer: both have `GetRow`.
template <typename Rows>
Result<SyncRow> LoadSync(Rows& rows, uint64_t ordinal) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto bytes, rows.GetRow(SyncKey(ordinal)));
  if (!bytes) {
    return Status(ErrorCode::kCorruption, "upload sync " + std::to_string(ordinal) + " is missing");
  }
  return DecodeSync(*bytes);
}

/// 0 when no sync is active.
template <typename Rows>
Result<uint64_t> LoadActive(Rows& rows) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto bytes, rows.GetRow(ActiveKey()));
  if (!bytes) return uint64_t{0};
  return DecodeOrdinal(*bytes);
}

template <typename Rows>
Result<NextRow> LoadNext(Rows& rows) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto bytes, rows.GetRow(NextKey()));
  if (!bytes) return NextRow{};
  return DecodeNext(*bytes);
}

Status UnknownSync(std::string_view id) {
  constexpr size_t kShownBytesMax = 64;
  return {ErrorCode::kNotFound,
          "there is no upload sync " + std::string(id.substr(0, kShownBytesMax))};
}

std::string MakeId(Random& random) {
  std::array<uint8_t, 16> bytes{};
  random.Fill(bytes);
  Hash128 number;
  for (size_t i = 0; i < 8; ++i) {
    number.low = (number.low << 8U) | bytes[i];
    number.high = (number.high << 8U) | bytes[i + 8];
  }
  return ToHex(number);
}

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

// Every change of state is a commit whose step runs in the committer: it reads the rows as they
// stand, decides, and writes. The lock here guards only who finishes and who listens; no call into
// the store is made under it.
class Uploads::Impl {
 public:
  explicit Impl(Store& store) : store_(store) {}

  Status Recover();

  Result<std::string> Start(bool force);
  Result<UploadPageResult> PutPage(std::string_view id, const UploadPage& page);
  Result<UploadInfo> Finish(std::string_view id, const FinishOptions& options);
  Status Abort(std::string_view id);

  std::optional<std::string> Active() const;
  Result<UploadInfo> Get(std::string_view id) const;
  std::vector<UploadInfo> List(size_t limit) const;
  Result<std::vector<UploadPageInfo>> Pages(std::string_view id, size_t offset, size_t limit) const;
  Result<std::vector<RejectedRow>> Rejected(std::string_view id, size_t offset, size_t limit) const;
  void AddListener(UploadListener listener);

 private:
  using Step = std::function<Status(CommitContext&)>;

  /// What starting a sync did to the ones before it.
  struct Started {
    uint64_t superseded = 0;  // ordinals; 0: none
    uint64_t forgotten = 0;
    UploadInfo superseded_info;
  };

  /// The finish that runs, for as long as it lives.
  class FinishSlot {
   public:
    FinishSlot(Impl& uploads, uint64_t ordinal);
    ~FinishSlot();
    FinishSlot(const FinishSlot&) = delete;
    FinishSlot& operator=(const FinishSlot&) = delete;
    bool held() const { return held_; }

   private:
    Impl& uploads_;
    bool held_ = false;
  };

  Status CommitStep(Step step);
  Result<uint64_t> Find(std::string_view id) const;
  Result<UploadInfo> InfoNow(uint64_t ordinal) const;

  Status StartStep(CommitContext& rows, const std::string& id, bool force, Started* started) const;
  Result<EntityDeclaration> DeclarationFor(const UploadPage& page, const SyncRow& sync) const;
  Status RefusePage(uint64_t ordinal, const UploadPage& page, const PreparedPage& prepared);
  Status PageStep(CommitContext& rows,
                  uint64_t ordinal,
                  const UploadPage& page,
                  const PreparedPage& prepared,
                  bool refused) const;

  Result<UploadInfo> DryRun(uint64_t ordinal, const SyncRow& sync, const FinishOptions& options);
  Result<UploadInfo> RunFinish(uint64_t ordinal, const FinishOptions& options);
  Result<UploadInfo> ApplyPlans(uint64_t ordinal,
                                const FinishPlanner& planner,
                                SyncRow sync,
                                const FinishOptions& options);
  /// Takes the sync out of processing: back to started, or to failed. Answers `reason`.
  Status EndUnfinished(uint64_t ordinal, SyncRow sync, Status reason);
  void RetryPendingFailure();
  void WaitForFinish();

  void CleanUp(uint64_t ordinal, Cleanup cleanup);
  Status DeleteRows(const std::string& prefix);
  void Notify(const UploadInfo& info);
  int64_t WallMilliseconds() const { return store_.runtime().clock().WallMilliseconds(); }

  struct PendingFailure {
    uint64_t ordinal;
    std::string error;
  };

  Store& store_;
  mutable std::mutex mutex_;
  std::condition_variable finish_ended_;
  uint64_t finishing_ = 0;  // ordinal; 0: none
  // A failure that could not be written, as the disk may be full: told from memory until it can.
  std::optional<PendingFailure> pending_failure_;
  std::vector<UploadListener> listeners_;
};

Status Uploads::Impl::CommitStep(Step step) {
  CommitOptions options;
  options.precondition = std::move(step);
  return store_.Commit(WriteBatch(), options).status();
}

// A crash within a finish leaves the sync processing: nothing of it is visible, so it is started
// again. What was to be cleaned up is.
Status Uploads::Impl::Recover() {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t active, LoadActive(store_));
  if (active != 0) {
    TIDEMARK_ASSIGN_OR_RETURN(SyncRow sync, LoadSync(store_, active));
    if (sync.state == UploadState::kProcessing) {
      sync.state = UploadState::kStarted;
      const Status reopened = CommitStep([&](CommitContext& rows) {
        rows.SetRow(SyncKey(active), EncodeSync(sync));
        return Status();
      });
      if (!reopened.ok() && reopened.code() != ErrorCode::kReadOnly) return reopened;
    }
  }
  std::vector<std::pair<uint64_t, Cleanup>> cleanups;
  Status decoded;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(CleanupPrefix(), [&](std::string_view key, std::string_view value) {
        const Result<uint64_t> ordinal = OrdinalOfCleanupKey(key);
        const Result<Cleanup> cleanup = DecodeCleanup(value);
        decoded = !ordinal.ok() ? ordinal.status() : cleanup.status();
        if (!decoded.ok()) return false;
        cleanups.emplace_back(*ordinal, *cleanup);
        return true;
      }));
  TIDEMARK_RETURN_IF_ERROR(decoded);
  for (const auto& [ordinal, cleanup] : cleanups) CleanUp(ordinal, cleanup);
  return {};
}

// --- Starting ---

Result<std::string> Uploads::Impl::Start(bool force) {
  RetryPendingFailure();
  if (force) WaitForFinish();
  for (int attempt = 0; attempt < kIdAttemptsMax; ++attempt) {
    const std::string id = MakeId(store_.runtime().random());
    Started started;
    const Status status = CommitStep([&](CommitContext& rows) {
      started = {};
      return StartStep(rows, id, force, &started);
    });
    if (status.code() == ErrorCode::kConflict) continue;  // the id is taken: draw another one
    TIDEMARK_RETURN_IF_ERROR(status);
    if (started.superseded != 0) {
      CleanUp(started.superseded, Cleanup::kStage);
      Notify(started.superseded_info);
    }
    if (started.forgotten != 0) CleanUp(started.forgotten, Cleanup::kHistory);
    return id;
  }
  return Status(ErrorCode::kInternal, "the random source repeats itself");
}

Status Uploads::Impl::StartStep(CommitContext& rows,
                                const std::string& id,
                                bool force,
                                Started* started) const {
  TIDEMARK_ASSIGN_OR_RETURN(const auto taken, rows.GetRow(IdKey(id)));
  if (taken) return {ErrorCode::kConflict, "upload sync id " + id + " is taken"};
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t active, LoadActive(rows));
  if (active != 0) {
    TIDEMARK_ASSIGN_OR_RETURN(SyncRow sync, LoadSync(rows, active));
    if (!force || sync.state == UploadState::kProcessing) {
      return {ErrorCode::kSyncActive,
              "upload sync " + sync.id + " is active (" + std::string(UploadStateName(sync.state)) +
                  ")"};
    }
    sync.state = UploadState::kSuperseded;
    sync.ended_at_ms = WallMilliseconds();
    sync.error = "superseded by " + id;
    rows.SetRow(SyncKey(active), EncodeSync(sync));
    rows.SetRow(CleanupKey(active), EncodeCleanup(Cleanup::kStage));
    started->superseded = active;
    started->superseded_info = InfoOf(sync);
  }
  TIDEMARK_ASSIGN_OR_RETURN(NextRow next, LoadNext(rows));
  const uint64_t ordinal = next.next++;
  if (next.next - next.oldest > kUploadHistoryMax) {
    started->forgotten = next.oldest++;
    rows.SetRow(CleanupKey(started->forgotten), EncodeCleanup(Cleanup::kHistory));
  }
  SyncRow sync;
  sync.id = id;
  sync.started_at_ms = WallMilliseconds();
  rows.SetRow(NextKey(), EncodeNext(next));
  rows.SetRow(ActiveKey(), EncodeOrdinal(ordinal));
  rows.SetRow(IdKey(id), EncodeOrdinal(ordinal));
  rows.SetRow(SyncKey(ordinal), EncodeSync(sync));
  return {};
}

// --- Pages ---

Result<UploadPageResult> Uploads::Impl::PutPage(std::string_view id, const UploadPage& page) {
  TIDEMARK_RETURN_IF_ERROR(CheckPageLimits(page));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t ordinal, Find(id));
  RetryPendingFailure();
  TIDEMARK_ASSIGN_OR_RETURN(const SyncRow sync, LoadSync(store_, ordinal));
  TIDEMARK_RETURN_IF_ERROR(CheckOpen(sync));
  TIDEMARK_ASSIGN_OR_RETURN(const EntityDeclaration declaration, DeclarationFor(page, sync));

  PreparedPage prepared = PreparePage(declaration, page);
  if (declaration.strict && !prepared.rejected.empty()) {
    return RefusePage(ordinal, page, prepared);
  }
  CommitOptions options;
  options.precondition = [&](CommitContext& rows) {
    return PageStep(rows, ordinal, page, prepared, false);
  };
  Stage stage(store_, ordinal);
  TIDEMARK_RETURN_IF_ERROR(
      stage.PutPage(page.entity, page.page, prepared.Staged(), WriteBatch(), options));
  UploadPageResult result;
  result.accepted = prepared.rows.size();
  result.rejected = std::move(prepared.rejected);
  result.hash = std::move(prepared.hash);
  return result;
}

Result<EntityDeclaration> Uploads::Impl::DeclarationFor(const UploadPage& page,
                                                        const SyncRow& sync) const {
  TIDEMARK_RETURN_IF_ERROR(CheckPageEntity(sync, page.entity, page.kind));
  if (auto info = store_.FindEntity(page.entity)) {
    if (info->declaration.kind == page.kind) return std::move(info->declaration);
    return Status(ErrorCode::kWrongKind,
                  page.entity + (page.kind == EntityKind::kSnapshot
                                     ? " is incremental: events are appended, not replaced"
                                     : " is a snapshot: it is replaced, not appended to"));
  }
  EntityDeclaration declaration;
  declaration.kind = page.kind;
  return declaration;
}

Status Uploads::Impl::RefusePage(uint64_t ordinal,
                                 const UploadPage& page,
                                 const PreparedPage& prepared) {
  TIDEMARK_RETURN_IF_ERROR(CommitStep(
      [&](CommitContext& rows) { return PageStep(rows, ordinal, page, prepared, true); }));
  std::string message = Describe(prepared.rejected.front());
  if (prepared.rejected.size() > 1) {
    message += ", and " + std::to_string(prepared.rejected.size() - 1) + " more";
  }
  return {ErrorCode::kStrictRejected, std::move(message)};
}

Status Uploads::Impl::PageStep(CommitContext& rows,
                               uint64_t ordinal,
                               const UploadPage& page,
                               const PreparedPage& prepared,
                               bool refused) const {
  TIDEMARK_ASSIGN_OR_RETURN(SyncRow sync, LoadSync(rows, ordinal));
  TIDEMARK_RETURN_IF_ERROR(CheckOpen(sync));
  TIDEMARK_RETURN_IF_ERROR(CheckPageEntity(sync, page.entity, page.kind));

  const std::string page_key = PageKey(PageFamily::kPage, ordinal, page.entity, page.page);
  TIDEMARK_ASSIGN_OR_RETURN(const auto before_bytes, rows.GetRow(page_key));
  std::optional<PageRow> before;
  if (before_bytes) {
    TIDEMARK_ASSIGN_OR_RETURN(before, DecodePage(*before_bytes));
  }
  PageRow after;
  after.accepted = prepared.rows.size();
  after.rejected = prepared.rejected.size();
  after.hash = prepared.hash;
  after.uploaded_at_ms = WallMilliseconds();
  if (refused) {
    internal::RefusePage(&sync, page.entity, page.kind, before, &after);
  } else {
    ReplacePage(&sync, page.entity, page.kind, before, &after);
    const std::string keep_key = PageKey(PageFamily::kKeep, ordinal, page.entity, page.page);
    if (prepared.keep.empty()) {
      rows.DeleteRow(keep_key);
    } else {
      rows.SetRow(keep_key, EncodeKeep(prepared.keep));
    }
  }
  const std::string rejected_key = PageKey(PageFamily::kRejected, ordinal, page.entity, page.page);
  if (after.rejected_listed == 0) {
    rows.DeleteRow(rejected_key);
  } else {
    rows.SetRow(rejected_key, EncodeRejected(prepared.rejected, after.rejected_listed));
  }
  rows.SetRow(page_key, EncodePage(after));
  rows.SetRow(SyncKey(ordinal), EncodeSync(sync));
  return {};
}

// --- Finishing ---

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

Status Uploads::Impl::EndUnfinished(uint64_t ordinal, SyncRow sync, Status reason) {
  const bool refused = IsRefusal(reason.code());
  sync.state = refused ? UploadState::kStarted : UploadState::kFailed;
  sync.error = refused ? std::string() : reason.ToString();
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

Status Uploads::Impl::Abort(std::string_view id) {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t ordinal, Find(id));
  RetryPendingFailure();
  UploadInfo aborted;
  const Status ended = CommitStep([&](CommitContext& rows) -> Status {
    TIDEMARK_ASSIGN_OR_RETURN(SyncRow sync, LoadSync(rows, ordinal));
    TIDEMARK_RETURN_IF_ERROR(CheckOpen(sync));
    sync.state = UploadState::kAborted;
    sync.ended_at_ms = WallMilliseconds();
    rows.SetRow(SyncKey(ordinal), EncodeSync(sync));
    rows.SetRow(CleanupKey(ordinal), EncodeCleanup(Cleanup::kStage));
    rows.DeleteRow(ActiveKey());
    aborted = InfoOf(sync);
    return {};
  });
  TIDEMARK_RETURN_IF_ERROR(ended);
  CleanUp(ordinal, Cleanup::kStage);
  Notify(aborted);
  return {};
}

// --- Reading ---

Result<uint64_t> Uploads::Impl::Find(std::string_view id) const {
  TIDEMARK_ASSIGN_OR_RETURN(const auto bytes, store_.GetRow(IdKey(id)));
  if (!bytes) return UnknownSync(id);
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t ordinal, DecodeOrdinal(*bytes));
  TIDEMARK_ASSIGN_OR_RETURN(const NextRow next, LoadNext(store_));
  if (ordinal < next.oldest) return UnknownSync(id);
  return ordinal;
}

std::optional<std::string> Uploads::Impl::Active() const {
  const Result<uint64_t> ordinal = LoadActive(store_);
  if (!ordinal.ok() || *ordinal == 0) return std::nullopt;
  Result<SyncRow> sync = LoadSync(store_, *ordinal);
  if (!sync.ok()) return std::nullopt;
  return std::move(sync->id);
}

Result<UploadInfo> Uploads::Impl::Get(std::string_view id) const {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t ordinal, Find(id));
  return InfoNow(ordinal);
}

Result<UploadInfo> Uploads::Impl::InfoNow(uint64_t ordinal) const {
  TIDEMARK_ASSIGN_OR_RETURN(const SyncRow sync, LoadSync(store_, ordinal));
  UploadInfo info = InfoOf(sync);
  const std::lock_guard lock(mutex_);
  if (pending_failure_ && pending_failure_->ordinal == ordinal && !IsClosed(info.state)) {
    info.state = UploadState::kFailed;
    info.error = pending_failure_->error;
  }
  return info;
}

std::vector<UploadInfo> Uploads::Impl::List(size_t limit) const {
  std::vector<UploadInfo> infos;
  const Result<NextRow> next = LoadNext(store_);
  if (!next.ok()) return infos;
  for (uint64_t ordinal = next->next; ordinal > next->oldest && infos.size() < limit; --ordinal) {
    if (Result<UploadInfo> info = InfoNow(ordinal - 1); info.ok()) {
      infos.push_back(std::move(info).value());
    }
  }
  return infos;
}

Result<std::vector<UploadPageInfo>> Uploads::Impl::Pages(std::string_view id,
                                                         size_t offset,
                                                         size_t limit) const {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t ordinal, Find(id));
  std::vector<UploadPageInfo> pages;
  Status decoded;
  const auto visit = [&](std::string_view key, std::string_view value) {
    if (pages.size() >= limit) return false;
    if (offset > 0) {
      --offset;
      return true;
    }
    const auto place = EntityAndPageOfKey(key);
    const auto row = DecodePage(value);
    decoded = !place.ok() ? place.status() : row.status();
    if (!decoded.ok()) return false;
    UploadPageInfo& page = pages.emplace_back();
    page.entity = place->first;
    page.page = place->second;
    page.accepted = row->accepted;
    page.rejected = row->rejected;
    page.hash = row->hash;
    page.uploaded_at_ms = row->uploaded_at_ms;
    return true;
  };
  TIDEMARK_RETURN_IF_ERROR(store_.ScanRows(PagePrefix(PageFamily::kPage, ordinal), visit));
  TIDEMARK_RETURN_IF_ERROR(decoded);
  return pages;
}

// First what uploads set aside, in (entity, page, row) order; then what the finish did.
Result<std::vector<RejectedRow>> Uploads::Impl::Rejected(std::string_view id,
                                                         size_t offset,
                                                         size_t limit) const {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t ordinal, Find(id));
  TIDEMARK_ASSIGN_OR_RETURN(const SyncRow sync, LoadSync(store_, ordinal));
  std::vector<RejectedRow> out;
  const auto take = [&](std::string_view bytes) -> Status {
    TIDEMARK_ASSIGN_OR_RETURN(const uint64_t count, CountRejected(bytes));
    if (offset >= count) {
      offset -= count;
      return {};
    }
    TIDEMARK_ASSIGN_OR_RETURN(auto rows, DecodeRejected(bytes));
    for (size_t i = offset; i < rows.size() && out.size() < limit; ++i) {
      out.push_back(std::move(rows[i]));
    }
    offset = 0;
    return {};
  };
  Status taken;
  TIDEMARK_RETURN_IF_ERROR(store_.ScanRows(PagePrefix(PageFamily::kRejected, ordinal),
                                           [&](std::string_view, std::string_view value) {
                                             if (out.size() < limit) taken = take(value);
                                             return taken.ok() && out.size() < limit;
                                           }));
  TIDEMARK_RETURN_IF_ERROR(taken);
  for (uint64_t chunk = 0; chunk < sync.dangling_chunks && out.size() < limit; ++chunk) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto bytes, store_.GetRow(DanglingKey(ordinal, chunk)));
    if (!bytes) break;  // the sync went on since its row was read
    TIDEMARK_RETURN_IF_ERROR(take(*bytes));
  }
  return out;
}

// --- Upkeep ---

// Repeatable: a failure leaves the mark, and the next open tries again.
void Uploads::Impl::CleanUp(uint64_t ordinal, Cleanup cleanup) {
  Stage stage(store_, ordinal);
  if (!stage.Discard().ok()) return;
  if (!DeleteRows(PagePrefix(PageFamily::kKeep, ordinal)).ok()) return;
  WriteBatch last;
  if (cleanup == Cleanup::kHistory) {
    if (!DeleteRows(PagePrefix(PageFamily::kPage, ordinal)).ok() ||
        !DeleteRows(PagePrefix(PageFamily::kRejected, ordinal)).ok() ||
        !DeleteRows(DanglingPrefix(ordinal)).ok()) {
      return;
    }
    if (const Result<SyncRow> sync = LoadSync(store_, ordinal); sync.ok()) {
      last.DeleteRow(IdKey(sync->id));
    }
    last.DeleteRow(SyncKey(ordinal));
  }
  last.DeleteRow(CleanupKey(ordinal));
  CommitOptions options;
  options.sync = false;
  (void)store_.Commit(last, options);
}

Status Uploads::Impl::DeleteRows(const std::string& prefix) {
  while (true) {
    WriteBatch batch;
    size_t rows = 0;
    TIDEMARK_RETURN_IF_ERROR(store_.ScanRows(prefix, [&](std::string_view key, std::string_view) {
      batch.DeleteRow(key);
      return ++rows < kCleanupRowsMax;
    }));
    if (rows == 0) return {};
    CommitOptions options;
    options.sync = false;
    TIDEMARK_RETURN_IF_ERROR(store_.Commit(batch, options).status());
    if (rows < kCleanupRowsMax) return {};
  }
}

void Uploads::Impl::AddListener(UploadListener listener) {
  const std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

void Uploads::Impl::Notify(const UploadInfo& info) {
  std::vector<UploadListener> listeners;
  {
    const std::lock_guard lock(mutex_);
    listeners = listeners_;
  }
  for (const UploadListener& listener : listeners) listener(info);
}

// --- The public face ---

Uploads::Uploads(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Uploads::~Uploads() = default;

Result<std::unique_ptr<Uploads>> Uploads::Open(Store& store) {
  auto impl = std::make_unique<Impl>(store);
  TIDEMARK_RETURN_IF_ERROR(impl->Recover());
  return std::unique_ptr<Uploads>(new Uploads(std::move(impl)));
}

Result<std::string> Uploads::Start(bool force) {
  return impl_->Start(force);
}
Result<UploadPageResult> Uploads::PutPage(std::string_view sync, const UploadPage& page) {
  return impl_->PutPage(sync, page);
}
Result<UploadInfo> Uploads::Finish(std::string_view sync, const FinishOptions& options) {
  return impl_->Finish(sync, options);
}
Status Uploads::Abort(std::string_view sync) {
  return impl_->Abort(sync);
}
std::optional<std::string> Uploads::active() const {
  return impl_->Active();
}
Result<UploadInfo> Uploads::Get(std::string_view sync) const {
  return impl_->Get(sync);
}
std::vector<UploadInfo> Uploads::List(size_t limit) const {
  return impl_->List(limit);
}
Result<std::vector<UploadPageInfo>> Uploads::Pages(std::string_view sync,
                                                   size_t offset,
                                                   size_t limit) const {
  return impl_->Pages(sync, offset, limit);
}
Result<std::vector<RejectedRow>> Uploads::Rejected(std::string_view sync,
                                                   size_t offset,
                                                   size_t limit) const {
  return impl_->Rejected(sync, offset, limit);
}
void Uploads::AddListener(UploadListener listener) {
  impl_->AddListener(std::move(listener));
}

}  // namespace tidemark
