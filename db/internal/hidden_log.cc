#include "db/internal/hidden_log.h"

#include <algorithm>
#include <charconv>

#include "db/internal/rocks_status.h"
#include "db/tuning.h"

namespace tidemark::internal {
namespace {

/// Text that may be an integer's canonical form; any other id is text.
bool MayBeInteger(std::string_view id) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), value);
  return error == std::errc{} && end == id.data() + id.size() && std::to_string(value) == id;
}

std::string SegmentKey(SequenceNumber first) {
  std::string key;
  AppendBigEndian64(&key, first.value());
  return key;
}

}  // namespace

HiddenLog::HiddenLog(StoreState& state,
                     SequenceNumber after,
                     CommitHold& commits,
                     const StagingReader* reader)
    : state_(state), commits_(commits), reader_(reader), after_(after), last_(after) {}

void HiddenLog::Begin(EntityPtr entity) {
  entity_ = std::move(entity);
  segment_rows_ = 0;
}

Result<HiddenLog::Place> HiddenLog::Allocate(size_t id_bytes, size_t value_bytes) {
  const bool full =
      segment_rows_ == tuning::kSegmentRecords || segment_bytes_ >= tuning::kSegmentBytes;
  if (full) segment_rows_ = 0;
  if (segment_rows_ == 0 &&
      (pending_.size() >= tuning::kReplaceRows || pending_bytes_ >= tuning::kReplaceBytes)) {
    TIDEMARK_RETURN_IF_ERROR(Flush());
  }
  last_ = last_.Next();
  if (last_ >= kSequenceLimit) {
    return {ErrorCode::kTooLarge, "the store has used up its sequence numbers"};
  }
  if (segment_rows_ == 0) {
    segment_ = last_;
    segment_bytes_ = 0;
  }
  ++segment_rows_;
  segment_bytes_ += id_bytes + value_bytes;
  pending_bytes_ += id_bytes + value_bytes;
  return Place{last_, static_cast<uint32_t>(last_ - segment_)};
}

void HiddenLog::Add(const HiddenRow& row) {
  Pending& pending = pending_.emplace_back();
  pending.row = row;
  pending.row.id = {};
  pending.id_begin = ids_.size();
  pending.id_size = row.id.size();
  pending.begins_segment = row.sequence == segment_;
  ids_.append(row.id);
}

Status HiddenLog::End() {
  segment_rows_ = 0;
  return Flush();
}

Status HiddenLog::Flush() {
  TIDEMARK_RETURN_IF_ERROR(FetchValues());
  TIDEMARK_RETURN_IF_ERROR(FetchForms());
  TIDEMARK_RETURN_IF_ERROR(WriteSegments());
  pending_.clear();
  pending_bytes_ = 0;
  ids_.clear();
  values_.clear();
  return {};
}

Status HiddenLog::FetchValues() {
  std::vector<Pending*> wanted;
  for (Pending& pending : pending_) {
    if (pending.row.place.has_value()) wanted.push_back(&pending);
  }
  // Each block is read once: consecutive ids lie in few blocks of each page.
  std::sort(wanted.begin(), wanted.end(), [](const Pending* a, const Pending* b) {
    const StagedPlace& x = *a->row.place;
    const StagedPlace& y = *b->row.place;
    if (x.page != y.page) return x.page < y.page;
    return x.block != y.block ? x.block < y.block : x.index < y.index;
  });
  for (size_t begin = 0; begin < wanted.size();) {
    const StagedPlace& place = *wanted[begin]->row.place;
    TIDEMARK_ASSIGN_OR_RETURN(const std::string bytes, reader_->ReadValues(entity_->name, place));
    const auto batch = BatchView::Parse(bytes, BatchKind::kUpload, Trust::kNone);
    const std::string where = entity_->name + ", staged page " + std::to_string(place.page);
    if (!batch.ok()) return {ErrorCode::kCorruption, where + ": " + batch.status().message()};
    for (; begin < wanted.size() && wanted[begin]->row.place->page == place.page &&
           wanted[begin]->row.place->block == place.block;
         ++begin) {
      Pending& pending = *wanted[begin];
      if (pending.row.place->index >= batch->size()) {
        return {ErrorCode::kCorruption, where + " lacks values"};
      }
      const BatchRow row = batch->row(pending.row.place->index);
      pending.id_form = row.id_form;
      pending.value_kind = row.value_kind;
      pending.value_begin = values_.size();
      pending.value_size = row.value.size();
      values_.append(row.value);
    }
  }
  return {};
}

/// A deletion shows its id as the record did; only the log knows how that was.
Status HiddenLog::FetchForms() {
  std::vector<Pending*> wanted;
  for (Pending& pending : pending_) {
    if (pending.row.op == RowOp::kDelete && MayBeInteger(IdOf(pending))) wanted.push_back(&pending);
  }
  std::sort(wanted.begin(), wanted.end(), [](const Pending* a, const Pending* b) {
    return a->row.superseded < b->row.superseded;
  });
  for (size_t at = 0; at < wanted.size();) {
    const auto segments = SeekSegment(state_, *entity_, wanted[at]->row.superseded);
    TIDEMARK_RETURN_IF_ERROR(FromRocks(segments->status(), "reading the log of " + entity_->name));
    if (!segments->Valid()) {
      return {ErrorCode::kCorruption, "the log of " + entity_->name + " begins too late"};
    }
    const auto batch = BatchView::Parse(
        {segments->value().data(), segments->value().size()}, BatchKind::kSegment, Trust::kChecked);
    if (!batch.ok()) {
      return {ErrorCode::kCorruption,
              "the log of " + entity_->name + ": " + batch.status().message()};
    }
    const SequenceNumber last =
        batch->size() == 0 ? kSequenceZero : batch->sequence(batch->size() - 1);
    do {
      const size_t index = batch->Find(wanted[at]->row.superseded);
      if (index < batch->size()) wanted[at]->id_form = batch->row(index).id_form;
    } while (++at < wanted.size() && wanted[at]->row.superseded <= last);
  }
  return {};
}

Status HiddenLog::WriteSegments() {
  rocksdb::WriteBatch batch;
  const auto write = [&] {
    const rocksdb::Status written = state_.db->Write(rocksdb::WriteOptions(), &batch);
    batch.Clear();
    if (written.ok()) return Status();
    return commits_.StopWrites(FromRocks(written, "writing the log of " + entity_->name));
  };
  BatchBuilder builder;
  SequenceNumber first;
  const auto finish = [&] {
    if (IsSmallSegment(builder.size())) small_segments_.emplace_back(entity_->number, first);
    const std::string segment = builder.Finish({.kind = BatchKind::kSegment});
    batch.Put(entity_->log.get(), SegmentKey(first), segment).PermitUncheckedError();
    AppendHash(&checksums_, BatchChecksum(segment));
    return batch.GetDataSize() < tuning::kReplaceWriteBytes ? Status() : write();
  };
  for (const Pending& pending : pending_) {
    if (pending.begins_segment) {
      if (!builder.empty()) TIDEMARK_RETURN_IF_ERROR(finish());
      first = pending.row.sequence;
    }
    BatchRow row;
    row.entity = builder.Entity(entity_->name);
    row.op = pending.row.op;
    row.id_form = pending.id_form;
    row.value_kind = pending.value_kind;
    row.sequence = pending.row.sequence;
    row.birth = pending.row.birth;
    row.superseded = pending.row.superseded;
    row.id = IdOf(pending);
    row.value = std::string_view(values_).substr(pending.value_begin, pending.value_size);
    row.ended = pending.row.ended;
    row.stays = pending.row.stays;
    builder.Add(row);
  }
  if (!builder.empty()) TIDEMARK_RETURN_IF_ERROR(finish());
  return batch.Count() == 0 ? Status() : write();
}

Status DeleteHidden(StoreState& state) {
  const std::string start = SegmentKey(state.head.sequence.Next());
  for (const auto& [number, entity] : state.GetCatalog()->all()) {
    const std::unique_ptr<rocksdb::Iterator> segments(
        state.db->NewIterator(rocksdb::ReadOptions(), entity->log.get()));
    rocksdb::WriteBatch batch;
    for (segments->Seek(start); segments->Valid(); segments->Next()) {
      batch.Delete(entity->log.get(), segments->key()).PermitUncheckedError();
    }
    if (!segments->status().ok()) return FromRocks(segments->status(), "clearing the log");
    if (batch.Count() == 0) continue;
    const rocksdb::Status written = state.db->Write(rocksdb::WriteOptions(), &batch);
    if (!written.ok()) return FromRocks(written, "clearing the log of " + entity->name);
  }
  return {};
}

}  // namespace tidemark::internal
