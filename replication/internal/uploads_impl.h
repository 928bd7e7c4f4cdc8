// The parts of the upload layer, put together.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/internal/upload_finish.h"
#include "replication/internal/upload_page.h"
#include "replication/internal/upload_rows.h"
#include "replication/internal/upload_state.h"
#include "replication/upload.h"

namespace tidemark {
namespace internal {

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

}  // namespace internal

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
    UploadInfo info;
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
  Result<EntityDeclaration> DeclarationFor(const UploadPage& page,
                                           const internal::SyncRow& sync) const;
  Status RefusePage(uint64_t ordinal,
                    const UploadPage& page,
                    const internal::PreparedPage& prepared);
  Status PageStep(CommitContext& rows,
                  uint64_t ordinal,
                  const UploadPage& page,
                  const internal::PreparedPage& prepared,
                  bool refused,
                  UploadInfo* info) const;

  Result<UploadInfo> DryRun(uint64_t ordinal,
                            const internal::SyncRow& sync,
                            const FinishOptions& options);
  Result<UploadInfo> RunFinish(uint64_t ordinal, const FinishOptions& options);
  Result<UploadInfo> ApplyPlans(uint64_t ordinal,
                                const internal::FinishPlanner& planner,
                                internal::SyncRow sync,
                                const FinishOptions& options);
  /// Takes the sync out of processing: back to started, or to failed. Answers `reason`.
  void NoteRefusal(uint64_t ordinal, const Status& reason);
  Status EndUnfinished(uint64_t ordinal, internal::SyncRow sync, Status reason);
  void RetryPendingFailure();
  void WaitForFinish();

  void CleanUp(uint64_t ordinal, internal::Cleanup cleanup);
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

}  // namespace tidemark
