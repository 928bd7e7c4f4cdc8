// The exceptions of a device that is not at rest. Part of its marks.
#pragma once

#include <array>
#include <cstdint>

#include "format/sequence.h"
#include "format/sequence_set.h"
#include "replication/internal/marks.h"
#include "replication/internal/marks_journal.h"
#include "replication/internal/outstanding.h"
#include "replication/selection.h"

namespace tidemark {

struct DeviceMarks::Open {
  SequenceSet served;        // S: births handed out since the floor
  SequenceSet acknowledged;  // A: births acknowledged since the floor; a subset of served
  SequenceSet heads;         // D: heads acknowledged, above drained_through
  SequenceSet discharged;    // N: births at or below the floor that the device lost since
  Selection seen = Selection::Nothing();
  uint64_t first_session = 0;  // first one since the floor
  OutstandingPages pages;
  bool served_misses = false;  // lives of outstanding pages may be missing in `served`
  MarksJournal journal;        // of what the stored chunks of the sets do not say yet

  // The newest session.
  SequenceNumber cut;
  Selection cut_selection;
  uint64_t last_page = 0;
  SequenceNumber last_place;
  bool view_open = false;  // pages can be handed out
  bool drained = false;    // the whole view was handed out
  bool withheld = false;   // but for something that the selection in force forbade

  // The device came to rest; only the deletion of rows is left to be taken.
  bool at_rest = false;

  struct NamedSet {
    char row;  // first byte of the keys of its chunks
    SequenceSet* set;
  };
  std::array<NamedSet, 4> Sets() {
    return {{{'S', &served}, {'A', &acknowledged}, {'D', &heads}, {'N', &discharged}}};
  }
};

}  // namespace tidemark
