// Pushes of devices: their own writes, and how each push went.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> PushRoutes();

}  // namespace tidemark::server
