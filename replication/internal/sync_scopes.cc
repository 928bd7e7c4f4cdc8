// Sync scopes: started, interrupted, deleted.
#include <algorithm>
#include <utility>

#include "replication/internal/sync_tracker_impl.h"

namespace tidemark {

Result<SyncScope> SyncTracker::Impl::StartScope(std::string_view id,
                                                const std::vector<std::string>& members,
                                                bool only_if_idle) {
  TIDEMARK_RETURN_IF_ERROR(internal::CheckSyncName("the id of a sync scope", id));
  if (members.size() > kScopeMembersMax) {
    return internal::TooManySyncs("members of a sync scope", kScopeMembersMax);
  }
  for (const std::string& member : members) {
    TIDEMARK_RETURN_IF_ERROR(internal::CheckSyncName("the id of a member", member));
  }
  if (std::set<std::string_view>(members.begin(), members.end()).size() != members.size()) {
    return {ErrorCode::kInvalidArgument, "a sync scope names each member once"};
  }
  std::unique_lock lock(mutex_);
  if (closed_) return internal::SyncTrackerClosed();
  const auto found = scopes_.find(id);
  if (found == scopes_.end() && scopes_.size() >= kSyncScopesMax) {
    return internal::TooManySyncs("sync scopes", kSyncScopesMax);
  }
  if (only_if_idle && found != scopes_.end() && found->second.state == SyncState::kSyncing) {
    return {ErrorCode::kConflict, "the sync scope " + std::string(id) + " is syncing"};
  }
  SyncScope scope = found == scopes_.end() ? SyncScope{} : found->second;
  scope.id = id;
  Change change;
  change.now = Now();
  internal::Start(&scope, members, change.now);
  change.scopes.emplace(scope.id, scope);
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  LeaveScope(id);
  Touch(scope.id);
  Deliver(&lock);
  return scope;
}

/// Operations that are under way belong to no later run of the scope.
void SyncTracker::Impl::LeaveScope(std::string_view scope) {
  for (auto& [number, operation] : operations_) {
    const auto found = operation.scopes.find(scope);
    if (found != operation.scopes.end()) operation.scopes.erase(found);
  }
}

Result<SyncScope> SyncTracker::Impl::InterruptScope(std::string_view id) {
  std::unique_lock lock(mutex_);
  if (closed_) return internal::SyncTrackerClosed();
  const auto found = scopes_.find(id);
  if (found == scopes_.end()) {
    return {ErrorCode::kNotFound, "there is no sync scope " + std::string(id)};
  }
  SyncScope scope = found->second;
  if (scope.state != SyncState::kSyncing) return scope;
  Change change;
  change.now = Now();
  internal::Interrupt(&scope, change.now);
  change.scopes.emplace(scope.id, scope);
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  LeaveScope(id);
  Deliver(&lock);
  return scope;
}

Status SyncTracker::Impl::InterruptAll() {
  std::unique_lock lock(mutex_);
  if (closed_) return internal::SyncTrackerClosed();
  Change change;
  change.now = Now();
  for (const auto& [id, scope] : scopes_) {
    if (scope.state != SyncState::kSyncing) continue;
    internal::Interrupt(&change.scopes.emplace(id, scope).first->second, change.now);
  }
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  for (auto& [number, operation] : operations_) operation.scopes.clear();
  Deliver(&lock);
  return {};
}

bool SyncTracker::Impl::IsAtWork(std::string_view scope) const {
  return std::any_of(operations_.begin(), operations_.end(), [scope](const auto& operation) {
    return operation.second.scopes.contains(scope);
  });
}

Status SyncTracker::Impl::InterruptIdleScopes(std::chrono::seconds idle) {
  std::unique_lock lock(mutex_);
  if (closed_) return internal::SyncTrackerClosed();
  const MonotonicTime now = store_.runtime().clock().Now();
  std::vector<std::string> idle_scopes;
  for (const auto& [id, scope] : scopes_) {
    if (scope.state != SyncState::kSyncing) continue;
    if (IsAtWork(id)) {
      touched_[id] = now;
    } else if (now - touched_[id] >= idle) {
      idle_scopes.push_back(id);
    }
  }
  if (idle_scopes.empty()) return {};
  Change change;
  change.now = Now();
  for (const std::string& id : idle_scopes) {
    SyncScope& scope = change.scopes.emplace(id, scopes_.find(id)->second).first->second;
    internal::Interrupt(&scope, change.now);
  }
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  Deliver(&lock);
  return {};
}

Result<bool> SyncTracker::Impl::DeleteScope(std::string_view id, bool force) {
  std::unique_lock lock(mutex_);
  if (closed_) return internal::SyncTrackerClosed();
  const auto found = scopes_.find(id);
  if (found == scopes_.end()) return false;
  if (found->second.state == SyncState::kSyncing && !force) {
    return {ErrorCode::kConflict,
            "the sync scope " + std::string(id) + " is syncing; interrupt it first, or force it"};
  }
  Change change;
  change.now = Now();
  change.deleted_scopes.emplace_back(id);
  TIDEMARK_RETURN_IF_ERROR(Commit(change));
  LeaveScope(id);
  if (const auto touched = touched_.find(id); touched != touched_.end()) touched_.erase(touched);
  Deliver(&lock);
  return true;
}

}  // namespace tidemark
