// Sync scopes and sync statuses: `/v1/sync-scopes` and `/v1/sync-status`.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> SyncRoutes();

}  // namespace tidemark::server
