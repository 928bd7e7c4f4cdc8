// How far the devices of all open instances are, together.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "db/runtime.h"
#include "server/instance.h"

namespace tidemark::server {

struct DeviceTotals {
  uint64_t devices = 0;   ///< not forgotten
  uint64_t behind = 0;    ///< owed something
  uint64_t sessions = 0;  ///< open
  uint64_t lag_max = 0;   ///< changes since the last settled session
  uint64_t owed = 0;
  uint64_t owed_max = 0;
  uint64_t unacknowledged = 0;
  uint64_t holding_max = 0;
};

/// Counting devices reads what they are owed, so it is not done at every look: an instance whose
/// counting took long is counted the more rarely. Thread-safe.
class DeviceFigures {
 public:
  /// Over `instances`, which are open.
  DeviceTotals Totals(const std::vector<std::shared_ptr<Instance>>& instances, Clock& clock);

 private:
  struct Counted {
    DeviceTotals totals;
    MonotonicTime good_until;
  };

  std::mutex mutex_;
  std::map<std::string, Counted> counted_;  // by instance, of those counted a moment ago
};

}  // namespace tidemark::server
