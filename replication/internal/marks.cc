#include "replication/internal/marks.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "format/coding.h"
#include "replication/internal/outstanding.h"

namespace tidemark {
namespace {

// Rows of a device's marks, by the first byte of their keys: the header stands alone, a page is
// followed by its session and number, a chunk of a set by its key, all big-endian.
constexpr char kHeaderRow = 'H';
constexpr char kPageRow = 'P';
constexpr char kServedRow = 'S';
constexpr char kAcknowledgedRow = 'A';
constexpr char kHeadsRow = 'D';
constexpr char kDischargedRow = 'N';

constexpr uint8_t kHeaderVersion = 1;

// Bits of the header's flags.
constexpr uint64_t kFlagResetPending = 1;
constexpr uint64_t kFlagExceptions = 2;  // the device is not at rest: more follows
constexpr uint64_t kFlagDrained = 4;
constexpr uint64_t kFlagWithheld = 8;
constexpr uint64_t kFlagsKnown = 15;

EndedLife Lasting(SequenceNumber birth) {
  return {birth, kSequenceLimit};
}

const std::vector<SequenceNumber>& Sorted(std::vector<SequenceNumber>* numbers) {
  if (!std::is_sorted(numbers->begin(), numbers->end())) {
    std::sort(numbers->begin(), numbers->end());
  }
  return *numbers;
}

}  // namespace

struct DeviceMarks::Open {
  SequenceSet served;        // S: births handed out since the floor
  SequenceSet acknowledged;  // A: births acknowledged since the floor; a subset of served
  SequenceSet heads;         // D: heads acknowledged, above drained_through
  SequenceSet discharged;    // N: births at or below the floor that the device lost since
  Selection seen = Selection::Nothing();
  uint64_t first_session = 0;  // first one since the floor
  OutstandingPages pages;

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
    char row;
    SequenceSet* set;
  };
  std::array<NamedSet, 4> Sets() {
    return {{{kServedRow, &served},
             {kAcknowledgedRow, &acknowledged},
             {kHeadsRow, &heads},
             {kDischargedRow, &discharged}}};
  }
};

void OwedTally::Add(const Instruction& instruction) {
  ++count_;
  if (instruction.holds_floor) lowest_ = std::min(lowest_, instruction.place);
}

void OwedTally::AddWhole(const ReadRange& range, uint64_t count, SequenceNumber lowest) {
  count_ += count;
  if (count > 0 && range.holds_floor) lowest_ = std::min(lowest_, lowest);
}

DeviceMarks::DeviceMarks(Selection selection)
    : floor_selection_(Selection::Nothing()), selection_(std::move(selection)) {}

DeviceMarks::DeviceMarks(const DeviceMarks& other)
    : drained_through_(other.drained_through_),
      floor_(other.floor_),
      floor_selection_(other.floor_selection_),
      selection_(other.selection_),
      session_(other.session_),
      reset_pending_(other.reset_pending_),
      header_dirty_(other.header_dirty_),
      open_(other.open_ == nullptr ? nullptr : std::make_unique<Open>(*other.open_)) {}

DeviceMarks::DeviceMarks(DeviceMarks&&) noexcept = default;
DeviceMarks::~DeviceMarks() = default;

DeviceMarks& DeviceMarks::operator=(DeviceMarks other) noexcept {
  drained_through_ = other.drained_through_;
  floor_ = other.floor_;
  floor_selection_ = std::move(other.floor_selection_);
  selection_ = std::move(other.selection_);
  session_ = other.session_;
  reset_pending_ = other.reset_pending_;
  header_dirty_ = other.header_dirty_;
  open_ = std::move(other.open_);
  return *this;
}

DeviceMarks::Open& DeviceMarks::Exceptions() {
  if (open_ == nullptr) open_ = std::make_unique<Open>();
  if (AtRest() || open_->first_session == 0) open_->first_session = session_;
  open_->at_rest = false;
  return *open_;
}

bool DeviceMarks::AtRest() const {
  return open_ == nullptr || open_->at_rest;
}
bool DeviceMarks::session_open() const {
  return !AtRest() && open_->view_open;
}
SequenceNumber DeviceMarks::session_cut() const {
  return AtRest() ? floor_ : open_->cut;
}
uint64_t DeviceMarks::outstanding() const {
  return AtRest() ? 0 : open_->pages.count();
}

void DeviceMarks::Select(Selection selection) {
  if (selection == selection_) return;
  selection_ = std::move(selection);
  header_dirty_ = true;
}

void DeviceMarks::SkipSessions(uint64_t count) {
  session_ += count;
  header_dirty_ = true;
}

uint64_t DeviceMarks::StartSession(SequenceNumber cut) {
  // The device may have dropped what an unfinished reset did not list yet.
  if (reset_pending_) Reset();
  ++session_;
  Open& open = Exceptions();
  assert(cut >= open.cut && cut >= floor_);
  open.seen = Selection::Union(open.seen, Selection::Difference(floor_selection_, selection_));
  open.cut = cut;
  open.cut_selection = selection_;
  open.last_page = 0;
  open.last_place = kSequenceZero;
  open.view_open = true;
  open.drained = false;
  open.withheld = false;
  header_dirty_ = true;
  return session_;
}

std::optional<ReadRange> DeviceMarks::Range(Part part) const {
  if (AtRest()) return std::nullopt;
  const bool selected = open_->cut_selection.Contains(part);
  const bool seen = open_->seen.Contains(part);
  const bool floor_selected = floor_selection_.Contains(part);
  const bool may_hold = floor_selected || !open_->served.empty();
  ReadRange range{.part = part,
                  .live_after = seen ? kSequenceZero : drained_through_,
                  .tombstones_after = drained_through_,
                  .live = selected || (seen && may_hold),
                  .tombstones = (selected || seen) && may_hold};
  if (!range.live && !range.tombstones) return std::nullopt;

  // No version above drained_through is acknowledged. In a part that the floor says nothing about,
  // no version is acknowledged at all once no life is.
  range.all_live_owed = selected && open_->heads.empty() &&
                        (!seen || (!floor_selected && open_->acknowledged.empty()));
  range.holds_floor = !seen || !open_->served.empty();
  return range;
}

bool DeviceMarks::FloorSpeaksFor(Part part, const EndedLife& life) const {
  return life.birth <= floor_ && floor_ < life.death && floor_selection_.Contains(part) &&
         (AtRest() ||
          (!open_->served.Contains(life.birth) && !open_->discharged.Contains(life.birth)));
}

bool DeviceMarks::Held(Part part, const EndedLife& life) const {
  if (!AtRest() && open_->served.Contains(life.birth)) return true;
  return FloorSpeaksFor(part, life);
}

bool DeviceMarks::Acknowledged(Part part, const EndedLife& life) const {
  if (!AtRest() && open_->acknowledged.Contains(life.birth)) return true;
  return FloorSpeaksFor(part, life);
}

std::optional<Instruction> DeviceMarks::Owed(const EntryState& entry) const {
  Instruction instruction;
  if (!FindOwed(entry, &instruction)) return std::nullopt;
  return instruction;
}

bool DeviceMarks::FindOwed(const EntryState& entry, Instruction* instruction) const {
  if (AtRest()) return false;
  const Part part = entry.part;
  instruction->place = entry.head;
  instruction->older.clear();
  for (const EndedLife& life : entry.ended) {
    if (Held(part, life)) instruction->older.push_back(life.birth);
  }

  if (entry.live && open_->cut_selection.Contains(part)) {
    const bool acknowledged = Acknowledged(part, Lasting(entry.birth));
    const bool head_acknowledged = open_->heads.Contains(entry.head);
    const bool current = head_acknowledged || entry.head <= drained_through_;
    if (acknowledged ? current : head_acknowledged) return false;
    instruction->op = acknowledged ? RowOp::kUpdated : RowOp::kCreated;
    instruction->birth = entry.birth;
    // What is unknown to the device in a part of `seen` is found again from the part's beginning.
    instruction->holds_floor = !open_->seen.Contains(part) || !instruction->older.empty() ||
                               Held(part, Lasting(entry.birth));
    return true;
  }

  if (entry.live && Held(part, Lasting(entry.birth))) instruction->older.push_back(entry.birth);
  if (instruction->older.empty()) return false;
  const auto newest = std::max_element(instruction->older.begin(), instruction->older.end());
  instruction->op = RowOp::kDelete;
  instruction->birth = *newest;
  instruction->older.erase(newest);
  instruction->holds_floor = true;
  return true;
}

void DeviceMarks::AdvanceFloor(const OwedTally& tally) {
  if (AtRest()) return;
  const SequenceNumber through = tally.lowest() == kSequenceLimit
                                     ? open_->cut
                                     : std::min(tally.lowest().Previous(), open_->cut);
  if (through <= drained_through_) return;
  drained_through_ = through;
  open_->heads.RemoveThrough(through);
  header_dirty_ = true;
}

Verdict DeviceMarks::Examine(const EntryState& entry, Instruction* instruction) const {
  if (!FindOwed(entry, instruction)) return Verdict::kNothing;
  // What would be said under the selection in force: the same, or the session cannot say it.
  const bool live_now = entry.live && selection_.Contains(entry.part);
  return live_now == instruction->deleted() ? Verdict::kWithheld : Verdict::kHandOut;
}

void DeviceMarks::NoteWithheld() {
  if (AtRest() || open_->withheld) return;
  open_->withheld = true;
  header_dirty_ = true;
}

Status DeviceMarks::HandOut(uint64_t session,
                            uint64_t page,
                            std::span<const Instruction> instructions) {
  if (session < session_) return {ErrorCode::kSuperseded, "a newer session of the device began"};
  if (session > session_) return {ErrorCode::kNotFound, "no such session"};
  if (!session_open()) return {ErrorCode::kSessionExpired, "the session's view is gone"};
  if (instructions.empty()) return {};
  if (page <= open_->last_page || instructions.front().place <= open_->last_place) {
    return {ErrorCode::kInternal, "pages of a session out of order"};
  }

  VoidOvertaken(instructions);
  HandOutLive(instructions);
  for (const Instruction& instruction : instructions) {
    if (instruction.deleted()) HandOutDeleted(instruction);
  }
  open_->pages.Add(session, page, instructions);
  open_->last_page = page;
  open_->last_place = instructions.back().place;
  return {};
}

void DeviceMarks::VoidOvertaken(std::span<const Instruction> instructions) {
  // Live versions are outstanding only for births in `served`. Deletions may be outstanding for any
  // life that is not acknowledged: one that was told twice and acknowledged once is in no set.
  const bool deletions = open_->pages.deletions() > 0;
  std::vector<SequenceNumber> void_live;
  std::vector<SequenceNumber> void_deleted;
  for (const Instruction& instruction : instructions) {
    if (deletions && instruction.op == RowOp::kCreated) void_deleted.push_back(instruction.birth);
    if (!instruction.deleted()) continue;
    if (open_->served.Contains(instruction.birth)) void_live.push_back(instruction.birth);
    for (const SequenceNumber birth : instruction.older) {
      if (open_->served.Contains(birth)) void_live.push_back(birth);
    }
  }
  if (void_live.empty() && void_deleted.empty()) return;
  std::sort(void_live.begin(), void_live.end());
  std::sort(void_deleted.begin(), void_deleted.end());
  open_->pages.Void(void_live, void_deleted);
}

void DeviceMarks::HandOutLive(std::span<const Instruction> instructions) {
  std::vector<SequenceNumber> served;
  std::vector<SequenceNumber> acknowledged;
  served.reserve(instructions.size());
  for (const Instruction& instruction : instructions) {
    if (instruction.deleted()) continue;
    served.push_back(instruction.birth);
    if (instruction.op == RowOp::kUpdated) acknowledged.push_back(instruction.birth);
  }
  // From here on the floor is silent about these lives, so what it said is copied.
  open_->served.AddAll(Sorted(&served));
  open_->acknowledged.AddAll(Sorted(&acknowledged));
}

void DeviceMarks::HandOutDeleted(const Instruction& instruction) {
  const auto told = [this](SequenceNumber birth) {
    open_->served.Add(birth);
    open_->acknowledged.Remove(birth);
  };
  told(instruction.birth);
  for (const SequenceNumber birth : instruction.older) told(birth);
  // An eviction stands at the place of the version it removes; granted again, that is owed again.
  open_->heads.Remove(instruction.place);
}

void DeviceMarks::FinishDrain(uint64_t session) {
  if (session != session_ || !session_open() || open_->drained) return;
  open_->drained = true;
  header_dirty_ = true;
  SettleIfDone();
}

void DeviceMarks::CloseSession() {
  if (!AtRest()) open_->view_open = false;
}

AckOutcome DeviceMarks::Acknowledge(const AckKey& key) {
  if (key.session == 0 || key.session > session_) return AckOutcome::kUnknown;
  if (AtRest() || key.session < open_->first_session) return AckOutcome::kRepeated;

  if (const auto row = open_->pages.Take(key)) {
    ApplyAcks({&*row, 1});
    SettleIfDone();
    return AckOutcome::kApplied;
  }
  const bool served = open_->served.Contains(key.birth);
  if (key.op == RowOp::kDelete) return served ? AckOutcome::kOvertaken : AckOutcome::kRepeated;
  if (open_->heads.Contains(key.head)) return AckOutcome::kRepeated;
  if (!served) return AckOutcome::kUnknown;
  return open_->acknowledged.Contains(key.birth) ? AckOutcome::kRepeated : AckOutcome::kOvertaken;
}

std::optional<uint64_t> DeviceMarks::AcknowledgePage(uint64_t session, uint64_t page) {
  if (AtRest()) return std::nullopt;
  const std::vector<Instruction> rows = open_->pages.TakePage(session, page);
  if (rows.empty()) return std::nullopt;
  ApplyAcks(rows);
  SettleIfDone();
  return rows.size();
}

void DeviceMarks::ApplyAcks(std::span<const Instruction> rows) {
  ApplyLiveAcks(rows);
  for (const Instruction& row : rows) {
    if (row.deleted()) Discharge(row.birth);
    for (const SequenceNumber birth : row.older) Discharge(birth);
  }
}

void DeviceMarks::ApplyLiveAcks(std::span<const Instruction> rows) {
  std::vector<SequenceNumber> births;
  std::vector<SequenceNumber> heads;
  births.reserve(rows.size());
  heads.reserve(rows.size());
  const auto collect = [&](auto wanted) {
    births.clear();
    heads.clear();
    for (const Instruction& row : rows) {
      if (row.deleted() || !wanted(row)) continue;
      births.push_back(row.birth);
      if (row.place > drained_through_) heads.push_back(row.place);
    }
    Sorted(&births);
  };
  collect([](const Instruction&) { return true; });
  if (!open_->served.ContainsAll(births)) {
    // Of those that were not, a newer life of the id was acknowledged.
    collect([this](const Instruction& row) { return open_->served.Contains(row.birth); });
  }
  open_->acknowledged.AddAll(births);
  open_->heads.AddAll(heads);
}

void DeviceMarks::Discharge(SequenceNumber birth) {
  open_->served.Remove(birth);
  open_->acknowledged.Remove(birth);
  if (birth <= floor_) open_->discharged.Add(birth);
}

void DeviceMarks::SettleIfDone() {
  if (!open_->drained || open_->withheld || open_->pages.HasSession(session_)) return;
  floor_ = open_->cut;
  drained_through_ = open_->cut;
  floor_selection_ = open_->cut_selection;
  reset_pending_ = false;
  header_dirty_ = true;
  for (const Open::NamedSet& named : open_->Sets()) named.set->Clear();
  open_->pages.Clear();
  open_->seen = Selection::Nothing();
  open_->view_open = false;
  open_->at_rest = true;
}

void DeviceMarks::Reset() {
  drained_through_ = kSequenceZero;
  floor_ = kSequenceZero;
  floor_selection_ = Selection::Nothing();
  reset_pending_ = true;
  header_dirty_ = true;
  if (open_ == nullptr) return;
  for (const Open::NamedSet& named : open_->Sets()) named.set->Clear();
  open_->pages.Clear();
  open_->seen = Selection::Nothing();
  open_->view_open = false;
  open_->at_rest = true;
}

bool DeviceMarks::Keeps(Part part, const EndedLife& life) const {
  if (Held(part, life)) return true;
  if (!session_open() || open_->drained || !open_->cut_selection.Contains(part)) return false;
  return life.birth <= open_->cut && open_->cut < life.death;
}

DeviceMarks::Lack DeviceMarks::Lacks(Part part,
                                     const SequenceSet& events,
                                     SequenceNumber through) const {
  Lack lack;
  if (session_ == 0) return lack;
  if (AtRest()) {
    const SequenceNumber after = floor_selection_.Contains(part) ? floor_ : kSequenceZero;
    if (after >= through) return lack;
    lack.count = events.CountRange({after.Next(), through.Next()});
    if (lack.count > 0) lack.first = *events.NextAfter(after);
    return lack;
  }
  constexpr size_t kBlock = 512;
  std::array<SequenceNumber, kBlock> block;
  SequenceNumber after = open_->seen.Contains(part) ? kSequenceZero : drained_through_;
  while (const size_t size = events.Read(after, through.Next(), block)) {
    for (size_t i = 0; i < size; ++i) {
      if (Acknowledged(part, Lasting(block[i]))) continue;
      if (lack.count++ == 0) lack.first = block[i];
    }
    after = block[size - 1];
  }
  return lack;
}

size_t DeviceMarks::MemoryBytes() const {
  size_t bytes = sizeof(*this);
  if (open_ == nullptr) return bytes;
  bytes += sizeof(Open) + open_->pages.MemoryBytes();
  for (const Open::NamedSet& named : open_->Sets()) bytes += named.set->MemoryBytes();
  return bytes;
}

std::vector<MarksRow> DeviceMarks::TakeRows() {
  std::vector<MarksRow> rows;
  if (std::exchange(header_dirty_, false)) {
    rows.push_back({std::string(1, kHeaderRow), EncodeHeader()});
  }
  if (open_ == nullptr) return rows;

  const auto value_of = [](std::string bytes) {
    return bytes.empty() ? std::nullopt : std::optional(std::move(bytes));
  };
  for (const Open::NamedSet& named : open_->Sets()) {
    for (const uint64_t chunk : named.set->TakeDirtyChunks()) {
      std::string key(1, named.row);
      AppendBigEndian64(&key, chunk);
      rows.push_back({std::move(key), value_of(named.set->SerializeChunk(chunk))});
    }
  }
  for (OutstandingPages::Row& page : open_->pages.TakeChanged()) {
    std::string key(1, kPageRow);
    AppendBigEndian64(&key, page.session);
    AppendBigEndian64(&key, page.page);
    rows.push_back({std::move(key), value_of(std::move(page.bytes))});
  }
  if (open_->at_rest) open_.reset();
  return rows;
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
  Status malformed(ErrorCode::kCorruption, "malformed header of a device's marks");
  ByteReader reader(bytes);
  if (reader.Byte() != kHeaderVersion) {
    return reader.ok() ? Status(ErrorCode::kNewerFormat, "marks of a newer version") : malformed;
  }
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
  ByteReader more(rest);
  open.first_session = more.Varint();
  open.cut = more.Sequence();
  open.drained = (flags & kFlagDrained) != 0;
  open.withheld = (flags & kFlagWithheld) != 0;
  if (!more.ok() || open.cut < drained_through_ || open.cut >= kSequenceLimit ||
      open.first_session == 0 || open.first_session > session_) {
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
  if (!marks.AtRest() && marks.open_->acknowledged.Count() > marks.open_->served.Count()) {
    return corrupt("marks of a device acknowledge what was not served");
  }
  return marks;
}

void RestingFloors::Add(const DeviceMarks& marks) {
  assert(marks.AtRest());
  if (marks.floor_selection().nothing()) return;
  floors_[marks.floor_selection()].push_back(marks.floor());
}

void RestingFloors::Seal() {
  for (auto& [selection, floors] : floors_) {
    std::sort(floors.begin(), floors.end());
    floors.erase(std::unique(floors.begin(), floors.end()), floors.end());
  }
}

bool RestingFloors::Keeps(Part part, const EndedLife& life) const {
  return std::any_of(floors_.begin(), floors_.end(), [&](const auto& entry) {
    const auto& [selection, floors] = entry;
    if (!selection.Contains(part)) return false;
    const auto at = std::lower_bound(floors.begin(), floors.end(), life.birth);
    return at != floors.end() && *at < life.death;
  });
}

}  // namespace tidemark
