// A pull or a push of a replica as sync statuses.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/batch.h"
#include "replication/sync_tracker.h"

namespace tidemark::internal {

/// One pull or push: it syncs the entities named, and those that its batches bring. What cannot be
/// written down is left out: a sync never fails because its status does. Thread-compatible.
class TrackedTransfer {
 public:
  /// `member` is what scopes know it by. Its batches are of kind `kind`.
  TrackedTransfer(SyncTracker& tracker,
                  std::string_view member,
                  BatchKind kind,
                  const std::vector<std::string>& entities);

  /// A batch that arrived; requires: it is one.
  void Note(std::string_view batch);
  void End(const Status& outcome);

 private:
  struct Total {
    uint64_t records = 0;
    uint64_t bytes = 0;
  };
  SyncTarget TargetOf(std::string_view entity) const;

  const std::string member_;
  const BatchKind kind_;
  std::unique_ptr<SyncOperation> operation_;
  std::map<std::string, Total, std::less<>> totals_;
};

}  // namespace tidemark::internal
