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
  std::map<std::string, Counted> now_open;
  DeviceTotals sum;
  for (const auto& instance : instances) {
    Counted counted;
    const MonotonicTime begin = clock.Now();
    const auto known = counted_.find(instance->name());
    if (known != counted_.end() && begin < known->second.good_until) {
      counted = known->second;
    } else {
      counted.totals = CountDevices(*instance);
      const MonotonicTime end = clock.Now();
      counted.good_until = end + (end - begin) * kRestAfterWork;
    }
    Add(&sum, counted.totals);
    now_open.emplace(instance->name(), counted);
  }
  counted_ = std::move(now_open);
  return sum;
}

}  // namespace tidemark::server
