// Members at work: what they report, and how they end.
#include <algorithm>
#include <utility>

#include "replication/internal/sync_rows.h"
#include "replication/internal/sync_tracker_impl.h"

namespace tidemark {
namespace internal {

Status CheckSyncTarget(const SyncTarget& target) {
  TIDEMARK_RETURN_IF_ERROR(CheckSyncName("the entity of a sync", target.entity));
  if (!target.provider.empty()) {
    TIDEMARK_RETURN_IF_ERROR(CheckSyncName("the provider of a sync", target.provider));
  }
  if (target.function_id.empty()) return {};
  return CheckSyncName("the function id of a sync", target.function_id);
}

}  // namespace internal

namespace {

constexpr std::string_view kGivenUp = "interrupted: the operation was given up";
constexpr std::string_view kBegunAnew = "interrupted: its member began anew without this entity";

/// At most `kSyncErrorBytesMax` bytes of `text`, whole characters, and UTF-8 whatever it was. On
/// one line: a control character would take six bytes in JSON, and the row of a scope has an end.
std::string Shortened(std::string_view text) {
  if (!IsUtf8(text)) return "an error whose text is not UTF-8";
  size_t size = std::min(text.size(), kSyncErrorBytesMax);
  while (size > 0 && size < text.size() &&
         (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) {
    --size;
  }
  std::string shortened(text.substr(0, size));
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < 0x20;
  };
  std::replace_if(shortened.begin(), shortened.end(), is_control, ' ');
  return shortened;
}

}  // namespace

Result<bool> SyncTracker::Impl::DeleteStatus(std::string_view id) {
  std::unique_lock lock(mutex_);
  if (closed_) return internal::SyncTrackerClosed();
  const auto found = statuses_.find(id);
  if (found == statuses_.end()) return false;
  if (found->second.state == SyncState::kSyncing) {
    return {ErrorCode::kConflict,
            "the sync " + std::string(id) + " is under way: delete its status when it has ended"};
  }
  Change change;
  change.now = Now();
  change.deleted_statuses.emplace_back(id);
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  Deliver(&lock);
  return true;
}

Status SyncTracker::Impl::CheckRoom(const Operation& operation) const {
  const size_t targets = operation.entities.size();
  if (targets > kMemberTargetsMax) {
    return internal::TooManySyncs("entities in one sync", kMemberTargetsMax);
  }
  const auto added = static_cast<size_t>(std::count_if(
      operation.entities.begin(), operation.entities.end(), [this](const SyncStatus& entity) {
        return !statuses_.contains(entity.id);
      }));
  if (statuses_.size() + added > kSyncStatusesMax) {
    return internal::TooManySyncs("sync statuses", kSyncStatusesMax);
  }
  for (const std::string& id : operation.scopes) {
    const SyncScope& scope = scopes_.find(id)->second;
    size_t in_scope = targets;
    for (const SyncMember& member : scope.members) {
      if (member.id != operation.member) in_scope += member.entities.size();
    }
    if (in_scope > kScopeTargetsMax) {
      return internal::TooManySyncs("entities in the members of a sync scope", kScopeTargetsMax);
    }
  }
  return {};
}

Result<uint64_t> SyncTracker::Impl::Begin(std::string_view member,
                                          const std::vector<SyncTarget>& targets) {
  TIDEMARK_RETURN_IF_ERROR(internal::CheckSyncName("the id of a member", member));
  Operation operation;
  operation.member = member;
  std::set<std::string_view> names;
  for (const SyncTarget& target : targets) {
    TIDEMARK_RETURN_IF_ERROR(internal::CheckSyncTarget(target));
    if (!names.insert(target.entity).second) {
      return {ErrorCode::kInvalidArgument, "a sync names each entity once: " + target.entity};
    }
    SyncStatus status;
    status.id = internal::SyncStatusId(member, target.entity);
    status.target = target;
    operation.entities.push_back(std::move(status));
  }
  std::unique_lock lock(mutex_);
  if (closed_) return internal::SyncTrackerClosed();
  for (auto& [id, scope] : scopes_) {
    if (scope.state == SyncState::kSyncing && internal::FindMember(&scope, member) != nullptr) {
      operation.scopes.insert(id);
    }
  }
  TIDEMARK_RETURN_IF_ERROR(CheckRoom(operation));
  Change change;
  change.now = Now();
  for (SyncStatus& status : operation.entities) {
    status.timestamp = change.now;
    change.statuses.insert_or_assign(status.id, status);
  }
  Supersede(member, &change);
  for (const std::string& id : operation.scopes) {
    Touch(id);
    SyncScope& scope = change.scopes.emplace(id, scopes_.find(id)->second).first->second;
    internal::BeginMember(
        &scope, internal::FindMember(&scope, member), operation.entities, change.now);
  }
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  if (const auto older = operation_of_.find(member); older != operation_of_.end()) {
    operations_.erase(older->second);
  }
  const uint64_t number = next_operation_++;
  operation_of_[std::string(member)] = number;
  operations_.emplace(number, std::move(operation));
  Deliver(&lock);
  return number;
}

void SyncTracker::Impl::Supersede(std::string_view member, Change* change) const {
  const auto older = operation_of_.find(member);
  if (older == operation_of_.end()) return;
  for (SyncStatus status : operations_.at(older->second).entities) {
    if (status.state != SyncState::kSyncing || change->statuses.contains(status.id)) continue;
    status.state = SyncState::kInterrupted;
    status.error = kBegunAnew;
    status.timestamp = change->now;
    change->statuses.emplace(status.id, std::move(status));
  }
}

Result<SyncTracker::Impl::Operation*> SyncTracker::Impl::FindOperation(uint64_t operation) {
  if (closed_) return internal::SyncTrackerClosed();
  const auto found = operations_.find(operation);
  if (found != operations_.end()) return &found->second;
  return {ErrorCode::kSuperseded, "the operation has ended, or its member began anew"};
}

SyncStatus* SyncTracker::Impl::FindEntity(Operation* operation, std::string_view entity) {
  const auto found = std::find_if(
      operation->entities.begin(), operation->entities.end(), [entity](const auto& status) {
        return status.target.entity == entity;
      });
  return found == operation->entities.end() ? nullptr : &*found;
}

void SyncTracker::Impl::UpdateScopes(const Operation& operation,
                                     const Status& outcome,
                                     bool complete,
                                     Change* change) {
  for (const std::string& id : operation.scopes) {
    Touch(id);
    SyncScope& scope = change->scopes.emplace(id, scopes_.find(id)->second).first->second;
    internal::UpdateMember(&scope,
                           internal::FindMember(&scope, operation.member),
                           operation.entities,
                           outcome,
                           complete,
                           change->now);
  }
}

Status SyncTracker::Impl::Add(uint64_t number, const SyncTarget& target) {
  TIDEMARK_RETURN_IF_ERROR(internal::CheckSyncTarget(target));
  std::unique_lock lock(mutex_);
  TIDEMARK_ASSIGN_OR_RETURN(Operation* const running, FindOperation(number));
  if (FindEntity(running, target.entity) != nullptr) return {};
  Operation operation = *running;
  if (HasOutcome(operation)) {
    return {ErrorCode::kConflict, "every entity of the operation has its outcome: begin anew"};
  }
  Change change;
  change.now = Now();
  SyncStatus status;
  status.id = internal::SyncStatusId(operation.member, target.entity);
  status.target = target;
  status.timestamp = change.now;
  change.statuses.emplace(status.id, status);
  operation.entities.push_back(std::move(status));
  TIDEMARK_RETURN_IF_ERROR(CheckRoom(operation));
  UpdateScopes(operation, {}, /*complete=*/false, &change);
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  *running = std::move(operation);
  Deliver(&lock);
  return {};
}

Status SyncTracker::Impl::Progress(uint64_t number,
                                   std::string_view entity,
                                   uint64_t records,
                                   uint64_t bytes) {
  if (records > kSyncCountMax || bytes > kSyncCountMax) {
    return {ErrorCode::kTooLarge,
            "records and bytes of a sync are at most " + std::to_string(kSyncCountMax)};
  }
  const std::lock_guard lock(mutex_);
  TIDEMARK_ASSIGN_OR_RETURN(Operation* const running, FindOperation(number));
  Operation operation = *running;
  SyncStatus* const status = FindEntity(&operation, entity);
  if (status == nullptr) {
    return {ErrorCode::kNotFound, "the operation has no entity " + std::string(entity)};
  }
  if (status->state != SyncState::kSyncing) {
    return {ErrorCode::kConflict, "the sync of " + std::string(entity) + " has its outcome"};
  }
  status->records = records;
  status->bytes = bytes;
  Change change;  // without a time: no state changes
  change.statuses.emplace(status->id, *status);
  UpdateScopes(operation, {}, /*complete=*/false, &change);
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  *running = std::move(operation);
  return {};
}

Status SyncTracker::Impl::End(uint64_t number,
                              std::string_view entity,
                              SyncState state,
                              std::string_view error) {
  std::unique_lock lock(mutex_);
  TIDEMARK_ASSIGN_OR_RETURN(Operation* const running, FindOperation(number));
  Operation operation = *running;
  SyncStatus* const status = FindEntity(&operation, entity);
  if (status == nullptr) {
    return {ErrorCode::kNotFound, "the operation has no entity " + std::string(entity)};
  }
  if (status->state != SyncState::kSyncing) {
    return {ErrorCode::kConflict, "the sync of " + std::string(entity) + " has its outcome"};
  }
  Change change;
  change.now = Now();
  status->state = state;
  status->error = Shortened(error);
  status->timestamp = change.now;
  change.statuses.emplace(status->id, *status);
  const bool complete = HasOutcome(operation);
  UpdateScopes(operation, {}, complete, &change);
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  if (complete) operation.scopes.clear();
  *running = std::move(operation);
  Deliver(&lock);
  return {};
}

Status SyncTracker::Impl::Finish(uint64_t number, const Status& outcome) {
  std::unique_lock lock(mutex_);
  TIDEMARK_ASSIGN_OR_RETURN(Operation* const running, FindOperation(number));
  Operation operation = *running;
  Change change;
  change.now = Now();
  for (SyncStatus& status : operation.entities) {
    if (status.state != SyncState::kSyncing) continue;
    status.state = outcome.ok() ? SyncState::kSynced : SyncState::kFailed;
    status.error = outcome.ok() ? std::string() : Shortened(outcome.ToString());
    status.timestamp = change.now;
    change.statuses.emplace(status.id, status);
  }
  UpdateScopes(operation,
               Status(outcome.code(), Shortened(outcome.message())),
               /*complete=*/true,
               &change);
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  operation_of_.erase(operation.member);
  operations_.erase(number);
  Deliver(&lock);
  return {};
}

/// The operation's handle is gone. What has no outcome never gets one.
void SyncTracker::Impl::GiveUp(uint64_t number) {
  std::unique_lock lock(mutex_);
  const auto found = operations_.find(number);
  if (found == operations_.end()) return;
  Operation& operation = found->second;
  Change change;
  change.now = Now();
  for (SyncStatus& status : operation.entities) {
    if (status.state != SyncState::kSyncing) continue;
    status.state = SyncState::kInterrupted;
    status.error = kGivenUp;
    status.timestamp = change.now;
    change.statuses.emplace(status.id, status);
  }
  UpdateScopes(
      operation, Status(ErrorCode::kClosed, std::string(kGivenUp)), /*complete=*/true, &change);
  // A store that cannot be written tells its other callers; the next open finds what is left.
  static_cast<void>(Commit(change).ok());
  operation_of_.erase(operation.member);
  operations_.erase(number);
  Deliver(&lock);
}

}  // namespace tidemark
