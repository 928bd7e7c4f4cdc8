// `POST /v1/changes`: many changes as lines of JSON, in one atomic batch.
#pragma once

#include <cstddef>
#include <vector>

#include "server/call.h"

namespace tidemark::server {

inline constexpr size_t kChangeLinesMax = 10'000;

std::vector<Route> ChangeRoutes();

}  // namespace tidemark::server
