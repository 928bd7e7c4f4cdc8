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
      keys_(KeysOf(state, *entity_)),
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

LogRun RowCursor::TakeRun(SequenceNumber limit) {
  picked_.clear();
  PickRows(limit);
  if (!status_.ok()) picked_.clear();
  return {.entity = entity_->number,
          .rows = segment_.has_value() ? &*segment_ : nullptr,
          .picked = picked_,
          .keys = &keys_};
}

CurrentCursor::CurrentCursor(const StoreState& state,
                             EntityPtr entity,
                             SequenceNumber cut,
                             const LogRange& range)
    : RowCursor(state, std::move(entity), cut), range_(range), after_(range.after) {}

void CurrentCursor::Prepare() {
  head_ = at_ < size_ || FillHeads() ? heads_[at_] : kSequenceLimit;
}

void CurrentCursor::PickRows(SequenceNumber limit) {
  if (!LoadSegment()) return;
  do {
    const bool deleted = segment_->op(row_) == RowOp::kDelete;
    if (deleted ? range_.tombstones : range_.live) picked_.push_back(static_cast<uint16_t>(row_));
    if (++at_ == size_ && !FillHeads()) return;
    head_ = heads_[at_];
  } while (head_ < limit && FindInSegment());
}

bool CurrentCursor::FillHeads() {
  if (exhausted_) return false;
  if (range_.only != nullptr && after_ < range_.only->through && FillFromParts()) return true;
  const std::shared_lock lock(state_.state_mutex);
  size_ =
      state_.liveness.Read(entity_->number, cut_, after_, range_.live, range_.tombstones, heads_);
  at_ = 0;
  exhausted_ = size_ < heads_.size();
  if (size_ > 0) after_ = heads_[size_ - 1];
  return size_ > 0;
}

// What the index of parts names, as far as it goes; what lies beyond is read like any log.
bool CurrentCursor::FillFromParts() {
  const PartRows& only = *range_.only;
  at_ = 0;
  size_ = 0;
  while (size_ == 0 && after_ < only.through) {
    const size_t named = only.heads.Read(after_, only.through.Next(), heads_);
    after_ = named == heads_.size() ? heads_[named - 1] : only.through;
    const std::shared_lock lock(state_.state_mutex);
    for (size_t i = 0; i < named; ++i) {
      if (state_.liveness.IsVisibleAt(
              entity_->number, heads_[i], cut_, range_.live, range_.tombstones)) {
        heads_[size_++] = heads_[i];
      }
    }
  }
  return size_ > 0;
}

// Whether the row of head_ is after row_ in this segment; moves there.
bool CurrentCursor::FindInSegment() {
  if (segment_->sequence(segment_->size() - 1) < head_) return false;
  // Where little was overwritten, the next entry is among the next rows.
  constexpr size_t kRowsTried = 8;
  const size_t tried_end = std::min(row_ + 1 + kRowsTried, segment_->size());
  for (size_t row = row_ + 1; row < tried_end && segment_->sequence(row) <= head_; ++row) {
    row_ = row;
    if (segment_->sequence(row) == head_) return true;
  }
  const size_t found = segment_->Find(head_);
  if (found == segment_->size()) return false;
  row_ = found;
  return true;
}

bool CurrentCursor::LoadSegment() {
  if (segment_.has_value()) {
    if (FindInSegment()) return true;
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
}

void FollowCursor::Prepare() {
  for (;; segments_->Next(), segment_.reset()) {
    if (!segments_->Valid()) {
      status_ = FromRocks(segments_->status(), "reading the log of " + entity_->name);
      break;
    }
    if (!segment_.has_value()) {
      if (!ParseSegment()) break;
      row_ = 0;
    }
    for (; row_ < segment_->size(); ++row_) {
      if (IsShown()) return;
    }
  }
  head_ = kSequenceLimit;
}

void FollowCursor::PickRows(SequenceNumber limit) {
  picked_.push_back(static_cast<uint16_t>(row_));
  while (++row_ < segment_->size() && segment_->sequence(row_) < limit) {
    if (IsShown()) picked_.push_back(static_cast<uint16_t>(row_));
  }
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

void LogCursor::Impl::Add(std::unique_ptr<internal::RowCursor> cursor) {
  cursor->Prepare();
  cursors.push_back(std::move(cursor));
}

void LogCursor::Impl::FillEntry() {
  const BatchRow row = run.rows->row(run.picked[at]);
  entry.entity = run.entity;
  entry.head = row.sequence;
  entry.birth = row.birth;
  entry.live = row.op != RowOp::kDelete;
  entry.id_form = row.id_form;
  entry.value_kind = row.value_kind;
  entry.id = row.id;
  entry.value = row.value;
  entry.writer_time = row.writer_time;
  entry.ended = row.ended;
  entry.stays = run.keys->StaysOf(row, &stays);
}

bool LogCursor::Next() {
  if (++impl_->at >= impl_->run.picked.size() && !NextRun()) return false;
  impl_->FillEntry();
  return true;
}

bool LogCursor::NextRun() {
  Impl& impl = *impl_;
  impl.at = 0;
  impl.run = {};
  while (impl.run.picked.empty()) {
    if (!impl.status.ok()) return false;
    if (impl.current != nullptr) impl.current->Prepare();
    impl.current = nullptr;
    SequenceNumber limit = kSequenceLimit;  // where the next run of another cursor begins
    for (const auto& cursor : impl.cursors) {
      if (!cursor->status().ok()) {
        impl.status = cursor->status();
        return false;
      }
      if (cursor->head() == kSequenceLimit) continue;
      if (impl.current == nullptr || cursor->head() < impl.current->head()) {
        if (impl.current != nullptr) limit = impl.current->head();
        impl.current = cursor.get();
      } else {
        limit = std::min(limit, cursor->head());
      }
    }
    if (impl.current == nullptr) return false;
    impl.run = impl.current->TakeRun(limit);
    impl.status = impl.current->status();
  }
  return true;
}

const LogRun& LogCursor::run() const {
  return impl_->run;
}

const LogEntry& LogCursor::entry() const {
  return impl_->entry;
}
const Status& LogCursor::status() const {
  return impl_->status;
}

}  // namespace tidemark
