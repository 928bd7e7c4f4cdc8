// Id pools: `/v1/id-pools`.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> IdPoolRoutes();

}  // namespace tidemark::server
