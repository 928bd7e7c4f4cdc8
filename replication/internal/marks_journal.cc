#include "replication/internal/marks_journal.h"

#include <utility>

#include "format/coding.h"

namespace tidemark {

void MarksJournal::Note(uint64_t session, Event event) {
  if (other_) return;
  if (!events_.empty() && session != session_) return NoteOther();
  session_ = session;
  events_.push_back(event);
}

// Varint session, then a varint an event: the page, one bit to the left, over what happened to it.
std::string MarksJournal::TakeRow() {
  if (taken_ == events_.size()) return {};
  taken_ = events_.size();
  std::string row;
  AppendVarint(&row, session_);
  for (const Event& event : events_) {
    AppendVarint(&row, event.page << 1 | (event.acknowledged ? 1 : 0));
  }
  return row;
}

bool MarksJournal::Clear() {
  const bool stored = taken_ > 0;
  *this = MarksJournal();
  return stored;
}

Status MarksJournal::LoadRow(std::string_view bytes) {
  Status malformed(ErrorCode::kCorruption, "malformed journal of a device's marks");
  ByteReader reader(bytes);
  session_ = reader.Varint();
  while (reader.ok() && !reader.empty()) {
    const uint64_t event = reader.Varint();
    events_.push_back({.page = event >> 1, .acknowledged = (event & 1) != 0});
    if (events_.size() > kEventsMax) return malformed;
  }
  if (!reader.Finished() || events_.empty()) return malformed;
  taken_ = events_.size();
  return {};
}

}  // namespace tidemark
