// Many staged pages, one flip.
//
// Folds, so that the indexes are whole; merges each entity's staged rows against its index, writing
// differences to the log above the visible sequence and the next generation's index beside the
// current one; then one synced write moves the head and the generations. Until that write nothing
// is visible and everything is undone on an error; a crash leaves what recovery drops.
//
// Commits go on during the merge and wait only from its end to the flip: what is merged is numbered
// above a range that is left to them. If they changed an entity that was merged, or showed a device
// a life that the merge took for unseen, it is merged anew, and at last with commits waiting.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "db/internal/store_state.h"
#include "db/replacement.h"
#include "format/status.h"

namespace tidemark::internal {

using ReplaceCountsMap = std::map<std::string, ReplaceCounts>;

struct ReplaceRequest {
  uint64_t stage = 0;
  std::vector<ReplacePlan> plans;
  bool dry_run = false;
  std::function<Status(const ReplaceCountsMap&, WriteBatch&)> join;
  std::function<void(uint64_t done, uint64_t total)> progress;
};

/// Takes fold_mutex and commit_mutex. `progress` and a dry run's merge may run beside commits.
Result<ReplaceCountsMap> Replace(StoreState& state, const ReplaceRequest& request);

/// Deletes every record of a snapshot in one step. Returns what was deleted.
Result<ReplaceCounts> EmptySnapshot(StoreState& state, std::string_view entity);

}  // namespace tidemark::internal
