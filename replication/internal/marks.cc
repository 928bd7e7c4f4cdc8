#include "replication/internal/marks.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "replication/internal/marks_open.h"

namespace tidemark {
namespace {

EndedStay Lasting(SequenceNumber birth) {
  return {birth, kSequenceLimit};
}

// Unlike an assignment, this leaves the chunks of both marked that have to be stored.
void Replace(SequenceSet* set, const SequenceSet& by) {
  set->Clear();
  std::array<SequenceNumber, 512> block;
  SequenceNumber after;
  while (const size_t size = by.Read(after, kSequenceLimit, block)) {
    set->AddAll({block.data(), size});
    after = block[size - 1];
  }
}

// One that can be told by the page's row and one event of the journal.
bool IsPlain(const Instruction& row) {
  return !row.deleted() && row.older.empty();
}

bool HasIncreasingPlaces(std::span<const Instruction> instructions) {
  const auto falls = [](const Instruction& left, const Instruction& right) {
    return left.place >= right.place;
  };
  return std::adjacent_find(instructions.begin(), instructions.end(), falls) == instructions.end();
}

}  // namespace

bool Shows(const Selection& selection, const EntryState& entry) {
  if (!entry.live) return false;
  if (selection.Contains(entry.entity)) return true;
  return selection.names_values() &&
         std::any_of(entry.stays.begin(), entry.stays.end(), [&](const OpenStay& stay) {
           return selection.ContainsValue(Part(entry.entity, stay.in));
         });
}

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
bool DeviceMarks::Settled() const {
  return AtRest() || open_->first_session > session_;
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
bool DeviceMarks::ShownAtCut(const EntryState& entry) const {
  return Shows(AtRest() ? floor_selection_ : open_->cut_selection, entry);
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
  open.NoteAsked();
  assert(cut >= open.cut && cut >= floor_);
  open.seen = Selection::Union(open.seen, Selection::Difference(floor_selection_, selection_));
  if (open.WroteAboveCut()) {  // it is the new one that is above all of them
    open.own_lives.Clear();
    open.own_losses.Clear();
    open.journal.NoteOther();
  }
  open.cut = cut;
  open.cut_selection = selection_;
  open.last_page = 0;
  open.view_open = true;
  open.drained = false;
  open.withheld = false;
  header_dirty_ = true;
  return session_;
}

std::optional<ReadRange> DeviceMarks::Range(EntityNumber entity) const {
  if (AtRest()) return std::nullopt;
  const bool selected = open_->cut_selection.Touches(entity);
  const bool seen = open_->seen.Touches(entity);
  const bool floor_selected = floor_selection_.Touches(entity);
  const bool may_hold = floor_selected || !open_->served.empty();
  ReadRange range{.entity = entity,
                  .live_after = seen ? kSequenceZero : drained_through_,
                  .tombstones_after = drained_through_,
                  .live = selected || (seen && may_hold),
                  .tombstones = (selected || seen) && may_hold};
  if (!range.live && !range.tombstones) return std::nullopt;

  // No version above drained_through is acknowledged. In a part that the floor says nothing about,
  // no version is acknowledged at all once no life is.
  range.all_live_owed = open_->cut_selection.Contains(entity) && !SeesValuesOf(entity) &&
                        open_->heads.empty() &&
                        (!seen || (!floor_selected && open_->acknowledged.empty()));
  range.holds_floor = !seen || !open_->served.empty();
  return range;
}

std::optional<std::vector<PartBound>> DeviceMarks::PartsToRead(EntityNumber entity) const {
  if (AtRest() || open_->cut_selection.Contains(entity) || open_->seen.Contains(entity) ||
      floor_selection_.Contains(entity)) {
    return std::nullopt;
  }
  const Selection all =
      Selection::Union(open_->seen, Selection::Union(open_->cut_selection, floor_selection_));
  std::vector<PartBound> bounds;
  for (const Part& part : all.ValuesOf(entity)) {
    bounds.push_back({part.in, open_->seen.ContainsValue(part) ? kSequenceZero : drained_through_});
  }
  return bounds;
}

// Some selection that matters is about values of this entity's keys.
bool DeviceMarks::SeesValuesOf(EntityNumber entity) const {
  return selection_.NamesValuesOf(entity) || floor_selection_.NamesValuesOf(entity) ||
         open_->cut_selection.NamesValuesOf(entity) || open_->seen.NamesValuesOf(entity);
}

bool DeviceMarks::IsException(SequenceNumber birth) const {
  return !AtRest() && (open_->served.Contains(birth) || open_->discharged.Contains(birth));
}

bool DeviceMarks::FloorSpeaksThrough(EntityNumber entity, const EndedStay& stay) const {
  return stay.begin() <= floor_ && floor_ < stay.until &&
         floor_selection_.Contains(Part(entity, stay.in)) && !IsException(stay.birth);
}

bool DeviceMarks::Held(EntityNumber entity, const EndedStay& stay) const {
  MergeBacklog();
  if (!AtRest() && open_->served.Contains(stay.birth)) return true;
  return FloorSpeaksThrough(entity, stay);
}

bool DeviceMarks::Acknowledged(EntityNumber entity, const EndedStay& stay) const {
  MergeBacklog();
  if (!AtRest() && open_->acknowledged.Contains(stay.birth)) return true;
  return FloorSpeaksThrough(entity, stay);
}

// Of a live entry's own life, whose stays are partly open and partly ended.
bool DeviceMarks::FloorSpeaksForLasting(const EntryState& entry) const {
  if (entry.birth > floor_ || IsException(entry.birth)) return false;
  if (floor_selection_.Contains(entry.entity)) return true;
  if (!floor_selection_.NamesValuesOf(entry.entity)) return false;
  const auto covers = [&](const OpenStay& stay) {
    return stay.from <= floor_ && floor_selection_.Contains(Part(entry.entity, stay.in));
  };
  const auto covered = [&](const EndedStay& stay) {
    return stay.birth == entry.birth && FloorSpeaksThrough(entry.entity, stay);
  };
  return std::any_of(entry.stays.begin(), entry.stays.end(), covers) ||
         std::any_of(entry.ended.begin(), entry.ended.end(), covered);
}

bool DeviceMarks::HoldsLasting(const EntryState& entry) const {
  MergeBacklog();
  return (!AtRest() && open_->served.Contains(entry.birth)) || FloorSpeaksForLasting(entry);
}

bool DeviceMarks::HasLasting(const EntryState& entry) const {
  MergeBacklog();
  return (!AtRest() && open_->acknowledged.Contains(entry.birth)) || FloorSpeaksForLasting(entry);
}

// Lives that ended, each once.
void DeviceMarks::CollectEndedHeld(const EntryState& entry,
                                   std::vector<SequenceNumber>* births) const {
  for (const EndedStay& stay : entry.ended) {
    if (entry.live && stay.birth == entry.birth) continue;
    if (!births->empty() && births->back() == stay.birth) continue;
    if (Held(entry.entity, stay)) births->push_back(stay.birth);
  }
}

std::optional<Instruction> DeviceMarks::Owed(const EntryState& entry) const {
  MergeBacklog();
  Instruction instruction;
  if (!FindOwed(entry, &instruction)) return std::nullopt;
  return instruction;
}

bool DeviceMarks::FindOwed(const EntryState& entry, Instruction* instruction) const {
  if (AtRest()) return false;
  instruction->place = entry.head;
  instruction->older.clear();
  CollectEndedHeld(entry, &instruction->older);

  if (Shows(open_->cut_selection, entry)) {
    const bool acknowledged =
        open_->acknowledged.Contains(entry.birth) || FloorSpeaksForLasting(entry);
    const auto label = LabelOf(acknowledged, entry.head, open_->heads.Contains(entry.head));
    if (!label.has_value()) return false;
    instruction->op = *label;
    instruction->birth = entry.birth;
    // What is unknown to the device in a part of `seen` is found again from the part's beginning.
    instruction->holds_floor =
        IsShownOutsideSeen(entry) || !instruction->older.empty() || HoldsLasting(entry);
    return true;
  }

  if (entry.live && HoldsLasting(entry)) instruction->older.push_back(entry.birth);
  if (instruction->older.empty()) return false;
  const auto newest = std::max_element(instruction->older.begin(), instruction->older.end());
  instruction->op = RowOp::kDelete;
  instruction->birth = *newest;
  instruction->older.erase(newest);
  instruction->holds_floor = true;
  return true;
}

// What is to be said of a live version, if anything.
std::optional<RowOp> DeviceMarks::LabelOf(bool acknowledged,
                                          SequenceNumber head,
                                          bool head_acknowledged) const {
  const bool current = head_acknowledged || head <= drained_through_;
  if (acknowledged ? current : head_acknowledged) return std::nullopt;
  return acknowledged ? RowOp::kUpdated : RowOp::kCreated;
}

// The cut's selection has the entry in some part that no session since the floor saw otherwise.
bool DeviceMarks::IsShownOutsideSeen(const EntryState& entry) const {
  const auto plain = [&](const Part& part) {
    return open_->cut_selection.Contains(part) && !open_->seen.Contains(part);
  };
  return plain(Part(entry.entity)) ||
         std::any_of(entry.stays.begin(), entry.stays.end(), [&](const OpenStay& stay) {
           return plain(Part(entry.entity, stay.in));
         });
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
  const bool live_now = Shows(selection_, entry);
  return live_now == instruction->deleted() ? Verdict::kWithheld : Verdict::kHandOut;
}

DeviceMarks::LiveExaminer::LiveExaminer(const DeviceMarks& marks, EntityNumber entity)
    : open_(*marks.open_),
      drained_through_(marks.drained_through_),
      floor_(marks.floor_selection_.Contains(entity) ? marks.floor_ : kSequenceZero),
      last_head_(open_.asked_heads),
      last_birth_(open_.asked_births),
      floor_is_whole_(open_.served.empty() && open_.discharged.empty()),
      selected_now_(marks.selection_.Contains(entity)) {}

bool DeviceMarks::LiveExaminer::IsAcknowledged(SequenceNumber birth) const {
  return (birth <= last_birth_ && open_.acknowledged.Contains(birth)) ||
         (birth <= floor_ && !open_.served.Contains(birth) && !open_.discharged.Contains(birth));
}

bool DeviceMarks::LiveExaminer::IsHeadAcknowledged(SequenceNumber head) const {
  return open_.heads.Contains(head);
}

std::optional<DeviceMarks::LiveExaminer> DeviceMarks::ExamineLive(EntityNumber entity) const {
  if (AtRest() || !open_->cut_selection.Contains(entity) || SeesValuesOf(entity)) {
    return std::nullopt;
  }
  return LiveExaminer(*this, entity);
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
  if (page <= open_->last_page) return {ErrorCode::kInternal, "pages of a session out of order"};
  if (!HasIncreasingPlaces(instructions)) {
    return {ErrorCode::kInternal, "instructions of a page out of order"};
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
  open_->own_lives.Remove(birth);
  if (birth <= floor_) open_->discharged.Add(birth);
}

void DeviceMarks::NoteOwnWrite(const OwnWrite& write) {
  const bool was_at_rest = AtRest();
  MergeBacklog();
  Open& open = Exceptions();
  if (was_at_rest) {
    open.first_session = session_ + 1;  // of those that there were, none is open
    open.cut = floor_;
    open.cut_selection = floor_selection_;
    open.view_open = false;
    open.drained = false;
    open.withheld = false;
  }
  header_dirty_ = true;
  open.journal.NoteOther();
  const Instruction as_told{.op = write.live ? RowOp::kCreated : RowOp::kDelete,
                            .place = write.head,
                            .birth = write.birth,
                            .older = write.older};
  VoidOvertaken({&as_told, 1});
  if (write.live) {
    // A part that the floor's selection lacks is looked at again, also if it is revoked by then.
    open.seen = Selection::Union(open.seen, Selection::Difference(floor_selection_, selection_));
    open.served.Add(write.birth);
    open.acknowledged.Add(write.birth);
    open.heads.Add(write.head);
    open.asked_births = std::max(open.asked_births, write.birth);
    open.asked_heads = std::max(open.asked_heads, write.head);
    open.own_lives.Add(write.birth);
  } else {
    Discharge(write.birth);
    open.own_losses.Add(write.birth);
  }
  for (const SequenceNumber birth : write.older) {
    Discharge(birth);
    open.own_losses.Add(birth);
  }
  SettleIfDone();  // what was voided may have been all that it waited for
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
  open_->WroteAboveCut() ? KeepOwnWrites() : ForgetExceptions();
}

// The floor says nothing of what the device wrote above the cut. `seen` stays as well: what it
// wrote may be in a part that neither the floor nor the next session knows.
void DeviceMarks::KeepOwnWrites() {
  header_dirty_ = true;
  open_->journal.NoteOther();
  open_->backlog.clear();
  open_->pages.Clear();
  Replace(&open_->served, open_->own_lives);
  Replace(&open_->acknowledged, open_->own_lives);
  Replace(&open_->discharged, open_->own_losses);
  open_->heads.RemoveThrough(open_->cut);
  open_->first_session = session_ + 1;
  open_->view_open = false;
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

bool DeviceMarks::Keeps(EntityNumber entity, const EndedStay& stay) const {
  if (Held(entity, stay)) return true;
  if (AtRest() || open_->own_losses.Contains(stay.birth)) return false;
  // What is not handed out yet is to be; what was not, for the device has it through another stay,
  // the floor will speak for through this one once the session settles.
  const bool claims = open_->drained ? !open_->withheld : open_->view_open;
  return claims && stay.begin() <= open_->cut && open_->cut < stay.until &&
         open_->cut_selection.Contains(Part(entity, stay.in));
}

DeviceMarks::Lack DeviceMarks::Lacks(EntityNumber entity,
                                     const SequenceSet& events,
                                     SequenceNumber through) const {
  Lack lack;
  if (session_ == 0) return lack;
  if (AtRest()) {
    const SequenceNumber after = floor_selection_.Contains(entity) ? floor_ : kSequenceZero;
    if (after >= through) return lack;
    lack.count = events.CountRange({after.Next(), through.Next()});
    if (lack.count > 0) lack.first = *events.NextAfter(after);
    return lack;
  }
  MergeBacklog();
  constexpr size_t kBlock = 512;
  std::array<SequenceNumber, kBlock> block;
  SequenceNumber after = open_->seen.Contains(entity) ? kSequenceZero : drained_through_;
  while (const size_t size = events.Read(after, through.Next(), block)) {
    for (size_t i = 0; i < size; ++i) {
      if (Acknowledged(entity, Lasting(block[i]))) continue;
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

bool RestingFloors::Keeps(EntityNumber entity, const EndedStay& stay) const {
  return std::any_of(floors_.begin(), floors_.end(), [&](const auto& entry) {
    const auto& [selection, floors] = entry;
    if (!selection.Contains(Part(entity, stay.in))) return false;
    const auto at = std::lower_bound(floors.begin(), floors.end(), stay.begin());
    return at != floors.end() && *at < stay.until;
  });
}

}  // namespace tidemark
