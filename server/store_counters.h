// What stores counted, added up over stores that open and close: a counter never goes back.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "db/store.h"
#include "server/instance.h"

namespace tidemark::server {

struct StoreCounts {
  uint64_t commits = 0;
  uint64_t commit_groups = 0;
  uint64_t wal_syncs = 0;
  uint64_t wal_sync_micros = 0;
  uint64_t folds = 0;
};

/// Thread-safe. Of an instance that closes, what it counted after the last look is lost.
class StoreCounters {
 public:
  /// Since this was made, over `open` and all that it was given before.
  StoreCounts Total(const std::vector<std::shared_ptr<Instance>>& open);

 private:
  struct Seen {
    std::weak_ptr<Instance> instance;  // opened again it is another one, and counts from zero
    StoreCounts counts;
  };

  std::mutex mutex_;
  StoreCounts total_;
  std::map<std::string, Seen> seen_;  // by instance, of those that were open at the last look
};

/// What one store counted since it was opened.
StoreCounts CountsOf(const StoreStatistics& statistics);

}  // namespace tidemark::server
