// Small neighbouring segments become one, so that a log that grew by single changes reads like one
// that grew by batches.
//
// A merged segment has the key of its first part, in one write with the deletion of the others. A
// row so only ever moves to a segment with a lower key: whoever holds an older key for it finds it
// in the last segment whose key is not above its sequence number (`SegmentReader`).
#pragma once

#include <vector>

#include "db/internal/store_state.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark::internal {

/// Which segments of one entity's log become one. At most `tuning::kMergeGroups` groups.
struct MergePlan {
  struct Group {
    SequenceNumber first;  ///< keys of its first and last segment
    SequenceNumber last;
  };
  EntityPtr entity;
  std::vector<Group> groups;  ///< in increasing order
  SequenceNumber next;        ///< where to plan on; zero at the end

  /// Where the segment with this key will be.
  SequenceNumber KeyAfter(SequenceNumber key) const;
};

/// Plans for segments with keys from `from` through `through`, and for small ones right before
/// them, which earlier merges left. Requires fold_mutex, and that all of it is folded.
Result<MergePlan> PlanMerge(const StoreState& state,
                            EntityPtr entity,
                            SequenceNumber from,
                            SequenceNumber through);

/// Does it, in writes of bounded size that commits go on between. Every row stays: a reader beside
/// this process may see the merge and not the fold before it. A failed write stops the store's
/// writes. Requires fold_mutex.
Status MergeSegments(StoreState& state, const MergePlan& plan);

/// The same for all of an entity's log that its filter knows to be folded. Requires fold_mutex.
Status MergeLog(StoreState& state, const EntityPtr& entity);

}  // namespace tidemark::internal
