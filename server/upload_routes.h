// Upload syncs: bulk ingestion in pages, visible at once, at finish.
#pragma once

#include <chrono>
#include <vector>

#include "server/call.h"

namespace tidemark::server {

struct UploadRouteOptions {
  /// A finish that takes longer is answered 202 and goes on.
  std::chrono::milliseconds finish_answer_time{5000};
};

/// Finishes that still run are waited for when the last copy of the routes is destroyed.
std::vector<Route> UploadRoutes(const UploadRouteOptions& options = {});

}  // namespace tidemark::server
