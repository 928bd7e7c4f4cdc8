// Rows of `_syncStatus` and `_syncScope`, and events of `_syncTransition`, as JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/sync_tracker.h"

namespace tidemark::internal {

/// What `SyncStatusToJson` and `SyncScopeToJson` wrote; `kCorruption` for anything else.
Result<SyncStatus> SyncStatusFromJson(std::string_view json);
Result<SyncScope> SyncScopeFromJson(std::string_view json);

/// The id of a row of `_syncStatus`: `<member>:<entity>`, with a `\` before each `:` and `\` of the
/// member, so that no two syncs share a row.
std::string SyncStatusId(std::string_view member, std::string_view entity);

/// The id of the event of a transition, the `index`th of its change: they sort by time.
std::string TransitionId(int64_t timestamp, size_t index);
std::string TransitionToJson(const SyncTransition& transition);
/// 0 when there is none in it.
int64_t TimeOfTransition(std::string_view json);

}  // namespace tidemark::internal
