// Whether the server lives, whether it can serve, and what it counts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/call.h"

namespace tidemark::server {

struct HealthSources {
  /// Why the server cannot serve; empty when it can. Must not block.
  std::function<std::string()> not_ready;
  /// The text of `/metrics`.
  std::function<std::string()> metrics;
  /// The refusal for who may not see the metrics.
  std::function<std::optional<http::Response>(const http::Request& request)> admit_to_metrics;
};

/// Routes that need no token, except for what `sources` refuse.
std::vector<Route> HealthRoutes(HealthSources sources);

}  // namespace tidemark::server
