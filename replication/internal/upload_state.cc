#include "replication/internal/upload_state.h"

#include <algorithm>

namespace tidemark {

std::string_view UploadStateName(UploadState state) {
  switch (state) {
    case UploadState::kStarted:
      return "started";
    case UploadState::kProcessing:
      return "processing";
    case UploadState::kFinished:
      return "finished";
    case UploadState::kFinishedWithWarnings:
      return "finished_with_warnings";
    case UploadState::kFailed:
      return "failed";
    case UploadState::kAborted:
      return "aborted";
    case UploadState::kSuperseded:
      return "superseded";
  }
  return "unknown";
}

namespace internal {
namespace {

Status Closed(const SyncRow& sync) {
  return {ErrorCode::kSyncClosed,
          "upload sync " + sync.id + " is " + std::string(UploadStateName(sync.state))};
}

void Forget(SyncRow* sync, SyncEntity* entity, const PageRow& page) {
  entity->pages -= page.staged ? 1 : 0;
  entity->refused -= page.refused ? 1 : 0;
  entity->accepted -= page.accepted;
  entity->rejected -= page.rejected;
  sync->rejected_listed -= page.rejected_listed;
}

void Remember(SyncRow* sync, SyncEntity* entity, PageRow* page) {
  const uint64_t room = kRejectedRowsMax - std::min(sync->rejected_listed, kRejectedRowsMax);
  page->rejected_listed = std::min(page->rejected, room);
  entity->pages += page->staged ? 1 : 0;
  entity->refused += page->refused ? 1 : 0;
  entity->accepted += page->accepted;
  entity->rejected += page->rejected;
  sync->rejected_listed += page->rejected_listed;
}

}  // namespace

Status CheckOpen(const SyncRow& sync) {
  const bool open = sync.state == UploadState::kStarted || sync.state == UploadState::kFailed;
  return open ? Status() : Closed(sync);
}

Status CheckPageEntity(const SyncRow& sync, const std::string& entity, EntityKind kind) {
  const auto found = sync.entities.find(entity);
  if (found != sync.entities.end()) {
    if (found->second.kind == kind) return {};
    return {ErrorCode::kWrongKind,
            entity + ": earlier pages of this sync came by the call for the other kind"};
  }
  const auto same_kind =
      std::count_if(sync.entities.begin(), sync.entities.end(), [&](const auto& other) {
        return other.second.kind == kind;
      });
  if (static_cast<size_t>(same_kind) < kEntitiesOfAKindMax) return {};
  return {ErrorCode::kTooLarge,
          entity + ": a store has at most " + std::to_string(kEntitiesOfAKindMax) +
              " entities of a kind"};
}

void ReplacePage(SyncRow* sync,
                 const std::string& entity,
                 EntityKind kind,
                 const std::optional<PageRow>& before,
                 PageRow* after) {
  SyncEntity& counts = sync->entities[entity];
  counts.kind = kind;
  if (before) Forget(sync, &counts, *before);
  after->staged = true;
  after->refused = false;
  Remember(sync, &counts, after);
}

void RefusePage(SyncRow* sync,
                const std::string& entity,
                EntityKind kind,
                const std::optional<PageRow>& before,
                PageRow* after) {
  SyncEntity& counts = sync->entities[entity];
  counts.kind = kind;
  if (before) Forget(sync, &counts, *before);
  after->staged = before && before->staged;
  after->refused = true;
  after->accepted = before ? before->accepted : 0;
  after->hash = before ? before->hash : std::string();
  Remember(sync, &counts, after);
}

Status CheckComplete(const SyncRow& sync, const FinishOptions& options) {
  for (const auto& [name, pages_expected] : options.expected_pages) {
    const auto found = sync.entities.find(name);
    const uint64_t pages = found == sync.entities.end() ? 0 : found->second.pages;
    if (pages != pages_expected) {
      return {ErrorCode::kMissingPages,
              name + ": " + std::to_string(pages) + " pages are here, " +
                  std::to_string(pages_expected) + " were expected"};
    }
  }
  for (const auto& [name, entity] : sync.entities) {
    if (entity.refused > 0) {
      return {ErrorCode::kStrictRejected,
              name + ": " + std::to_string(entity.refused) +
                  " pages were refused for bad rows and not sent again"};
    }
  }
  return {};
}

Status BeginFinish(SyncRow* sync, const FinishOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckOpen(*sync));
  TIDEMARK_RETURN_IF_ERROR(CheckComplete(*sync, options));
  sync->state = UploadState::kProcessing;
  sync->ended_at_ms = 0;
  sync->warnings.clear();
  sync->error.clear();
  sync->dangling_chunks = 0;
  for (auto& [name, entity] : sync->entities) {
    entity.dangling = 0;
    entity.counts = {};
  }
  return {};
}

bool IsRefusal(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kTooLarge:
    case ErrorCode::kWrongKind:
    case ErrorCode::kReserved:
    case ErrorCode::kConflict:
    case ErrorCode::kDeleteGuard:
    case ErrorCode::kMissingPages:
    case ErrorCode::kStrictRejected:
    case ErrorCode::kDanglingReferences:
      return true;
    default:
      return false;
  }
}

}  // namespace internal
}  // namespace tidemark
