#include "db/internal/log_cursor.h"

#include <algorithm>
#include <array>

#include "db/internal/rocks_status.h"
#include "format/coding.h"

namespace tidemark {
namespace internal {

RowCursor::RowCursor(const StoreState& state, EntityPtr entity, SequenceNumber cut)
    : state_(state),
      entity_(std::move(entity)),
      cut_(cut),
      segments_(state.db->NewIterator(rocksdb::ReadOptions(), entity_->log.get())) {}

bool RowCursor::ParseSegment() {
  auto parsed = BatchView::Parse(
      {segments_->value().data(), segments_->value().size()}, BatchKind::kSegment, Trust::kChecked);
  if (!parsed.ok()) {
    status_ = {ErrorCode::kCorruption,
               "the log of " + entity_->name + ": " + parsed.status().message()};
    return false;
  }
  segment_ = std::move(*parsed);
  return true;
}

void RowCursor::Fill(LogEntry* entry) const {
  const BatchRow row = segment_->row(row_);
  entry->entity = entity_->number;
  entry->head = head_;
  entry->birth = row.birth;
  entry->live = row.op != RowOp::kDelete;
  entry->id_form = row.id_form;
  entry->value_kind = row.value_kind;
  entry->id = row.id;
  entry->value = row.value;
  entry->writer_time = row.writer_time;
  entry->ended = row.ended;
}

CurrentCursor::CurrentCursor(const StoreState& state,
                             EntityPtr entity,
                             SequenceNumber cut,
                             const LogRange& range)
    : RowCursor(state, std::move(entity), cut), range_(range), after_(range.after) {
  Advance();
}

void CurrentCursor::Advance() {
  while (status_.ok()) {
    if (at_ == size_ && !FillHeads()) {
      head_ = kSequenceLimit;
      return;
    }
    head_ = heads_[at_++];
    if (!LoadSegment()) return;
    const RowOp op = segment_->op(row_);
    if (op == RowOp::kDelete ? range_.tombstones : range_.live) return;
  }
  head_ = kSequenceLimit;
}

bool CurrentCursor::FillHeads() {
  if (exhausted_) return false;
  const std::shared_lock lock(state_.state_mutex);
  size_ =
      state_.liveness.Read(entity_->number, cut_, after_, range_.live, range_.tombstones, heads_);
  at_ = 0;
  exhausted_ = size_ < heads_.size();
  if (size_ > 0) after_ = heads_[size_ - 1];
  return size_ > 0;
}

bool CurrentCursor::LoadSegment() {
  if (segment_.has_value()) {
    // Where little was overwritten, the next entry is among the next rows.
    constexpr size_t kRowsTried = 8;
    const size_t tried_end = std::min(row_ + 1 + kRowsTried, segment_->size());
    for (size_t row = row_ + 1; row < tried_end && segment_->sequence(row) <= head_; ++row) {
      row_ = row;
      if (segment_->sequence(row) == head_) return true;
    }
    row_ = segment_->Find(head_);
    if (row_ < segment_->size()) return true;
    segments_->Next();
    if (segments_->Valid() && ParseSegment() && segment_->sequence(segment_->size() - 1) >= head_) {
      row_ = segment_->Find(head_);
      if (row_ < segment_->size()) return true;
    }
    if (!status_.ok()) return false;
  }
  std::string key;
  AppendBigEndian64(&key, head_.value());
  segments_->SeekForPrev(key);
  if (segments_->Valid() && ParseSegment()) {
    row_ = segment_->Find(head_);
    if (row_ < segment_->size()) return true;
  }
  if (status_.ok() && !segments_->status().ok()) {
    status_ = FromRocks(segments_->status(), "reading the log of " + entity_->name);
  }
  if (status_.ok()) {
    status_ = {
        ErrorCode::kCorruption,
        "the log of " + entity_->name + " has no row at sequence " + std::to_string(head_.value())};
  }
  return false;
}

FollowCursor::FollowCursor(const StoreState& state,
                           EntityPtr entity,
                           SequenceNumber cut,
                           SequenceNumber after)
    : RowCursor(state, std::move(entity), cut), after_(after) {
  std::string key;
  AppendBigEndian64(&key, after.Next().value());
  segments_->SeekForPrev(key);
  if (!segments_->Valid()) segments_->SeekToFirst();
  Advance();
}

void FollowCursor::Advance() {
  for (;; segments_->Next(), segment_.reset()) {
    if (!segments_->Valid()) {
      status_ = FromRocks(segments_->status(), "reading the log of " + entity_->name);
      break;
    }
    if (!segment_.has_value()) {
      if (!ParseSegment()) break;
      row_ = 0;
    } else {
      ++row_;
    }
    for (; row_ < segment_->size(); ++row_) {
      if (IsShown()) return;
    }
  }
  head_ = kSequenceLimit;
}

bool FollowCursor::IsShown() {
  head_ = segment_->sequence(row_);
  if (head_ <= after_ || head_ > cut_) return false;
  if (segment_->op(row_) == RowOp::kDelete) return true;
  const std::shared_lock lock(state_.state_mutex);
  std::array<SequenceNumber, 1> found;
  return state_.liveness.Read(entity_->number, cut_, head_.Previous(), true, false, found) == 1 &&
         found[0] == head_;
}

}  // namespace internal

LogCursor::LogCursor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogCursor::~LogCursor() = default;
LogCursor::LogCursor(LogCursor&&) noexcept = default;
LogCursor& LogCursor::operator=(LogCursor&&) noexcept = default;

bool LogCursor::Next() {
  auto& cursors = impl_->cursors;
  if (!impl_->status.ok()) return false;
  if (impl_->current != nullptr) impl_->current->Advance();
  impl_->current = nullptr;
  for (const auto& cursor : cursors) {
    if (!cursor->status().ok()) {
      impl_->status = cursor->status();
      impl_->current = nullptr;
      return false;
    }
    if (cursor->head() == kSequenceLimit) continue;
    if (impl_->current == nullptr || cursor->head() < impl_->current->head()) {
      impl_->current = cursor.get();
    }
  }
  if (impl_->current == nullptr) return false;
  impl_->current->Fill(&impl_->entry);
  return true;
}

const LogEntry& LogCursor::entry() const {
  return impl_->entry;
}
const Status& LogCursor::status() const {
  return impl_->status;
}

}  // namespace tidemark
