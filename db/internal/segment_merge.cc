#include "db/internal/segment_merge.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include <rocksdb/write_batch.h>

#include "db/internal/rocks_status.h"
#include "db/tuning.h"
#include "format/batch.h"
#include "format/coding.h"

namespace tidemark::internal {
namespace {

std::string SegmentKey(SequenceNumber first) {
  std::string key;
  AppendBigEndian64(&key, first.value());
  return key;
}

/// An index entry holds the distance from the key of a segment to a row in 32 bits.
constexpr uint64_t kDistanceMax = std::numeric_limits<uint32_t>::max();

SequenceNumber LastRow(const BatchView& segment, SequenceNumber key) {
  return segment.size() == 0 ? key : segment.sequence(segment.size() - 1);
}

/// Segments of one log, one after another.
class SegmentWalker {
 public:
  SegmentWalker(const StoreState& state, const EntityState& entity) : entity_(entity) {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    segments_.reset(state.db->NewIterator(options, entity.log.get()));
  }

  void Seek(SequenceNumber key) { segments_->Seek(SegmentKey(key)); }
  void Next() { segments_->Next(); }
  bool Valid() const { return segments_->Valid(); }
  SequenceNumber key() const { return SequenceNumber(LoadBigEndian64(segments_->key().data())); }
  /// Checked as if it came from outside, for a merged segment gets a checksum of its own.
  Result<BatchView> segment() const {
    return BatchView::Parse(
        {segments_->value().data(), segments_->value().size()}, BatchKind::kSegment, Trust::kNone);
  }
  size_t bytes() const { return segments_->value().size(); }
  Status status() const {
    return FromRocks(segments_->status(), "reading the log of " + entity_.name);
  }

  /// Goes back over the small segments right before `key`; stands on the first segment to merge.
  Status SeekBackOverSmall(SequenceNumber key) {
    segments_->SeekForPrev(SegmentKey(key.Previous()));
    size_t passed = 0;
    for (; segments_->Valid() && passed < tuning::kMergeBack; ++passed, segments_->Prev()) {
      const auto before = segment();
      if (!before.ok() || !IsSmallSegment(before->size())) break;
    }
    TIDEMARK_RETURN_IF_ERROR(status());
    if (segments_->Valid()) {
      segments_->Next();
    } else {
      segments_->SeekToFirst();
    }
    return {};
  }

 private:
  const EntityState& entity_;
  std::unique_ptr<rocksdb::Iterator> segments_;
};

/// Writes merged segments, many at a time.
class MergeWriter {
 public:
  MergeWriter(StoreState& state, const EntityState& entity) : state_(state), entity_(entity) {}

  Status Merge(SegmentWalker& segments, const MergePlan::Group& group) {
    for (segments.Seek(group.first); segments.Valid() && segments.key() <= group.last;
         segments.Next()) {
      TIDEMARK_ASSIGN_OR_RETURN(const BatchView segment, segments.segment());
      for (size_t i = 0; i < segment.size(); ++i) {
        BatchRow row = segment.row(i);
        row.entity = builder_.Entity(entity_.name);
        builder_.Add(row);
      }
      if (segments.key() != group.first) {
        batch_.Delete(entity_.log.get(), SegmentKey(segments.key())).PermitUncheckedError();
      }
    }
    TIDEMARK_RETURN_IF_ERROR(segments.status());
    if (builder_.empty()) return {};  // a compaction was faster
    const std::string merged = builder_.Finish({.kind = BatchKind::kSegment});
    batch_.Put(entity_.log.get(), SegmentKey(group.first), merged).PermitUncheckedError();
    return batch_.GetDataSize() < tuning::kMergeWriteBytes ? Status() : Flush();
  }

  Status Flush() {
    if (batch_.Count() == 0) return {};
    const std::lock_guard lock(state_.commit_mutex);
    TIDEMARK_RETURN_IF_ERROR(state_.write_error);
    const rocksdb::Status written = state_.db->Write(rocksdb::WriteOptions(), &batch_);
    batch_.Clear();
    if (written.ok()) return {};
    state_.write_error = FromRocks(written, "merging the log of " + entity_.name);
    return state_.write_error;
  }

 private:
  StoreState& state_;
  const EntityState& entity_;
  BatchBuilder builder_;
  rocksdb::WriteBatch batch_;
};

}  // namespace

SequenceNumber MergePlan::KeyAfter(SequenceNumber key) const {
  const auto after = std::upper_bound(
      groups.begin(), groups.end(), key, [](SequenceNumber wanted, const Group& group) {
        return wanted < group.first;
      });
  if (after == groups.begin()) return key;
  const Group& group = *std::prev(after);
  return key <= group.last ? group.first : key;
}

Result<MergePlan> PlanMerge(const StoreState& state,
                            EntityPtr entity,
                            SequenceNumber from,
                            SequenceNumber through) {
  MergePlan plan;
  plan.entity = std::move(entity);
  SegmentWalker segments(state, *plan.entity);
  TIDEMARK_RETURN_IF_ERROR(segments.SeekBackOverSmall(from));
  MergePlan::Group group;
  size_t parts = 0;
  size_t rows = 0;
  size_t bytes = 0;
  const auto close = [&] {
    if (parts > 1) plan.groups.push_back(group);
    parts = rows = bytes = 0;
  };
  for (; segments.Valid() && segments.key() <= through; segments.Next()) {
    const auto segment = segments.segment();
    if (!segment.ok()) {  // `verify` reports it
      close();
      continue;
    }
    const bool fits = rows + segment->size() <= tuning::kSegmentRecords &&
                      bytes + segments.bytes() <= tuning::kSegmentBytes &&
                      LastRow(*segment, segments.key()) - group.first <= kDistanceMax;
    if (parts > 0 && !fits) close();
    if (parts == 0 && plan.groups.size() == tuning::kMergeGroups) {
      plan.next = segments.key();
      break;
    }
    if (parts == 0) group.first = segments.key();
    group.last = segments.key();
    ++parts;
    rows += segment->size();
    bytes += segments.bytes();
  }
  TIDEMARK_RETURN_IF_ERROR(segments.status());
  close();
  return plan;
}

Status MergeSegments(StoreState& state, const MergePlan& plan) {
  if (plan.groups.empty()) return {};
  SegmentWalker segments(state, *plan.entity);
  MergeWriter writer(state, *plan.entity);
  for (const MergePlan::Group& group : plan.groups) {
    TIDEMARK_RETURN_IF_ERROR(writer.Merge(segments, group));
  }
  return writer.Flush();
}

Status MergeLog(StoreState& state, const EntityPtr& entity) {
  const std::shared_ptr<const FilterBasis> basis = entity->filter->basis();
  if (basis == nullptr) return {};
  SequenceNumber from(1);
  do {
    TIDEMARK_ASSIGN_OR_RETURN(const MergePlan plan, PlanMerge(state, entity, from, basis->through));
    TIDEMARK_RETURN_IF_ERROR(MergeSegments(state, plan));
    from = plan.next;
  } while (from != kSequenceZero);
  return {};
}

}  // namespace tidemark::internal
