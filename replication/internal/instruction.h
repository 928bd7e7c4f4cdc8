// What a device is told about an id, and how it acknowledges that. Part of its marks.
#pragma once

#include <cstdint>
#include <vector>

#include "format/batch.h"
#include "format/sequence.h"

namespace tidemark {

/// One thing to tell a device about an id.
struct Instruction {
  RowOp op = RowOp::kCreated;         ///< kCreated, kUpdated or kDelete
  SequenceNumber place;               ///< head of the entry: orders the instructions of a queue
  SequenceNumber birth;               ///< live: of the life; deleted: of the newest life held
  std::vector<SequenceNumber> older;  ///< further held lives of the id, which it discharges
  bool holds_floor = false;           ///< `drained_through` may not pass `place`; not stored

  bool deleted() const { return op == RowOp::kDelete; }
};

/// A version of a life in a page, as an acknowledgement names it.
struct AckKey {
  uint64_t session = 0;
  uint64_t page = 0;  ///< zero: a key from before there were queues, when places told the page
  SequenceNumber birth;
  SequenceNumber head;  ///< the instruction's place
  RowOp op = RowOp::kCreated;
};

}  // namespace tidemark
