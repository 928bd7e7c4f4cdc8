// Single records, and lists of them: `/v1/entities/{entity}/records`.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> RecordRoutes();

}  // namespace tidemark::server
