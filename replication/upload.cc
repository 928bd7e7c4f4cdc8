#include "replication/upload.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "format/checksum.h"
#include "replication/internal/uploads_impl.h"

namespace tidemark {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): the parts this file joins

constexpr size_t kCleanupRowsMax = 1000;  // deleted by one commit
constexpr int kIdAttemptsMax = 8;

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

}  // namespace

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
      Status reopened = CommitStep([&](CommitContext& rows) {
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
    Notify(started.info);
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
  started->info = InfoOf(sync);
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
  UploadInfo info;
  CommitOptions options;
  options.precondition = [&](CommitContext& rows) {
    return PageStep(rows, ordinal, page, prepared, false, &info);
  };
  Stage stage(store_, ordinal);
  TIDEMARK_RETURN_IF_ERROR(
      stage.PutPage(page.entity, page.page, prepared.Staged(), WriteBatch(), options));
  Notify(info);
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
  UploadInfo info;
  TIDEMARK_RETURN_IF_ERROR(CommitStep(
      [&](CommitContext& rows) { return PageStep(rows, ordinal, page, prepared, true, &info); }));
  Notify(info);
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
                               bool refused,
                               UploadInfo* info) const {
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
  *info = InfoOf(sync);
  return {};
}

Status Uploads::Impl::Abort(std::string_view id) {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t ordinal, Find(id));
  RetryPendingFailure();
  UploadInfo aborted;
  const Status ended = CommitStep([&](CommitContext& rows) -> Status {
    TIDEMARK_ASSIGN_OR_RETURN(SyncRow sync, LoadSync(rows, ordinal));
    TIDEMARK_RETURN_IF_ERROR(CheckOpen(sync));
    sync.state = UploadState::kAborted;
    sync.error.clear();
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
