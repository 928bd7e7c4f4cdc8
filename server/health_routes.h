// Whether the server lives, whether it can serve, and what it counts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/call.h"

namespace tidemark::server {

struct HealthSources {
  /// Why the server cannot serve; empty when it can. Must not block.
  std::function<std::string()> not_ready;
  /// The answer of `/metrics`: the figures that the caller may see, or a refusal.
  std::function<http::Response(const http::Request& request)> metrics;
};

/// Routes that need no token, except for what `metrics` refuses.
std::vector<Route> HealthRoutes(HealthSources sources);

}  // namespace tidemark::server
