// What happened to a device's sets since their chunks were stored last. Part of its marks.
//
// A page that is handed out or acknowledged touches as many chunks as its records' births are
// scattered over, so storing them each time would cost more than the page. Pages of live records,
// handed out and acknowledged as a whole, are therefore told as events: their rows say the rest,
// and stay until the chunks are stored again. Anything else has the chunks stored at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"

namespace tidemark {

/// Thread-compatible.
class MarksJournal {
 public:
  /// Events beyond which the chunks are stored: 128 pages a device on disk, to be done over again
  /// when marks are loaded.
  static constexpr size_t kEventsMax = 256;

  struct Event {
    uint64_t page = 0;
    bool acknowledged = false;  ///< else handed out
  };

  void Note(uint64_t session, Event event);
  /// The sets changed in a way that events cannot tell.
  void NoteOther() { other_ = true; }

  /// True when the chunks have to be stored now, instead of the journal.
  bool MustStoreSets() const { return other_ || events_.size() > kEventsMax; }
  /// The events' row, if it changed since it was taken last; empty otherwise.
  std::string TakeRow();
  /// The chunks are stored, or there is nothing left to store: begins anew. Returns whether there
  /// is a row to delete.
  bool Clear();

  /// All of them are of this session.
  uint64_t session() const { return session_; }
  const std::vector<Event>& events() const { return events_; }
  size_t MemoryBytes() const { return events_.capacity() * sizeof(Event); }

  /// `kCorruption` when malformed. Requires: nothing noted yet.
  Status LoadRow(std::string_view bytes);

 private:
  uint64_t session_ = 0;
  std::vector<Event> events_;
  size_t taken_ = 0;    // events that are stored
  bool other_ = false;  // the events are not the whole truth
};

}  // namespace tidemark
