// The inside of the sync tracker: its tables in memory, each change committed before it shows.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "replication/internal/scope_state.h"
#include "replication/sync_tracker.h"

namespace tidemark {
namespace internal {

/// 1 to 128 bytes without control characters; `what` names it in the error.
Status CheckSyncName(std::string_view what, std::string_view text);
Status CheckSyncTarget(const SyncTarget& target);
Status TooManySyncs(std::string_view what, size_t most);
Status SyncTrackerClosed();

}  // namespace internal

class SyncTracker::Impl {
 public:
  explicit Impl(Store& store) : store_(store) {}

  Status Load();
  Status Close();

  Result<SyncScope> StartScope(std::string_view id,
                               const std::vector<std::string>& members,
                               bool only_if_idle);
  Result<SyncScope> InterruptScope(std::string_view id);
  Status InterruptAll();
  Status InterruptIdleScopes(std::chrono::seconds idle);
  Result<bool> DeleteScope(std::string_view id, bool force);
  Result<bool> DeleteStatus(std::string_view id);

  Result<uint64_t> Begin(std::string_view member, const std::vector<SyncTarget>& targets);
  Status Add(uint64_t operation, const SyncTarget& target);
  Status Progress(uint64_t operation, std::string_view entity, uint64_t records, uint64_t bytes);
  Status End(uint64_t operation, std::string_view entity, SyncState state, std::string_view error);
  Status Finish(uint64_t operation, const Status& outcome);
  void GiveUp(uint64_t operation);

  std::vector<SyncScope> ListScopes() const;
  std::optional<SyncScope> FindScope(std::string_view id) const;
  std::vector<SyncStatus> ListStatuses() const;
  std::optional<SyncStatus> FindStatus(std::string_view id) const;

  uint64_t Listen(std::function<void(const SyncTransition&)> listener);
  void StopListening(uint64_t listener);

 private:
  struct Operation {
    std::string member;
    std::vector<SyncStatus> entities;
    std::set<std::string, std::less<>> scopes;  // whose present run waits for it: all are syncing
  };

  /// What one call changes: applied to the tables in memory once it is committed.
  struct Change {
    int64_t now = 0;
    std::map<std::string, SyncScope, std::less<>> scopes;
    std::map<std::string, SyncStatus, std::less<>> statuses;
    std::vector<std::string> deleted_scopes;
    std::vector<std::string> deleted_statuses;
  };

  Status LoadStatuses(Change* change);
  Status LoadScopes(Change* change);
  Status LoadTransitions();
  int64_t Now();
  Result<Operation*> FindOperation(uint64_t operation);
  static SyncStatus* FindEntity(Operation* operation, std::string_view entity);
  static bool HasOutcome(const Operation& operation) {
    return !operation.entities.empty() &&
           internal::MemberState(operation.entities) != SyncState::kSyncing;
  }
  void UpdateScopes(const Operation& operation,
                    const Status& outcome,
                    bool complete,
                    Change* change);
  Status CheckRoom(const Operation& operation) const;
  void LeaveScope(std::string_view scope);
  /// Something happened in the scope.
  void Touch(const std::string& scope) { touched_[scope] = store_.runtime().clock().Now(); }
  bool IsAtWork(std::string_view scope) const;
  /// What the member's run before left without an outcome gets none any more.
  void Supersede(std::string_view member, Change* change) const;
  std::vector<SyncTransition> TransitionsOf(const Change& change) const;
  Status Commit(const Change& change);
  void TrimTransitions();
  void Deliver(std::unique_lock<std::mutex>* lock);

  Store& store_;
  mutable std::mutex mutex_;
  bool closed_ = false;
  int64_t newest_ = 0;  // no timestamp repeats, and none goes back
  std::map<std::string, SyncScope, std::less<>> scopes_;
  std::map<std::string, MonotonicTime, std::less<>> touched_;  // scopes; when something happened
  std::map<std::string, SyncStatus, std::less<>> statuses_;
  std::map<uint64_t, Operation> operations_;
  std::map<std::string, uint64_t, std::less<>> operation_of_;  // newest of each member
  uint64_t next_operation_ = 1;
  std::deque<SequenceNumber> transitions_;  // versions of the events kept, oldest first

  std::map<uint64_t, std::function<void(const SyncTransition&)>> listeners_;
  uint64_t next_listener_ = 1;
  std::deque<SyncTransition> undelivered_;
  bool delivering_ = false;
  std::condition_variable delivered_;
};

}  // namespace tidemark
