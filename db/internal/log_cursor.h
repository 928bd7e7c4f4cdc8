// Reading the log: one cursor for each entity, merged by head.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include <rocksdb/iterator.h>

#include "db/change_log.h"
#include "db/internal/entity_keys_data.h"
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

  /// Finds the next row. Call it first, and after each run, whose views end with it.
  virtual void Prepare() = 0;
  /// Takes rows from the next one on, as far as they lie in one segment and below `limit`. On an
  /// error there are none, and `status` says why.
  LogRun TakeRun(SequenceNumber limit);
  /// Of the next row; kSequenceLimit at the end.
  SequenceNumber head() const { return head_; }
  const Status& status() const { return status_; }

 protected:
  virtual void PickRows(SequenceNumber limit) = 0;
  bool ParseSegment();

  const StoreState& state_;
  const EntityPtr entity_;
  const EntityKeys keys_;
  const SequenceNumber cut_;
  std::unique_ptr<rocksdb::Iterator> segments_;
  std::optional<BatchView> segment_;  // at segments_, when set
  size_t row_ = 0;
  std::vector<uint16_t> picked_;
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
  void Prepare() override;

 private:
  void PickRows(SequenceNumber limit) override;
  bool FillHeads();
  bool FillFromParts();
  bool FindInSegment();
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
  void Prepare() override;

 private:
  void PickRows(SequenceNumber limit) override;
  bool IsShown();

  const SequenceNumber after_;
};

}  // namespace tidemark::internal

namespace tidemark {

class LogCursor::Impl {
 public:
  /// Calls `Prepare`; the cursor joins those that are read.
  void Add(std::unique_ptr<internal::RowCursor> cursor);
  void FillEntry();

  std::shared_ptr<const Cut> cut;
  std::vector<std::unique_ptr<internal::RowCursor>> cursors;
  internal::RowCursor* current = nullptr;  // whose run is the present one
  LogRun run;
  size_t at = 0;  // of the run's entries, the present one
  LogEntry entry;
  std::vector<OpenStay> stays;  // of the entry, where its row does not say
  Status status;
};

}  // namespace tidemark
