// What applications report of their own syncs: `/v1/sync-operations`.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> OperationRoutes();

}  // namespace tidemark::server
