// All routes of the server but health.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> AllRoutes();

}  // namespace tidemark::server
