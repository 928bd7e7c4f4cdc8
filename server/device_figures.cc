#include "server/device_figures.h"

#include <algorithm>
#include <utility>

#include "replication/source.h"

namespace tidemark::server {
namespace {

// Counting may take this share of the time.
constexpr int kRestAfterWork = 50;

DeviceTotals CountDevices(Instance& instance) {
  DeviceTotals totals;
  const SequenceNumber last = instance.store().last_sequence();
  for (const DeviceInfo& device : instance.source().ListDevices()) {
    if (device.forgotten) continue;
    ++totals.devices;
    if (device.session_open) ++totals.sessions;
    if (device.owed > 0) {
      ++totals.behind;
      totals.lag_max = std::max(totals.lag_max, device.floor < last ? last - device.floor : 0);
    }
    totals.owed += device.owed;
    totals.owed_max = std::max(totals.owed_max, device.owed);
    totals.unacknowledged += device.unacknowledged;
    totals.holding_max = std::max(totals.holding_max, device.holding);
  }
  return totals;
}

void Add(DeviceTotals* sum, const DeviceTotals& one) {
  sum->devices += one.devices;
  sum->behind += one.behind;
  sum->sessions += one.sessions;
  sum->lag_max = std::max(sum->lag_max, one.lag_max);
  sum->owed += one.owed;
  sum->owed_max = std::max(sum->owed_max, one.owed_max);
  sum->unacknowledged += one.unacknowledged;
  sum->holding_max = std::max(sum->holding_max, one.holding_max);
}

}  // namespace

DeviceTotals DeviceFigures::Totals(const std::vector<std::shared_ptr<Instance>>& instances,
                                   Clock& clock) {
  const std::lock_guard lock(mutex_);
  const MonotonicTime now = clock.Now();
  std::erase_if(counted_, [now](const auto& one) { return one.second.good_until <= now; });
  DeviceTotals sum;
  for (const auto& instance : instances) {
    auto known = counted_.find(instance->name());
    if (known == counted_.end()) {
      const MonotonicTime begin = clock.Now();
      Counted counted{.totals = CountDevices(*instance), .good_until = {}};
      const MonotonicTime end = clock.Now();
      counted.good_until = end + (end - begin) * kRestAfterWork;
      known = counted_.emplace(instance->name(), counted).first;
    }
    Add(&sum, known->second.totals);
  }
  return sum;
}

}  // namespace tidemark::server
