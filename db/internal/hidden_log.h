// Rows written to the log above the visible sequence: a flip makes them visible, or they are
// deleted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/internal/entity_change.h"
#include "db/internal/staging.h"
#include "db/internal/store_state.h"
#include "format/batch.h"

namespace tidemark::internal {

/// A changed row on its way into the log.
struct HiddenRow {
  RowOp op = RowOp::kPut;
  SequenceNumber sequence;
  SequenceNumber birth;
  SequenceNumber superseded;
  std::string_view id;
  std::vector<EndedStay> ended;
  std::vector<OpenStay> stays;
  /// Where its value is staged. Deletions have none.
  std::optional<StagedPlace> place;
};

/// Cuts rows into segments and writes them, unsynced, in chunks. A failed write stops the store's
/// writes.
class HiddenLog {
 public:
  /// Rows are numbered above `after`, which no commit reaches before the flip.
  HiddenLog(StoreState& state,
            SequenceNumber after,
            CommitHold& commits,
            const StagingReader* reader);

  /// The rows that follow belong to `entity`.
  void Begin(EntityPtr entity);
  struct Place {
    SequenceNumber sequence;
    uint32_t distance = 0;  ///< to the first row of the segment
  };
  /// The next sequence number, for a row with this much payload. Every call is followed by `Add`.
  Result<Place> Allocate(size_t id_bytes, size_t value_bytes);
  void Add(const HiddenRow& row);
  /// Writes what is left of the entity.
  Status End();

  /// No sequence number was given out.
  bool empty() const { return last_ == after_; }
  /// The last sequence number given out.
  SequenceNumber last() const { return last_; }
  /// Checksums of the segments, in order.
  const std::string& checksums() const { return checksums_; }
  /// Keys of those that are to be merged with their neighbours.
  const std::vector<std::pair<EntityNumber, SequenceNumber>>& small_segments() const {
    return small_segments_;
  }

 private:
  struct Pending {
    HiddenRow row;  // its id is in ids_
    size_t id_begin = 0;
    size_t id_size = 0;
    size_t value_begin = 0;  // in values_, once fetched
    size_t value_size = 0;
    IdForm id_form = IdForm::kText;
    ValueKind value_kind = ValueKind::kBytes;
    bool begins_segment = false;
  };

  Status Flush();
  Status FetchValues();
  Status FetchForms();
  Status WriteSegments();
  std::string_view IdOf(const Pending& pending) const {
    return std::string_view(ids_).substr(pending.id_begin, pending.id_size);
  }

  StoreState& state_;
  CommitHold& commits_;
  const StagingReader* const reader_;
  EntityPtr entity_;
  const SequenceNumber after_;
  SequenceNumber last_;
  SequenceNumber segment_;   // key of the segment being filled
  size_t segment_rows_ = 0;  // 0: the next row begins one
  size_t segment_bytes_ = 0;
  std::vector<Pending> pending_;
  size_t pending_bytes_ = 0;
  std::string ids_;
  std::string values_;
  std::string checksums_;
  std::vector<std::pair<EntityNumber, SequenceNumber>> small_segments_;
};

/// Deletes every segment above the head: what a flip that never came left. Requires commit_mutex.
Status DeleteHidden(StoreState& state);

}  // namespace tidemark::internal
