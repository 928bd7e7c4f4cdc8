#include "replication/internal/marks.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "replication/internal/marks_open.h"

namespace tidemark {
namespace {

EndedLife Lasting(SequenceNumber birth) {
  return {birth, kSequenceLimit};
}

// One that can be told by the page's row and one event of the journal.
bool IsPlain(const Instruction& row) {
  return !row.deleted() && row.older.empty();
}

}  // namespace

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
bool DeviceMarks::HoldsNothing() const {
  return AtRest() && floor_selection_ == Selection::Nothing();
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
  MergeBacklog();
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
  MergeBacklog();
  if (!AtRest() && open_->served.Contains(life.birth)) return true;
  return FloorSpeaksFor(part, life);
}

bool DeviceMarks::Acknowledged(Part part, const EndedLife& life) const {
  MergeBacklog();
  if (!AtRest() && open_->acknowledged.Contains(life.birth)) return true;
  return FloorSpeaksFor(part, life);
}

std::optional<Instruction> DeviceMarks::Owed(const EntryState& entry) const {
  MergeBacklog();
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
    const auto label = LiveExaminer(*this, part).Label(entry.head, entry.birth);
    if (!label.has_value()) return false;
    instruction->op = *label;
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
  if (!open_->heads.empty()) open_->journal.NoteOther();
  open_->heads.RemoveThrough(through);
  header_dirty_ = true;
}

Verdict DeviceMarks::Examine(const EntryState& entry, Instruction* instruction) const {
  if (!FindOwed(entry, instruction)) return Verdict::kNothing;
  // What would be said under the selection in force: the same, or the session cannot say it.
  const bool live_now = entry.live && selection_.Contains(entry.part);
  return live_now == instruction->deleted() ? Verdict::kWithheld : Verdict::kHandOut;
}

DeviceMarks::LiveExaminer::LiveExaminer(const DeviceMarks& marks, Part part)
    : open_(*marks.open_),
      floor_(marks.floor_selection_.Contains(part) ? marks.floor_ : kSequenceZero),
      drained_through_(marks.drained_through_),
      last_head_(open_.heads.Last().value_or(kSequenceZero)),
      last_birth_(open_.acknowledged.Last().value_or(kSequenceZero)),
      selected_now_(marks.selection_.Contains(part)) {}

std::optional<RowOp> DeviceMarks::LiveExaminer::Label(SequenceNumber head,
                                                      SequenceNumber birth) const {
  const bool acknowledged =
      (birth <= last_birth_ && open_.acknowledged.Contains(birth)) ||
      (birth <= floor_ && !open_.served.Contains(birth) && !open_.discharged.Contains(birth));
  const bool head_acknowledged = head <= last_head_ && open_.heads.Contains(head);
  const bool current = head_acknowledged || head <= drained_through_;
  if (acknowledged ? current : head_acknowledged) return std::nullopt;
  return acknowledged ? RowOp::kUpdated : RowOp::kCreated;
}

Verdict DeviceMarks::LiveExaminer::operator()(SequenceNumber head,
                                              SequenceNumber birth,
                                              RowOp* op) const {
  const auto label = Label(head, birth);
  if (!label.has_value()) return Verdict::kNothing;
  *op = *label;
  return selected_now_ ? Verdict::kHandOut : Verdict::kWithheld;
}

std::optional<DeviceMarks::LiveExaminer> DeviceMarks::ExamineLive(Part part) const {
  if (AtRest() || !open_->cut_selection.Contains(part)) return std::nullopt;
  return LiveExaminer(*this, part);
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

  const bool later = std::all_of(instructions.begin(), instructions.end(), IsPlain);
  if (!later) MergeBacklog();
  VoidOvertaken(instructions);
  open_->pages.Add(session, page, instructions);
  if (later) {
    HandOutLater(session, page);
  } else {
    HandOutNow(instructions);
  }
  open_->last_page = page;
  open_->last_place = instructions.back().place;
  return {};
}

void DeviceMarks::MergeBacklog() const {
  if (!AtRest()) open_->MergeBacklog(session_, drained_through_);
}

void DeviceMarks::HandOutLater(uint64_t session, uint64_t page) {
  if (open_->backlog.size() == Open::kBacklogPages) MergeBacklog();
  open_->backlog.push_back({.page = page, .rows = {}});
  open_->journal.Note(session, {.page = page});
}

void DeviceMarks::HandOutNow(std::span<const Instruction> instructions) {
  open_->AddServed(instructions);
  for (const Instruction& instruction : instructions) {
    if (instruction.deleted()) HandOutDeleted(instruction);
  }
  open_->journal.NoteOther();
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
  open_->journal.NoteOther();
  open_->pages.Void(void_live, void_deleted);
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

  MergeBacklog();
  if (const auto row = open_->pages.Take(key)) {
    open_->journal.NoteOther();
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
  if (!open_->pages.IsStored(session, page)) open_->journal.NoteOther();
  const bool pending = session == session_ && open_->FindPending(page) != nullptr;
  const uint64_t count = pending ? AcknowledgeLater(page) : AcknowledgeNow(session, page);
  if (count == 0) return std::nullopt;
  SettleIfDone();
  if (open_->journal.MustStoreSets()) open_->pages.MarkChanged(session, page);
  return count;
}

uint64_t DeviceMarks::AcknowledgeLater(uint64_t page) {
  OutstandingPages::Packed taken = open_->pages.TakePacked(session_, page);
  if (taken.count == 0) return 0;
  open_->FindPending(page)->rows = std::move(taken.rows);
  open_->journal.Note(session_, {.page = page, .acknowledged = true});
  return taken.count;
}

uint64_t DeviceMarks::AcknowledgeNow(uint64_t session, uint64_t page) {
  const std::vector<Instruction> rows = open_->pages.TakePage(session, page);
  if (rows.empty()) return 0;
  if (std::all_of(rows.begin(), rows.end(), IsPlain)) {
    open_->journal.Note(session, {.page = page, .acknowledged = true});
  } else {
    open_->journal.NoteOther();
  }
  if (!CanSettle()) {  // else the sets are emptied anyway
    MergeBacklog();
    ApplyAcks(rows);
  }
  return rows.size();
}

void DeviceMarks::ApplyAcks(std::span<const Instruction> rows) {
  open_->AddAcknowledged(rows, drained_through_);
  for (const Instruction& row : rows) {
    if (row.deleted()) Discharge(row.birth);
    for (const SequenceNumber birth : row.older) Discharge(birth);
  }
}

void DeviceMarks::Discharge(SequenceNumber birth) {
  open_->served.Remove(birth);
  open_->served_misses = true;
  open_->acknowledged.Remove(birth);
  if (birth <= floor_) open_->discharged.Add(birth);
}

bool DeviceMarks::CanSettle() const {
  return open_->drained && !open_->withheld && !open_->pages.HasSession(session_);
}

void DeviceMarks::SettleIfDone() {
  if (CanSettle()) Settle();
}

void DeviceMarks::Settle() {
  // A floor without parts stays one as long as nothing is handed out: the device holds nothing.
  const bool holds_nothing =
      floor_selection_ == Selection::Nothing() && open_->served.empty() && open_->backlog.empty();
  if (!holds_nothing) floor_selection_ = open_->cut_selection;
  floor_ = open_->cut;
  drained_through_ = open_->cut;
  reset_pending_ = false;
  ForgetExceptions();
}

void DeviceMarks::Reset() {
  drained_through_ = kSequenceZero;
  floor_ = kSequenceZero;
  floor_selection_ = Selection::Nothing();
  reset_pending_ = true;
  header_dirty_ = true;
  if (open_ != nullptr) ForgetExceptions();
}

void DeviceMarks::ForgetExceptions() {
  header_dirty_ = true;
  for (const Open::NamedSet& named : open_->Sets()) named.set->Clear();
  open_->backlog.clear();
  open_->journal.NoteOther();
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
  MergeBacklog();
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

std::vector<OutstandingPages::Place> DeviceMarks::Unacknowledged(
    std::span<const SequenceNumber> births) const {
  return AtRest() ? std::vector<OutstandingPages::Place>{} : open_->pages.FindLives(births);
}

size_t DeviceMarks::MemoryBytes() const {
  size_t bytes = sizeof(*this);
  if (open_ == nullptr) return bytes;
  bytes += sizeof(Open) + open_->pages.MemoryBytes() + open_->journal.MemoryBytes() +
           open_->BacklogBytes();
  for (const Open::NamedSet& named : open_->Sets()) bytes += named.set->MemoryBytes();
  return bytes;
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
