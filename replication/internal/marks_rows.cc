// A device's marks as durable rows.
#include <algorithm>
#include <string>
#include <utility>

#include "format/coding.h"
#include "format/stored_row.h"
#include "replication/internal/marks_open.h"

namespace tidemark {
namespace {

// Rows of a device's marks, by the first byte of their keys: the header and the journal stand
// alone, a page is followed by its session and number, a chunk of a set by its key, all big-endian.
constexpr char kHeaderRow = 'H';
constexpr char kJournalRow = 'J';
constexpr char kPageRow = 'P';

constexpr uint8_t kHeaderVersion = 2;  // 1 had no journal, which is a row of its own
constexpr std::string_view kHeaderName = "the header of a device's marks";

// Bits of the header's flags.
constexpr uint64_t kFlagResetPending = 1;
constexpr uint64_t kFlagExceptions = 2;  // the device is not at rest: more follows
constexpr uint64_t kFlagDrained = 4;
constexpr uint64_t kFlagWithheld = 8;
constexpr uint64_t kFlagsKnown = 15;

// No bytes: the row is no more.
std::optional<std::string> ValueOf(std::string bytes) {
  return bytes.empty() ? std::nullopt : std::optional(std::move(bytes));
}

}  // namespace

std::vector<MarksRow> DeviceMarks::TakeRows() {
  std::vector<MarksRow> rows;
  if (std::exchange(header_dirty_, false)) {
    rows.push_back({std::string(1, kHeaderRow), EncodeHeader()});
  }
  if (open_ == nullptr) return rows;

  const bool store_sets = open_->at_rest || open_->journal.MustStoreSets();
  if (store_sets) {
    MergeBacklog();
    AppendSetRows(&rows);
    // Pages that were kept for the journal alone go with it.
    for (const MarksJournal::Event& event : open_->journal.events()) {
      if (event.acknowledged) open_->pages.MarkChanged(open_->journal.session(), event.page);
    }
    if (open_->journal.Clear()) rows.push_back({std::string(1, kJournalRow), std::nullopt});
  } else if (std::string row = open_->journal.TakeRow(); !row.empty()) {
    rows.push_back({std::string(1, kJournalRow), std::move(row)});
  }
  for (OutstandingPages::Row& page : open_->pages.TakeChanged()) {
    std::string key(1, kPageRow);
    AppendBigEndian64(&key, page.session);
    AppendBigEndian64(&key, page.page);
    rows.push_back({std::move(key), ValueOf(std::move(page.bytes))});
  }
  if (open_->at_rest) open_.reset();
  return rows;
}

void DeviceMarks::AppendSetRows(std::vector<MarksRow>* rows) {
  for (const Open::NamedSet& named : open_->Sets()) {
    for (const uint64_t chunk : named.set->TakeDirtyChunks()) {
      std::string key(1, named.row);
      AppendBigEndian64(&key, chunk);
      rows->push_back({std::move(key), ValueOf(named.set->SerializeChunk(chunk))});
    }
  }
}

// Version, flags, drained_through, floor, session, floor selection, selection in force; with
// exceptions also the first session since the floor, the cut, its selection, and `seen`.
std::string DeviceMarks::EncodeHeader() const {
  uint64_t flags = reset_pending_ ? kFlagResetPending : 0;
  if (!AtRest()) {
    flags |= kFlagExceptions;
    if (open_->drained) flags |= kFlagDrained;
    if (open_->withheld) flags |= kFlagWithheld;
  }
  std::string out(1, static_cast<char>(kHeaderVersion));
  AppendVarint(&out, flags);
  AppendVarint(&out, drained_through_.value());
  AppendVarint(&out, floor_.value());
  AppendVarint(&out, session_);
  floor_selection_.Encode(&out);
  selection_.Encode(&out);
  if (AtRest()) return out;
  AppendVarint(&out, open_->first_session);
  AppendVarint(&out, open_->cut.value());
  open_->cut_selection.Encode(&out);
  open_->seen.Encode(&out);
  return out;
}

Status DeviceMarks::LoadHeader(std::string_view bytes) {
  const Status malformed = DamagedRow(kHeaderName);
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kHeaderVersion, kHeaderName).status());
  const uint64_t flags = reader.Varint();
  drained_through_ = reader.Sequence();
  floor_ = reader.Sequence();
  session_ = reader.Varint();
  if (!reader.ok() || flags > kFlagsKnown || floor_ > drained_through_ ||
      drained_through_ >= kSequenceLimit) {
    return malformed;
  }
  reset_pending_ = (flags & kFlagResetPending) != 0;

  std::string_view rest = reader.rest();
  TIDEMARK_ASSIGN_OR_RETURN(floor_selection_, Selection::Decode(&rest));
  TIDEMARK_ASSIGN_OR_RETURN(selection_, Selection::Decode(&rest));
  if ((flags & kFlagExceptions) == 0) return rest.empty() && AtRest() ? Status() : malformed;

  Open& open = Exceptions();
  open.served_misses = true;  // nobody stored whether it is so
  ByteReader more(rest);
  open.first_session = more.Varint();
  open.cut = more.Sequence();
  open.drained = (flags & kFlagDrained) != 0;
  open.withheld = (flags & kFlagWithheld) != 0;
  if (!more.ok() || open.cut < drained_through_ || open.cut >= kSequenceLimit ||
      open.first_session == 0 || open.first_session > session_ + 1) {
    return malformed;
  }
  rest = more.rest();
  TIDEMARK_ASSIGN_OR_RETURN(open.cut_selection, Selection::Decode(&rest));
  TIDEMARK_ASSIGN_OR_RETURN(open.seen, Selection::Decode(&rest));
  return rest.empty() ? Status() : malformed;
}

Status DeviceMarks::LoadRow(const MarksRow& row) {
  const std::string_view key = row.key;
  if (key == std::string_view(&kHeaderRow, 1)) return LoadHeader(*row.value);
  Open& open = Exceptions();
  if (key == std::string_view(&kJournalRow, 1)) return open.journal.LoadRow(*row.value);
  if (key.size() == 17 && key[0] == kPageRow) {
    return open.pages.LoadRow(LoadBigEndian64(&key[1]), LoadBigEndian64(&key[9]), *row.value);
  }
  for (const Open::NamedSet& named : open.Sets()) {
    if (key.size() == 9 && key[0] == named.row) {
      return named.set->LoadChunk(LoadBigEndian64(&key[1]), *row.value);
    }
  }
  return {ErrorCode::kCorruption, "unknown row of a device's marks"};
}

Status DeviceMarks::ReplayJournal() {
  const uint64_t session = open_->journal.session();
  for (const MarksJournal::Event& event : open_->journal.events()) {
    const std::vector<Instruction> rows = event.acknowledged
                                              ? open_->pages.TakePage(session, event.page)
                                              : open_->pages.FindPage(session, event.page);
    if (rows.empty()) {
      return {ErrorCode::kCorruption, "a device's marks tell of a page that is not there"};
    }
    if (event.acknowledged) {
      open_->AddAcknowledged(rows, drained_through_);
    } else {
      open_->AddServed(rows);
    }
  }
  return {};
}

Result<DeviceMarks> DeviceMarks::Load(std::span<const MarksRow> rows) {
  const auto corrupt = [](const char* what) {
    return Status(ErrorCode::kCorruption, what);
  };
  const auto is_header = [](const MarksRow& row) {
    return row.value.has_value() && row.key == std::string_view(&kHeaderRow, 1);
  };
  const auto header = std::find_if(rows.begin(), rows.end(), is_header);
  if (header == rows.end()) return corrupt("marks of a device without their header");

  DeviceMarks marks;
  TIDEMARK_RETURN_IF_ERROR(marks.LoadRow(*header));
  marks.header_dirty_ = false;
  for (const MarksRow& row : rows) {
    if (!row.value.has_value() || is_header(row)) continue;
    if (marks.AtRest()) return corrupt("marks of a device at rest with exceptions");
    TIDEMARK_RETURN_IF_ERROR(marks.LoadRow(row));
  }
  if (!marks.AtRest()) TIDEMARK_RETURN_IF_ERROR(marks.ReplayJournal());
  if (!marks.AtRest() && marks.open_->acknowledged.Count() > marks.open_->served.Count()) {
    return corrupt("marks of a device acknowledge what was not served");
  }
  return marks;
}

}  // namespace tidemark
