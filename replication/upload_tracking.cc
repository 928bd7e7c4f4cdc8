#include "replication/upload_tracking.h"

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace tidemark {
namespace {

constexpr std::string_view kProvider = "upload";

bool IsOpen(UploadState state) {
  return state == UploadState::kStarted || state == UploadState::kProcessing ||
         state == UploadState::kFailed;  // finish may be called again
}

Status OutcomeOf(const UploadInfo& info) {
  if (info.state == UploadState::kFinished || info.state == UploadState::kFinishedWithWarnings) {
    return {};
  }
  return {ErrorCode::kSyncClosed,
          "the upload sync was " + std::string(UploadStateName(info.state)) +
              (info.error.empty() ? "" : ": " + info.error)};
}

/// The present upload sync as an operation of the tracker. What cannot be written down is left out:
/// an upload never fails because its status does.
class TrackedUpload {
 public:
  explicit TrackedUpload(SyncTracker& tracker) : tracker_(tracker) {}

  void Note(const UploadInfo& info) {
    const std::lock_guard lock(mutex_);
    // Pages of a sync that ended meanwhile are told late, by the threads that brought them.
    if (ended_.contains(info.id)) return;
    if (info.id != sync_) Begin(info);
    if (operation_ == nullptr) return;
    for (const auto& [name, entity] : info.entities) {
      const auto known = accepted_.find(name);
      if (known != accepted_.end() && known->second == entity.accepted) continue;
      accepted_[name] = entity.accepted;
      static_cast<void>(operation_->Add(TargetOf(name, info)).ok());
      static_cast<void>(operation_->Progress(name, entity.accepted, 0).ok());
    }
    if (info.state == UploadState::kFailed) return End(Status(ErrorCode::kIoError, info.error));
    if (IsOpen(info.state)) return;
    End(OutcomeOf(info));
    if (ended_.size() >= kEndedKept) ended_.clear();
    ended_.insert(info.id);
  }

 private:
  // A thread tells of a page it brought soon after; more than so many syncs do not end meanwhile.
  static constexpr size_t kEndedKept = 64;

  static SyncTarget TargetOf(const std::string& entity, const UploadInfo& info) {
    return {.entity = entity, .provider = std::string(kProvider), .function_id = info.id};
  }

  void Begin(const UploadInfo& info) {
    std::vector<SyncTarget> targets;
    for (const auto& [name, entity] : info.entities) targets.push_back(TargetOf(name, info));
    auto begun = tracker_.Begin(kUploadMember, targets);
    operation_ = begun.ok() ? *std::move(begun) : nullptr;
    sync_ = info.id;
    accepted_.clear();
  }

  void End(const Status& outcome) {
    static_cast<void>(operation_->Finish(outcome).ok());
    operation_.reset();
    sync_.clear();
  }

  SyncTracker& tracker_;
  std::mutex mutex_;
  std::string sync_;
  std::unique_ptr<SyncOperation> operation_;
  std::map<std::string, uint64_t> accepted_;  // as told to the operation
  std::set<std::string> ended_;
};

}  // namespace

void TrackUploads(Uploads& uploads, SyncTracker& tracker) {
  const auto tracked = std::make_shared<TrackedUpload>(tracker);
  uploads.AddListener([tracked](const UploadInfo& info) { tracked->Note(info); });
  const auto active = uploads.active();
  if (!active.has_value()) return;
  if (const auto info = uploads.Get(*active); info.ok()) tracked->Note(*info);
}

}  // namespace tidemark
