// Compaction of the log: rewrites segments down to the rows that are kept.
//
// RocksDB calls compaction filters without regard to its snapshots, so what may be dropped is
// decided by a *basis*: liveness as of a fold that no open pin is older than. A row that was dead
// then is dead in every cut and view that exists or will exist. And because a fold syncs the log
// first, whatever replaced the row is durable.
#pragma once

#include <memory>
#include <mutex>

#include <rocksdb/compaction_filter.h>

#include "format/sequence.h"
#include "format/sequence_set.h"

namespace tidemark::internal {

/// What a compaction may go by. Immutable.
struct FilterBasis {
  SequenceNumber through;           ///< rows above it are kept
  SequenceNumber follower_horizon;  ///< deletions above it are kept for followers
  SequenceSet live;
  SequenceSet tombstones;
};

/// One for each entity's log. Thread-safe.
class SegmentFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  void SetBasis(std::shared_ptr<const FilterBasis> basis);
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& context) override;
  const char* Name() const override { return "tidemark.segment_filter"; }

 private:
  std::mutex mutex_;
  std::shared_ptr<const FilterBasis> basis_;
};

}  // namespace tidemark::internal
