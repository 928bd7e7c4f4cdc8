// A pull of a replica as sync statuses.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "db/store.h"
#include "replication/sync_tracker.h"

namespace tidemark::internal {

/// One pull: it syncs every entity the replica has, and those that its pages bring. What cannot be
/// written down is left out: a pull never fails because its status does. Thread-compatible.
class TrackedPull {
 public:
  TrackedPull(SyncTracker& tracker, const Store& store);

  /// A page that was applied; requires: it is one.
  void Note(std::string_view page);
  void End(const Status& outcome);

 private:
  struct Total {
    uint64_t records = 0;
    uint64_t bytes = 0;
  };

  std::unique_ptr<SyncOperation> operation_;
  std::map<std::string, Total, std::less<>> totals_;
};

}  // namespace tidemark::internal
