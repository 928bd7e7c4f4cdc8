// A pull or a push of a replica as sync statuses.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "format/batch.h"
#include "replication/push.h"
#include "replication/sync_tracker.h"

namespace tidemark::internal {

/// One pull or push: it syncs the entities named, and those that its batches bring. Entities for
/// which there is no room share the row `*`, which also tells of a transfer that failed before it
/// knew of any entity. What cannot be written down is left out: a sync never fails because its
/// status does. Thread-compatible.
class TrackedTransfer {
 public:
  /// `member` is what scopes know it by.
  TrackedTransfer(SyncTracker& tracker,
                  std::string_view member,
                  const std::set<std::string>& entities);

  /// A page that arrived; requires: it is one.
  void NotePage(std::string_view page);
  /// A push that was answered. Entities of which not all was applied fail.
  void NotePush(std::string_view push, const PushResult& answers);
  void End(const Status& outcome);

 private:
  struct Total {
    uint64_t records = 0;
    uint64_t bytes = 0;
    std::array<uint64_t, kPushOutcomeCount> refused{};
  };
  using Totals = std::map<std::string, Total, std::less<>>;
  SyncTarget TargetOf(std::string_view entity) const;
  /// The row that tells of `entity`; begins it if need be.
  std::string_view RowOf(std::string_view entity);
  void Add(const Totals& brought);

  const std::string member_;
  std::unique_ptr<SyncOperation> operation_;
  std::set<std::string, std::less<>> rows_;  // entities of the operation
  Totals totals_;                            // by row
};

/// The entities of `member` that its latest run did not bring to an end that is good.
std::set<std::string> UnsyncedEntities(const SyncTracker& tracker, std::string_view member);

}  // namespace tidemark::internal
