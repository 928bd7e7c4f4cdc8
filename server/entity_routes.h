// Entities: kinds, labels, schemas, policies.
#pragma once

#include <vector>

#include "server/call.h"

namespace tidemark::server {

std::vector<Route> EntityRoutes();

}  // namespace tidemark::server
