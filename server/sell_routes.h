// The device protocol: the three calls of the Sell wire, and the batches that native replicas take.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> SellRoutes();

}  // namespace tidemark::server
