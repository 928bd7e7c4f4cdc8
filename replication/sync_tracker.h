// Sync scopes and sync statuses (seed 001, contract 39): what syncs, how far it is and how it
// ended, as tables that are read and watched like any entity of the store.
//
//   auto tracker = *tidemark::SyncTracker::Open(store);
//   tracker->StartScope("start-up", {"customers", "orders"});
//   auto operation = *tracker->Begin("customers", {{.entity = "customer", .provider = "crm"}});
//   operation->Progress("customer", 500, 120'000);
//   operation->Succeed("customer");
//
// `_syncStatus` has a row for each entity of each member, `_syncScope` one for each scope, and
// `_syncTransition` an event for each change of a state, the newest 10,000 at least. All three are
// local: no device is served them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/status.h"

namespace tidemark {

inline constexpr std::string_view kSyncStatusEntity = "_syncStatus";
inline constexpr std::string_view kSyncScopeEntity = "_syncScope";
inline constexpr std::string_view kSyncTransitionEntity = "_syncTransition";

// Public limits (docs/limits.md). Beyond one, a call answers `kTooLarge`.
inline constexpr size_t kSyncScopesMax = 1000;
inline constexpr size_t kSyncStatusesMax = 10'000;
inline constexpr size_t kScopeMembersMax = 256;
inline constexpr size_t kMemberTargetsMax = 256;   ///< entities of one operation
inline constexpr size_t kScopeTargetsMax = 1000;   ///< entities of all members of a scope
inline constexpr size_t kSyncNameBytesMax = 128;   ///< ids of scopes and members, providers, ...
inline constexpr size_t kSyncErrorBytesMax = 256;  ///< longer messages are cut
inline constexpr uint64_t kSyncCountMax = (uint64_t{1} << 63) - 1;  ///< records, bytes of a sync
inline constexpr size_t kSyncTransitionsKept = 10'000;  ///< at least; a tenth more at most

enum class SyncState : uint8_t { kNotStarted, kSyncing, kSynced, kFailed, kInterrupted };
/// "notStarted", "syncing", "synced", "failed", "interrupted": as the tables say it.
std::string_view SyncStateName(SyncState state);

/// An entity that a member syncs. Only `entity` is needed; it may be any text of 1 to 128 bytes.
struct SyncTarget {
  std::string entity;
  std::string provider;
  std::string function_id;
};

/// One row of `_syncStatus`. Its id is `<member>:<entity>`, with a `\` before each `:` and `\` of
/// the member; the row is updated in place.
struct SyncStatus {
  std::string id;
  SyncTarget target;
  SyncState state = SyncState::kSyncing;
  int64_t timestamp = 0;  ///< of the last change of state; milliseconds since 1970, increasing
  std::string error;      ///< why it failed or was interrupted; empty otherwise
  uint64_t records = 0;
  uint64_t bytes = 0;
};

/// A member of a scope, in the scope's present run.
struct SyncMember {
  std::string id;
  SyncState state = SyncState::kNotStarted;
  std::vector<SyncStatus> entities;
  std::optional<int64_t> started_at;
  std::optional<int64_t> ended_at;
  uint64_t attempts = 0;
  std::string error;
};

/// One row of `_syncScope`. At every instant `not_started + syncing + failed + synced +
/// interrupted` is the number of members.
struct SyncScope {
  std::string id;
  SyncState state = SyncState::kSyncing;
  uint64_t not_started = 0;
  uint64_t syncing = 0;
  uint64_t failed = 0;
  uint64_t synced = 0;
  uint64_t interrupted = 0;
  std::optional<int64_t> last_started_at;
  std::optional<int64_t> last_failed_at;
  std::optional<int64_t> last_synced_at;
  int64_t timestamp = 0;
  uint64_t run = 0;  ///< counts the starts
  std::vector<SyncMember> members;
};

/// A state that changed. `from` is empty for what is new, `to` for what was deleted.
struct SyncTransition {
  enum class Subject : uint8_t { kStatus, kScope };
  Subject subject = Subject::kStatus;
  std::string id;
  std::optional<SyncState> from;
  std::optional<SyncState> to;
  int64_t timestamp = 0;
  std::string error;
};

class SyncTracker;

/// A member at work on its entities. When it is destroyed, entities without an outcome are
/// interrupted. Once the member begins anew, reports of the older operation are `kSuperseded`.
/// Thread-safe. May outlive its tracker, and is then `kClosed`.
class SyncOperation {
 public:
  class Impl;
  explicit SyncOperation(std::unique_ptr<Impl> impl);
  ~SyncOperation();
  SyncOperation(const SyncOperation&) = delete;
  SyncOperation& operator=(const SyncOperation&) = delete;

  /// A further entity, found while syncing; one that is there already stays as it is.
  Status Add(const SyncTarget& target);
  /// Totals so far.
  Status Progress(std::string_view entity, uint64_t records, uint64_t bytes);
  Status Succeed(std::string_view entity);
  Status Fail(std::string_view entity, const Status& why);
  Status Fail(std::string_view entity, std::string_view error);
  /// The outcome of every entity that has none yet; synced when `outcome` is ok. A member without
  /// entities gets its outcome by this call, too.
  Status Finish(const Status& outcome = {});

 private:
  std::unique_ptr<Impl> impl_;
};

/// Keeps the tables. One tracker at a time for a store; what ran when its predecessor ended, by
/// whatever means, is interrupted when it opens. Thread-safe; its lock comes before those of the
/// store. Destroy it before its store.
class SyncTracker {
 public:
  static Result<std::unique_ptr<SyncTracker>> Open(Store& store);
  ~SyncTracker();
  SyncTracker(const SyncTracker&) = delete;
  SyncTracker& operator=(const SyncTracker&) = delete;

  /// Interrupts what still runs; later calls are `kClosed`. Also done by the destructor.
  Status Close();

  // Scopes.

  /// Starts or restarts: a new run in which no member has started. Without members it is synced at
  /// once. Operations begun before belong to no member of the new run.
  Result<SyncScope> StartScope(std::string_view id, const std::vector<std::string>& members);
  /// The same, but `kConflict` while the scope is syncing. Of many callers one wins.
  Result<SyncScope> StartScopeIfIdle(std::string_view id, const std::vector<std::string>& members);
  /// Members that are syncing are interrupted; operations go on, and report to the scope no more.
  /// Of a scope that is not syncing nothing changes. `kNotFound`.
  Result<SyncScope> InterruptScope(std::string_view id);
  /// The same for all scopes: the application goes to the background.
  Status InterruptAll();
  /// The same for scopes in which nothing happened for so long: no member is at work, and none
  /// began, went on or ended since, nor was the scope started. For owners whose callers may be gone
  /// without a word (docs/decisions/0013-idle-scopes.md); to be called now and then.
  Status InterruptIdleScopes(std::chrono::seconds idle);
  /// False when there is none. `kConflict` while it is syncing, unless forced; its members go on.
  Result<bool> DeleteScope(std::string_view id, bool force = false);

  // Statuses.

  /// Begins a run of `member`: each target is syncing; what its run before left without an outcome
  /// and is none of them is interrupted. A scope that is syncing and has this member counts it from
  /// now on; other scopes are not touched.
  Result<std::unique_ptr<SyncOperation>> Begin(std::string_view member,
                                               const std::vector<SyncTarget>& targets);
  /// False when there is none. `kConflict` while it is syncing.
  Result<bool> DeleteStatus(std::string_view id);

  // Reading: by id, in order.

  std::vector<SyncScope> ListScopes() const;
  std::optional<SyncScope> FindScope(std::string_view id) const;
  std::vector<SyncStatus> ListStatuses() const;
  std::optional<SyncStatus> FindStatus(std::string_view id) const;

  // Watching.

  /// Called with every transition, in their order and never twice at once, by the threads that
  /// cause them. May call the tracker, but not `StopListening`.
  uint64_t Listen(std::function<void(const SyncTransition&)> listener);
  /// Returns when no call of the listener is under way.
  void StopListening(uint64_t listener);

  class Impl;

 private:
  explicit SyncTracker(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// The JSON of the rows, as they are stored and answered over HTTP. An interrupted status reads
/// `failed`, as the seed gives statuses three states, and its error says so.
std::string SyncStatusToJson(const SyncStatus& status);
std::string SyncScopeToJson(const SyncScope& scope);
/// Its member `details` alone.
std::string SyncScopeDetailsToJson(const SyncScope& scope);

/// The tables as they are stored, by id, for who has no tracker. If no process has the store open
/// for writing (`owned` is false), what they say is syncing was interrupted, and is shown so.
Result<std::vector<SyncStatus>> ReadSyncStatuses(const Store& store, bool owned);
Result<std::vector<SyncScope>> ReadSyncScopes(const Store& store, bool owned);

}  // namespace tidemark
