// Filling one page of a session: entries of its view are asked about, and what is owed is encoded.
#pragma once

#include <cstdint>
#include <vector>

#include "db/change_log.h"
#include "db/store.h"
#include "format/sequence.h"
#include "format/status.h"
#include "replication/internal/marks.h"
#include "replication/internal/page_workspace.h"
#include "replication/source.h"

namespace tidemark::internal {

/// Used by one thread that holds the device's lock, for one page.
class PageFiller {
 public:
  PageFiller(const Store& store,
             const PageOptions& options,
             DeviceMarks* marks,
             PageWorkspace* workspace)
      : store_(store), options_(options), marks_(*marks), workspace_(*workspace) {}

  /// Reads on until the page is full or the log ends. A page that has `left` records or more, by
  /// what the session's start counted, reads on to see whether anything follows.
  Status Fill(LogCursor* cursor, uint64_t left);

  /// False: the log has nothing more to hand out.
  bool more() const { return more_; }
  /// Entries at or below it were handed out, or need not be. Zero when nothing was read.
  SequenceNumber position() const { return position_; }

 private:
  Status TakeRun(const LogRun& run, uint64_t left);
  /// True when the page has room; else the entry begins the next page.
  bool HasRoomFor(const BatchView& rows, uint16_t row, bool with_value) const;
  Status NameEntity(EntityNumber entity);
  void AddLive(SequenceNumber head, SequenceNumber birth, uint16_t row, RowOp op);
  void AddAny(const BatchRow& row);
  /// Encodes the rows that were picked and not encoded yet.
  void Flush(const BatchView& rows);

  const Store& store_;
  const PageOptions& options_;
  DeviceMarks& marks_;
  PageWorkspace& workspace_;
  Instruction instruction_;
  std::vector<OpenStay> stays_;
  EntityNumber named_entity_ = 0;
  uint16_t name_ = 0;
  size_t bytes_ = 0;  // of ids and values, picked ones included
  bool more_ = false;
  SequenceNumber position_;
};

}  // namespace tidemark::internal
