// The overview of an instance, once or live, and the page that shows it to people.
#pragma once

#include <chrono>
#include <vector>

#include "server/call.h"

namespace tidemark::server {

struct OverviewRouteOptions {
  /// Between two looks of a live overview.
  std::chrono::milliseconds pause{500};
  /// A live overview looks this often although nothing was committed: acknowledgements are no
  /// commits.
  std::chrono::milliseconds look{2'000};
  /// A live overview says that it is alive after so many looks that showed nothing new.
  int quiet_looks = 7;
};

std::vector<Route> OverviewRoutes(const OverviewRouteOptions& options = {});
/// `/` and what it loads. Without a token: the page has no data of its own.
std::vector<Route> PageRoutes();

}  // namespace tidemark::server
