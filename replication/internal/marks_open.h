// The exceptions of a device that is not at rest. Part of its marks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

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
  SequenceSet own_lives;     // births of which the device wrote a version above the cut
  SequenceSet own_losses;    // births that it ended, or replaced, above the cut
  Selection seen = Selection::Nothing();
  uint64_t first_session = 0;  // first one since the floor
  OutstandingPages pages;
  bool served_misses = false;  // lives of outstanding pages may be missing in `served`
  MarksJournal journal;        // of what the stored chunks of the sets do not say yet

  // What the newest session handed out and the sets do not hold yet: pages of live records alone,
  // in order. The session itself never asks the sets about them: a life stands at one place of its
  // view. So a session that settles need not fill sets which settling empties. Whoever else asks
  // calls `MergeBacklog` first.
  struct PendingPage {
    uint64_t page = 0;
    std::string rows;  // packed, once it was acknowledged; `pages` has them before
  };
  std::vector<PendingPage> backlog;
  static constexpr size_t kBacklogPages = 32;  // about four bytes an instruction

  // Above these, `acknowledged` and `heads` hold nothing but what the newest session handed out,
  // which it does not come upon again.
  SequenceNumber asked_births;
  SequenceNumber asked_heads;

  // The newest session.
  SequenceNumber cut;
  Selection cut_selection;
  uint64_t last_page = 0;
  bool view_open = false;  // pages can be handed out
  bool drained = false;    // the whole view was handed out
  bool withheld = false;   // but for something that the selection in force forbade

  // The device came to rest; only the deletion of rows is left to be taken.
  bool at_rest = false;

  bool WroteAboveCut() const { return !own_lives.empty() || !own_losses.empty(); }

  struct NamedSet {
    char row;  // first byte of the keys of its chunks
    SequenceSet* set;
  };
  std::array<NamedSet, 6> Sets() {
    return {{{'S', &served},
             {'A', &acknowledged},
             {'D', &heads},
             {'N', &discharged},
             {'O', &own_lives},
             {'L', &own_losses}}};
  }

  // Live records of a page that was handed out, or acknowledged; deletions are passed over.
  void AddServed(std::span<const Instruction> rows);
  void AddAcknowledged(std::span<const Instruction> rows, SequenceNumber drained_through);

  // The session begins: what the sets hold now was not handed out by itself.
  void NoteAsked();

  // `session` is the newest.
  void MergeBacklog(uint64_t session, SequenceNumber drained_through);
  PendingPage* FindPending(uint64_t page);
  size_t BacklogBytes() const;
};

}  // namespace tidemark
