// All routes of the server but health.
#pragma once

#include <vector>

#include "server/call.h"
#include "server/metrics.h"

namespace tidemark::server {

/// `metrics` must outlive the routes.
std::vector<Route> AllRoutes(Metrics& metrics);

}  // namespace tidemark::server
