// Compaction: rewrites segments of the log down to the rows that are kept, and drops the entries of
// the index that read as absent.
//
// RocksDB calls compaction filters without regard to its snapshots, so what may be dropped is
// decided by a *basis*: liveness as of a fold that no open pin is older than. A row that was dead
// then is dead in every cut and view that exists or will exist. And because a fold syncs the log
// first, whatever replaced the row is durable.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

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
  /// What the index goes by, too; null before the first fold.
  std::shared_ptr<const FilterBasis> basis() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const FilterBasis> basis_;
};

/// For each generation of an entity's index, by the basis of its log: what was trimmed, or whose
/// tombstone was purged, leaves no entry behind.
class IndexFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit IndexFilterFactory(std::shared_ptr<const SegmentFilterFactory> log)
      : log_(std::move(log)) {}
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& context) override;
  const char* Name() const override { return "tidemark.index_filter"; }

 private:
  const std::shared_ptr<const SegmentFilterFactory> log_;
};

}  // namespace tidemark::internal
