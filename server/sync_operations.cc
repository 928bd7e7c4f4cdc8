#include "server/sync_operations.h"

#include <algorithm>
#include <array>
#include <utility>

#include "format/coding.h"
#include "replication/replica.h"
#include "replication/upload_tracking.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

constexpr size_t kIdBytes = 16;

Status NoOperation() {
  return {
      ErrorCode::kNotFound,
      "there is no such sync operation: it has ended, its lease ran out, its member began anew, or "
      "its server restarted"};
}

}  // namespace

Result<std::string> SyncOperations::Begin(const std::string& member,
                                          const std::vector<SyncTarget>& targets,
                                          std::chrono::seconds lease) {
  if (member == kUploadMember || member == kPullMember) {
    return FieldError("member", "is one that the server itself keeps");
  }
  const std::lock_guard beginning(beginning_);
  Expire();
  {
    const std::lock_guard lock(mutex_);
    if (running_.size() >= kSyncOperationsMax) {
      return {ErrorCode::kTooLarge,
              std::to_string(kSyncOperationsMax) + " sync operations are at work"};
    }
  }
  TIDEMARK_ASSIGN_OR_RETURN(std::unique_ptr<SyncOperation> operation,
                            tracker_.Begin(member, targets));
  std::array<uint8_t, kIdBytes> bytes{};
  runtime_.random().Fill(bytes);
  std::string id = Base64UrlEncode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  Running running{.operation = std::move(operation),
                  .member = member,
                  .open = {},
                  .lease = lease,
                  .renewed = runtime_.clock().Now()};
  for (const SyncTarget& target : targets) running.open.insert(target.entity);
  std::vector<std::shared_ptr<SyncOperation>> superseded;  // end when the lock is let go
  const std::lock_guard lock(mutex_);
  std::erase_if(running_, [&](auto& one) {
    const bool over = one.second.member == member;
    if (over) superseded.push_back(std::move(one.second.operation));
    return over;
  });
  running_.emplace(id, std::move(running));
  return id;
}

Result<std::shared_ptr<SyncOperation>> SyncOperations::Find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(id);
  const MonotonicTime now = runtime_.clock().Now();
  if (found == running_.end() || now - found->second.renewed > found->second.lease) {
    return NoOperation();
  }
  found->second.renewed = now;
  return found->second.operation;
}

void SyncOperations::End(std::string_view id) {
  std::shared_ptr<SyncOperation> ended;  // interrupts what is open, so not under the lock
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  ended = std::move(found->second.operation);
  running_.erase(found);
}

Status SyncOperations::Noted(std::string_view id, const Status& status) {
  if (status.code() == ErrorCode::kSuperseded) End(id);
  return status;
}

Status SyncOperations::Renew(std::string_view id) {
  return Find(id).status();
}

Status SyncOperations::Add(std::string_view id, const SyncTarget& target) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto operation, Find(id));
  TIDEMARK_RETURN_IF_ERROR(Noted(id, operation->Add(target)));
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(id);
  if (found != running_.end()) found->second.open.insert(target.entity);
  return {};
}

Status SyncOperations::Progress(std::string_view id,
                                std::string_view entity,
                                uint64_t records,
                                uint64_t bytes) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto operation, Find(id));
  return Noted(id, operation->Progress(entity, records, bytes));
}

Result<std::vector<std::string>> SyncOperations::OpenEntities(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(id);
  if (found == running_.end()) return NoOperation();
  return std::vector<std::string>(found->second.open.begin(), found->second.open.end());
}

Result<bool> SyncOperations::Finish(std::string_view id,
                                    const std::optional<std::string>& entity,
                                    const std::optional<std::string>& error) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto operation, Find(id));
  std::vector<std::string> entities;
  if (entity) {
    entities.push_back(*entity);
  } else {
    TIDEMARK_ASSIGN_OR_RETURN(entities, OpenEntities(id));
  }
  for (const std::string& one : entities) {
    const Status ended = error ? operation->Fail(one, *error) : operation->Succeed(one);
    TIDEMARK_RETURN_IF_ERROR(Noted(id, ended));
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(id);
    if (found != running_.end()) found->second.open.erase(one);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<std::string> open, OpenEntities(id));
  if (!open.empty()) return false;
  // A member without entities has its outcome by this alone.
  const Status outcome = error ? Status(ErrorCode::kUnavailable, *error) : Status();
  TIDEMARK_RETURN_IF_ERROR(Noted(id, operation->Finish(outcome)));
  End(id);
  return true;
}

void SyncOperations::Expire() {
  std::vector<std::shared_ptr<SyncOperation>> expired;  // end when the lock is let go
  const std::lock_guard lock(mutex_);
  const MonotonicTime now = runtime_.clock().Now();
  std::erase_if(running_, [&](auto& one) {
    const bool over = now - one.second.renewed > one.second.lease;
    if (over) expired.push_back(std::move(one.second.operation));
    return over;
  });
}

bool SyncOperations::AnyAtWork() const {
  const std::lock_guard lock(mutex_);
  const MonotonicTime now = runtime_.clock().Now();
  return std::any_of(running_.begin(), running_.end(), [now](const auto& one) {
    return now - one.second.renewed <= one.second.lease;
  });
}

}  // namespace tidemark::server
