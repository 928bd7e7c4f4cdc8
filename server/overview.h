// How an instance stands, on one page: store, entities, devices, upload syncs, sync scopes.
#pragma once

#include <cstddef>
#include <string>

#include "server/instance.h"

namespace tidemark::server {

// What an overview shows at most, of each kind.
inline constexpr size_t kOverviewDevicesMax = 100;  ///< those that are farthest behind
inline constexpr size_t kOverviewUploadsMax = 10;   ///< the newest
/// Entities, sync scopes, sync statuses. Those that are syncing come first, then those that failed
/// or were interrupted.
inline constexpr size_t kOverviewRowsMax = 200;

/// `{"instance","store":{...},"entities":[...],"devices":{"count","items":[...]},"uploads":[...],
/// "scopes":[...],"statuses":[...],"hidden":{"entities","scopes","statuses"}}`, where `hidden`
/// counts what is left out. The same text as long as nothing changed.
std::string OverviewToJson(Instance& instance);

}  // namespace tidemark::server
