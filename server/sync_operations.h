// Operations of applications that report over HTTP: each has a lease, and one whose owner lets it
// run out is interrupted.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "db/runtime.h"
#include "format/status.h"
#include "replication/sync_tracker.h"

namespace tidemark::server {

// Public limits (docs/limits.md).
inline constexpr size_t kSyncOperationsMax = 1000;  ///< at work at once, of an instance
inline constexpr std::chrono::seconds kSyncLeaseMax(900);
inline constexpr std::chrono::seconds kSyncLeaseDefault(60);
/// A scope in which nothing happens for so long is interrupted: whoever started it is gone.
inline constexpr std::chrono::seconds kSyncScopeIdleMax = kSyncLeaseMax;

/// Thread-safe. Operations are named by random ids, and live as long as this. Destroy it before its
/// tracker: what has no outcome is interrupted then. Calls are `kNotFound` for an operation that
/// has ended, also because its member began anew.
class SyncOperations {
 public:
  SyncOperations(SyncTracker& tracker, Runtime& runtime) : tracker_(tracker), runtime_(runtime) {}

  /// Returns its id. `kTooLarge` beyond 1,000 that are at work; `kInvalidArgument` for members that
  /// the server itself keeps, `upload` and `pull`.
  Result<std::string> Begin(const std::string& member,
                            const std::vector<SyncTarget>& targets,
                            std::chrono::seconds lease);
  /// Each of the calls below renews the lease.
  Status Renew(std::string_view id);
  Status Add(std::string_view id, const SyncTarget& target);
  Status Progress(std::string_view id, std::string_view entity, uint64_t records, uint64_t bytes);
  /// The outcome of one entity, or of all that have none: synced without an error. True when the
  /// operation has ended by that.
  Result<bool> Finish(std::string_view id,
                      const std::optional<std::string>& entity,
                      const std::optional<std::string>& error);

  /// Interrupts those whose lease ran out.
  void Expire();
  /// Whether one is at work: its lease has not run out.
  bool AnyAtWork() const;

 private:
  struct Running {
    std::shared_ptr<SyncOperation> operation;
    std::string member;
    std::set<std::string, std::less<>> open;  // entities without an outcome
    std::chrono::seconds lease{};
    MonotonicTime renewed;
  };

  /// Renews it.
  Result<std::shared_ptr<SyncOperation>> Find(std::string_view id);
  /// What a call of the operation came to: one that is superseded is not kept.
  Status Noted(std::string_view id, const Status& status);
  void End(std::string_view id);
  Result<std::vector<std::string>> OpenEntities(std::string_view id) const;

  SyncTracker& tracker_;
  Runtime& runtime_;
  /// One begins after the other, so that of two of a member the tracker and `running_` agree on
  /// which is the newer one. Taken before `mutex_` and the tracker's.
  std::mutex beginning_;
  mutable std::mutex mutex_;  // not held while the tracker is called, nor while operations end
  std::map<std::string, Running, std::less<>> running_;
};

}  // namespace tidemark::server
