// Queues beside `main`, for operators.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> QueueRoutes();

}  // namespace tidemark::server
