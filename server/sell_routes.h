// The device protocol: the three calls of the Sell wire, and the batches that native replicas take.
#pragma once

#include <vector>

#include "server/call.h"
#include "server/metrics.h"

namespace tidemark::server {

/// `metrics` must outlive the routes.
std::vector<Route> SellRoutes(Metrics& metrics);

}  // namespace tidemark::server
