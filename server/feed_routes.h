// `GET /v1/changes`: the change log as lines of JSON, with long polling, or live as events.
#pragma once

#include <chrono>
#include <vector>

#include "server/call.h"

namespace tidemark::server {

struct FeedRouteOptions {
  /// A live stream without a change says this often that it is alive.
  std::chrono::milliseconds heartbeat{15'000};
};

std::vector<Route> FeedRoutes(const FeedRouteOptions& options = {});

}  // namespace tidemark::server
