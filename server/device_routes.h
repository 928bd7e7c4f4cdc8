// Devices, for operators: marks, what is owed, what is held back, selections.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> DeviceRoutes();

}  // namespace tidemark::server
