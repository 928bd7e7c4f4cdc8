// Rows of `_syncStatus` and `_syncScope`, and events of `_syncTransition`, as JSON.
#pragma once

#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/sync_tracker.h"

namespace tidemark::internal {

/// What `SyncStatusToJson` and `SyncScopeToJson` wrote; `kCorruption` for anything else.
Result<SyncStatus> SyncStatusFromJson(std::string_view json);
Result<SyncScope> SyncScopeFromJson(std::string_view json);

std::string TransitionToJson(const SyncTransition& transition);

}  // namespace tidemark::internal
