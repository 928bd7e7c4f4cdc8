// What a server tells about itself, as Prometheus reads it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/listener.h"
#include "server/device_figures.h"
#include "server/instance.h"
#include "server/store_counters.h"
#include "server/traffic.h"

namespace tidemark::server {

/// Figures of the whole server, and of one instance for whoever administers that one only.
/// Thread-safe.
class Metrics {
 public:
  /// What was asked and answered, over all instances and none.
  Traffic& traffic() { return traffic_; }

  /// Totals over `open`, the instances that are open, and what the process counts.
  std::string Text(const std::vector<std::shared_ptr<Instance>>& open,
                   const http::ListenerStatistics& listener,
                   Clock& clock);
  /// The same of one instance, null while it is closed: nothing by which others could be told
  /// about. Its counters begin anew when it is opened again.
  std::string TextOf(const std::shared_ptr<Instance>& instance, Clock& clock);

 private:
  Traffic traffic_;
  StoreCounters stores_;
  DeviceFigures devices_;
};

}  // namespace tidemark::server
