// The fold: moves the window into the index, and liveness onto disk, in one atomic ingest.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "db/internal/store_state.h"
#include "format/status.h"

namespace tidemark::internal {

/// Keys of the fold family: the mark, and one chunk of a liveness set each.
namespace fold_key {
inline const std::string kMark = "F";
enum class Set : uint8_t { kLive = 0, kTombstones = 1 };
std::string EntityPrefix(EntityNumber entity);  ///< of all chunks of an entity
std::string Chunk(EntityNumber entity, Set set, uint64_t chunk);
bool ParseChunk(std::string_view key, EntityNumber* entity, Set* set, uint64_t* chunk);
inline constexpr char kChunkPrefix = 'L';
}  // namespace fold_key

/// The mark of a fold.
struct FoldMark {
  SequenceNumber through;          ///< the index and liveness hold everything up to here
  SequenceNumber trimmed_through;  ///< deletions at or below may be gone from the log
  FollowerClock clock;             ///< when which sequence was the newest
  std::map<EntityNumber, uint64_t> dead_rows;  ///< in the log of each entity, where there are any
};
std::string EncodeFoldMark(const FoldMark& mark);
Result<FoldMark> DecodeFoldMark(std::string_view bytes);

/// Folds everything visible. Requires fold_mutex and commit_mutex. On an error everything is as
/// before, and the next fold takes it along.
Status Fold(StoreState& state);
/// The same while commits go on: takes the commit mutex only to sync the log, the state mutex only
/// to freeze and to finish. Requires fold_mutex.
Status FoldBesideCommits(StoreState& state);

/// Whether the log of some entity is more than half dead rows, and enough of them. Requires
/// state_mutex.
bool WantsCompaction(const StoreState& state);

/// Lets compactions go by the liveness of the last fold, unless an open pin is older than it, and
/// wants a compaction where more than half of the rows are dead. Requires fold_mutex.
Status CompactLogs(StoreState& state, bool force);

}  // namespace tidemark::internal
