// Postings: which rows of the log concern which values of declared keys, so that a grant, a
// revocation or a drain reads only the rows of the values it names.
//
//   parts | 'm' | entity                        mark: how far the log is indexed, and by which keys
//   parts | 'p' | entity | key | value | first  heads of rows that have the value, or note that
//                                               their record had it; ascending
//
// The index follows the log, in steps, beside commits: what it does not cover yet is read from the
// log itself. So a key that is declared late is indexed in the background, and nobody waits for it.
// A step's postings and its mark are one write, which follows the rows they name in RocksDB's log.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <rocksdb/compaction_filter.h>

#include "db/change_log.h"
#include "db/internal/segment_filter.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark::internal {

struct EntityState;
struct StoreState;

/// How far an entity's log is indexed.
struct PartMark {
  SequenceNumber through;
  std::vector<uint16_t> keys;  ///< numbers, increasing
};

/// Reads the marks. A mark beyond the log is of another history, and forgotten.
Status LoadPartMarks(StoreState& state);

/// True if a log with keys is not indexed to its end. Requires that nobody commits.
bool HasUnindexed(const StoreState& state);

/// Indexes up to `tuning::kPartIndexRows` rows of one entity that lags. True when more is to be
/// done. One caller at a time.
Result<bool> IndexParts(StoreState& state);

/// Removes what is indexed of an entity that is removed.
Status ForgetParts(StoreState& state, EntityNumber entity);

/// How far all keys of the entity are indexed. Requires state_mutex.
SequenceNumber IndexedThrough(const StoreState& state, const EntityState& entity);

/// Heads of the rows that concern any of `parts`, each above its own bound.
Result<PartRows> FindPartRows(const StoreState& state,
                              EntityNumber entity,
                              std::span<const PartBound> parts);

/// Takes the postings of rows that are no longer current out, by the basis of their logs. Thread-
/// safe.
class PartFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  void Add(EntityNumber entity, std::shared_ptr<const SegmentFilterFactory> log);
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& context) override;
  const char* Name() const override { return "tidemark.part_filter"; }

 private:
  std::mutex mutex_;
  std::map<EntityNumber, std::shared_ptr<const SegmentFilterFactory>> logs_;
};

}  // namespace tidemark::internal
