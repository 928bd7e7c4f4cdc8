#include "db/internal/segment_filter.h"

#include <string>
#include <utility>
#include <vector>

#include "db/internal/index_entry.h"
#include "format/batch.h"
#include "format/coding.h"

namespace tidemark::internal {
namespace {

class SegmentFilter final : public rocksdb::CompactionFilter {
 public:
  explicit SegmentFilter(std::shared_ptr<const FilterBasis> basis) : basis_(std::move(basis)) {}

  const char* Name() const override { return "tidemark.segment_filter"; }

  Decision FilterV2(int /*level*/,
                    const rocksdb::Slice& key,
                    ValueType type,
                    const rocksdb::Slice& value,
                    std::string* new_value,
                    std::string* /*skip_until*/) const override {
    if (type != ValueType::kValue || key.size() != sizeof(uint64_t)) return Decision::kKeep;
    if (SequenceNumber(LoadBigEndian64(key.data())) > basis_->through) return Decision::kKeep;
    const auto segment =
        BatchView::Parse({value.data(), value.size()}, BatchKind::kSegment, Trust::kChecked);
    if (!segment.ok()) return Decision::kKeep;  // `verify` reports it; dropping would hide it

    std::vector<size_t> kept;
    kept.reserve(segment->size());
    for (size_t i = 0; i < segment->size(); ++i) {
      if (Keeps(*segment, i)) kept.push_back(i);
    }
    if (kept.size() == segment->size()) return Decision::kKeep;
    if (kept.empty()) return Decision::kRemove;

    BatchBuilder builder;
    for (const size_t i : kept) {
      BatchRow row = segment->row(i);
      row.entity = builder.Entity(segment->entity_name(row.entity));
      builder.Add(row);
    }
    *new_value = builder.Finish(segment->header());
    return Decision::kChangeValue;
  }

 private:
  bool Keeps(const BatchView& segment, size_t index) const {
    const SequenceNumber sequence = segment.sequence(index);
    if (sequence > basis_->through) return true;
    if (segment.op(index) == RowOp::kDelete) {
      return sequence > basis_->follower_horizon || basis_->tombstones.Contains(sequence);
    }
    return basis_->live.Contains(sequence);
  }

  const std::shared_ptr<const FilterBasis> basis_;
};

class IndexFilter final : public rocksdb::CompactionFilter {
 public:
  explicit IndexFilter(std::shared_ptr<const FilterBasis> basis) : basis_(std::move(basis)) {}

  const char* Name() const override { return "tidemark.index_filter"; }

  Decision FilterV2(int /*level*/,
                    const rocksdb::Slice& /*key*/,
                    ValueType type,
                    const rocksdb::Slice& value,
                    std::string* /*new_value*/,
                    std::string* /*skip_until*/) const override {
    IndexEntry entry;
    if (type != ValueType::kValue || !DecodeIndexEntry({value.data(), value.size()}, &entry)) {
      return Decision::kKeep;
    }
    const bool counts = entry.head > basis_->through ||
                        (entry.live() ? basis_->live : basis_->tombstones).Contains(entry.head);
    return counts ? Decision::kKeep : Decision::kRemove;
  }

 private:
  const std::shared_ptr<const FilterBasis> basis_;
};

}  // namespace

std::unique_ptr<rocksdb::CompactionFilter> IndexFilterFactory::CreateCompactionFilter(
    const rocksdb::CompactionFilter::Context& /*context*/) {
  auto basis = log_->basis();
  if (basis == nullptr) return nullptr;
  return std::make_unique<IndexFilter>(std::move(basis));
}

std::shared_ptr<const FilterBasis> SegmentFilterFactory::basis() const {
  const std::lock_guard lock(mutex_);
  return basis_;
}

void SegmentFilterFactory::SetBasis(std::shared_ptr<const FilterBasis> basis) {
  const std::lock_guard lock(mutex_);
  basis_ = std::move(basis);
}

std::unique_ptr<rocksdb::CompactionFilter> SegmentFilterFactory::CreateCompactionFilter(
    const rocksdb::CompactionFilter::Context& /*context*/) {
  const std::lock_guard lock(mutex_);
  if (basis_ == nullptr) return nullptr;
  return std::make_unique<SegmentFilter>(basis_);
}

}  // namespace tidemark::internal
