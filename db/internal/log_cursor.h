// Reading the log: one cursor for each entity, merged by head.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include <rocksdb/iterator.h>

#include "db/change_log.h"
#include "db/internal/store_state.h"
#include "db/tuning.h"
#include "format/batch.h"

namespace tidemark::internal {

/// A position in one entity's log, on a row or at the end.
class RowCursor {
 public:
  RowCursor(const StoreState& state, EntityPtr entity, SequenceNumber cut);
  virtual ~RowCursor() = default;
  RowCursor(const RowCursor&) = delete;
  RowCursor& operator=(const RowCursor&) = delete;

  virtual void Advance() = 0;
  /// kSequenceLimit at the end.
  SequenceNumber head() const { return head_; }
  const Status& status() const { return status_; }
  void Fill(LogEntry* entry) const;

 protected:
  bool ParseSegment();

  const StoreState& state_;
  const EntityPtr entity_;
  const SequenceNumber cut_;
  std::unique_ptr<rocksdb::Iterator> segments_;
  std::optional<BatchView> segment_;  // at segments_, when set
  size_t row_ = 0;
  SequenceNumber head_ = kSequenceLimit;
  Status status_;
};

/// The entries that are current at the cut, found through the liveness sets: segments without any
/// are never read.
class CurrentCursor final : public RowCursor {
 public:
  CurrentCursor(const StoreState& state,
                EntityPtr entity,
                SequenceNumber cut,
                const LogRange& range);
  void Advance() override;

 private:
  bool FillHeads();
  bool LoadSegment();

  const LogRange range_;
  SequenceNumber after_;
  std::array<SequenceNumber, tuning::kCursorBlock> heads_;
  size_t at_ = 0;
  size_t size_ = 0;
  bool exhausted_ = false;
};

/// What a follower of the log sees: live entries, and every deletion that the log still has.
class FollowCursor final : public RowCursor {
 public:
  FollowCursor(const StoreState& state, EntityPtr entity, SequenceNumber cut, SequenceNumber after);
  void Advance() override;

 private:
  bool IsShown();

  const SequenceNumber after_;
};

}  // namespace tidemark::internal

namespace tidemark {

class LogCursor::Impl {
 public:
  std::shared_ptr<const Cut> cut;
  std::vector<std::unique_ptr<internal::RowCursor>> cursors;
  internal::RowCursor* current = nullptr;
  LogEntry entry;
  Status status;
};

}  // namespace tidemark
