// Random histories of a source and its devices against an oracle of plain maps. Checked: a settled
// device equals its selection at the cut; what is owed, its label and its count are exact at every
// start; whichever queues of a session are asked, in whatever order, each instruction is handed out
// once, in the order of its queue, and none is left out; nothing outside the selection in force
// leaves; tombstones are kept exactly as long as somebody needs them; marks survive being stored
// and loaded.
//
//   TIDEMARK_SEED=n        one history
//   TIDEMARK_TEST_LONG=1   fifty times as many
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "replication/internal/marks.h"
#include "replication/internal/session_queues.h"
#include "tests/model/marks_device.h"
#include "tests/model/marks_mutants.h"
#include "tests/model/marks_oracle.h"
#include "tests/model/toy_log.h"

namespace tidemark::model {
namespace {

constexpr int kDevices = 3;
constexpr int kSteps = 500;
constexpr uint64_t kHistories = 1000;

class History {
 public:
  History(uint64_t seed, Mutant mutant) : random_(seed), mutant_(mutant) {
    // Some histories lose nothing, some change selections all the time, some rarely settle.
    // NOLINTNEXTLINE(cppcoreguidelines-prefer-member-initializer): drawn in this order
    loss_ = Pick(3) * 15;
    // NOLINTNEXTLINE(cppcoreguidelines-prefer-member-initializer): drawn in this order
    changes_ = 1 + Pick(3) * 4;
    // NOLINTNEXTLINE(cppcoreguidelines-prefer-member-initializer): drawn in this order
    with_values_ = Chance(75);
    // NOLINTNEXTLINE(cppcoreguidelines-prefer-member-initializer): drawn in this order
    own_writes_ = Pick(3) * 10;
    // NOLINTNEXTLINE(cppcoreguidelines-prefer-member-initializer): drawn in this order
    with_queues_ = Chance(67);
    for (Device& device : devices_) {
      device.marks = DeviceMarks(RandomSelection());
      Commit(device);
    }
  }

  // What went wrong first; empty if nothing did.
  std::string Run() {
    for (int step = 0; step < kSteps && failure_.empty(); ++step) Step();
    // At last, everything quiet: every device ends up with exactly its selection.
    for (Device& device : devices_) Finish(device);
    Purge();
    return failure_;
  }

  uint64_t settled() const { return settled_; }

 private:
  uint64_t Pick(uint64_t limit) { return random_() % limit; }
  bool Chance(uint64_t percent) { return Pick(100) < percent; }

  void Fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
  }
  void Check(bool holds, const char* what) {
    if (!holds) Fail(what);
  }

  Selection RandomSelection() {
    if (Chance(30)) return Selection::Everything();
    std::vector<EntityNumber> entities;
    for (EntityNumber entity = 0; entity < kEntities; ++entity) {
      if (Chance(with_values_ ? 15 : 55)) entities.push_back(entity);
    }
    if (Chance(15)) return Selection::EverythingBut(entities);
    std::vector<Part> parts(entities.begin(), entities.end());
    for (EntityNumber entity = 0; entity < kEntities && with_values_; ++entity) {
      for (uint16_t key = 1; key <= kKeys; ++key) {
        for (uint64_t value = 1; value <= kValuesMax; ++value) {
          if (Chance(25)) parts.push_back(Part(entity, {key, value}));
        }
      }
    }
    return Selection::Of(parts);
  }

  ToyValues RandomValues() {
    ToyValues values;
    for (uint16_t key = 1; key <= kKeys && with_values_; ++key) {
      const uint64_t value = Pick(kValuesMax + 1);
      if (value > 0) values.push_back({key, value});
    }
    return values;
  }

  std::shared_ptr<const ResolvedQueues> RandomQueues() {
    if (!with_queues_ || Chance(20)) return nullptr;
    auto queues = std::make_shared<ResolvedQueues>();
    for (uint64_t count = 1 + Pick(3); count > 0; --count) {
      std::vector<Part> parts;
      for (EntityNumber entity = 0; entity < kEntities; ++entity) {
        if (Chance(25)) parts.push_back(entity);
        if (Chance(25)) parts.push_back(Part(entity, {1, 1 + Pick(kValuesMax)}));
        if (Chance(25)) parts.push_back(Part(entity, {2, 1 + Pick(kValuesMax)}));
      }
      queues->push_back({"queue" + std::to_string(count), Selection::Of(parts)});
    }
    return queues;
  }

  // By the words of the contract: the first one that has the record in the view.
  size_t QueueOf(const Device& device, const ToyEntry& entry) {
    if (mutant_ == Mutant::kQueuesFollowMarks && device.marks.Owed(entry.state()) &&
        device.marks.Owed(entry.state())->op != RowOp::kCreated) {
      return device.queues.main();
    }
    const bool shown = entry.IsIn(device.cut_selection);
    for (size_t queue = 0; queue < device.queues.main(); ++queue) {
      const Selection& parts = (*device.declared)[queue].parts;
      if (parts.Contains(EntityOf(entry.id)) || (shown && entry.IsIn(parts))) return queue;
    }
    return device.queues.main();
  }

  void Step() {
    Device& device = devices_[Pick(kDevices)];
    const uint64_t kind = Pick(100);
    if (kind < 18) {
      for (uint64_t writes = 1 + Pick(3); writes > 0; --writes) {
        Chance(own_writes_) ? WriteAs(device) : Write();
      }
    } else if (kind < 30) {
      Start(device);
    } else if (kind < 55) {
      NextPage(device);
    } else if (kind < 70) {
      Receive(device);
    } else if (kind < 87) {
      DeliverAnswer(device);
    } else if (kind < 87 + changes_) {
      device.marks.Select(RandomSelection());
      Commit(device);
    } else if (kind == 97) {
      Restart(device);
    } else if (kind == 98) {
      if (Chance(15)) ResetDevice(device);
    } else {
      Purge();
    }
  }

  void Write() {
    const int id = static_cast<int>(Pick(kIds));
    const bool filter = Chance(50);
    const auto keeps = [&](EntityNumber entity, const EndedStay& stay) {
      if (mutant_ == Mutant::kEndedLivesForgotten) return false;
      if (mutant_ == Mutant::kMovesForgotten && !stay.in.whole()) return false;
      return !filter || Needed(entity, stay);
    };
    if (Chance(35)) {
      log_.Delete(id, keeps);
    } else {
      log_.Put(id, RandomValues(), keeps);
    }
  }

  // A device writes what it holds in its newest version, or whatever it likes: the last writer
  // wins.
  void WriteAs(Device& device) {
    const int id = static_cast<int>(Pick(kIds));
    const ToyEntry* before = log_.Current(id);
    const bool lives = before != nullptr && before->live;
    const auto copy = device.local.find(id);
    const bool is_newest = copy != device.local.end() && lives && copy->second.head == before->head;
    if (lives && !before->IsIn(device.marks.selection())) return;
    if (lives && !is_newest && Chance(70)) return;
    const auto keeps = [this](EntityNumber entity, const EndedStay& stay) {
      return Needed(entity, stay);
    };
    OwnWrite write{.live = !lives || Chance(65)};
    if (write.live) {
      const ToyValues values = RandomValues();
      ToyEntry after{.id = id, .live = true};
      for (const KeyValue& value : values) after.stays.push_back({value, kSequenceZero});
      if (!after.IsIn(device.marks.selection())) return;
      log_.Put(id, values, keeps);
    } else {
      log_.Delete(id, [](EntityNumber, const EndedStay&) { return true; });
    }
    const ToyEntry& now = *log_.Current(id);
    write.head = now.head;
    write.birth = write.live ? now.birth : now.ended.back().birth;
    for (const EndedStay& stay : now.ended) {
      if (stay.birth != write.birth) write.older.push_back(stay.birth);
    }
    device.marks.NoteOwnWrite(write);
    Commit(device);
    device.oracle.Write(id, write.birth, write.head, write.live, device.marks.session());
    device.written[id] = write.head;
    device.local.erase(id);
    if (write.live) device.local[id] = {write.birth, write.head};
  }

  bool Needed(EntityNumber entity, const EndedStay& stay) {
    bool needed = false;
    RestingFloors resting;
    for (const Device& device : devices_) {
      if (device.marks.AtRest()) {
        resting.Add(device.marks);
      } else if (mutant_ != Mutant::kPurgeBlindToExceptions) {
        needed |= mutant_ == Mutant::kPurgeBlindToViews ? device.marks.Held(entity, stay)
                                                        : device.marks.Keeps(entity, stay);
      }
    }
    resting.Seal();
    return needed || resting.Keeps(entity, stay);
  }

  void Purge() {
    const std::vector<ToyEntry> kept = log_.Purge(
        [this](EntityNumber entity, const EndedStay& stay) { return Needed(entity, stay); });
    for (const ToyEntry& tombstone : kept) {
      bool needed = false;
      for (const EndedStay& life : tombstone.ended) needed |= MayBeNeeded(tombstone.id, life);
      Check(needed, "a tombstone is kept that nobody needs");
    }
    for (int id = 0; id < kIds; ++id) CheckHeldLivesAreKnown(id);
  }

  bool MayBeNeeded(int id, const EndedStay& life) const {
    return std::any_of(std::begin(devices_), std::end(devices_), [&](const Device& device) {
      if (device.oracle.Holds(id, life.birth)) return true;
      return device.marks.session_open() && !device.drained && life.begin() <= device.cut &&
             device.cut < life.until && device.cut_selection.Contains(Part(EntityOf(id), life.in));
    });
  }

  void CheckHeldLivesAreKnown(int id) {
    const ToyEntry* entry = log_.Current(id);
    for (const Device& device : devices_) {
      for (const SequenceNumber birth : device.oracle.HeldLives(id)) {
        bool known = entry != nullptr && entry->live && entry->birth == birth;
        if (entry != nullptr) {
          for (const EndedStay& life : entry->ended) known |= life.birth == birth;
        }
        Check(known, "a life that a device may hold was forgotten");
      }
    }
  }

  // Makes the marks' rows durable.
  void Commit(Device& device) {
    for (const MarksRow& row : device.marks.TakeRows()) {
      const char kind = row.key[0];
      if ((mutant_ == Mutant::kServedNotDurable && kind == 'S') ||
          (mutant_ == Mutant::kAcknowledgedNotDurable && kind == 'A') ||
          (mutant_ == Mutant::kHeadsNotDurable && kind == 'D') ||
          (mutant_ == Mutant::kDischargedNotDurable && kind == 'N') ||
          (mutant_ == Mutant::kOwnLivesNotDurable && kind == 'O') ||
          (mutant_ == Mutant::kOwnLossesNotDurable && kind == 'L') ||
          (mutant_ == Mutant::kPagesNotDurable && kind == 'P') ||
          (mutant_ == Mutant::kJournalNotDurable && kind == 'J')) {
        continue;
      }
      if (row.value.has_value()) {
        device.rows[row.key] = *row.value;
      } else {
        device.rows.erase(row.key);
      }
    }
    if (!device.marks.AtRest()) return;
    if (mutant_ == Mutant::kNone) {
      Check(device.rows.size() == 1, "a device at rest has more than one row");
    }
    Check(device.marks.MemoryBytes() <= 128, "a device at rest owns memory");
  }

  void Restart(Device& device) {
    std::vector<MarksRow> rows;
    for (const auto& [key, value] : device.rows) rows.push_back({key, value});
    Result<DeviceMarks> loaded = DeviceMarks::Load(rows);
    if (!loaded.ok()) return Fail("marks do not load: " + loaded.status().message());
    device.marks = *std::move(loaded);
    device.in_flight.clear();
  }

  void ResetDevice(Device& device) {
    device.marks.Reset();
    device.oracle.Reset(device.marks.session() + 1);
    if (Chance(50)) device.local.clear();  // it was wiped
    Commit(device);
  }

  void Start(Device& device) {
    if (mutant_ != Mutant::kLatePagesApplied) device.in_flight.clear();
    device.reset = device.marks.reset_pending();
    const uint64_t session = device.marks.StartSession(log_.last());
    if (device.reset) device.oracle.Reset(session);
    device.listed.clear();
    device.written.clear();
    device.pages = 0;
    device.declared = RandomQueues();
    device.queues = SessionQueues(device.declared);
    device.places.assign(device.queues.main() + 1, kSequenceZero);
    device.handed.clear();
    device.drained = false;
    device.withheld = false;
    device.unacknowledged = 0;
    device.cut = log_.last();
    device.cut_selection = device.marks.selection();
    device.ranges.clear();
    for (EntityNumber entity = 0; entity < kEntities; ++entity) {
      device.ranges.push_back(device.marks.Range(entity));
      std::optional<ReadRange>& range = device.ranges.back();
      if (!range.has_value()) continue;
      if (mutant_ == Mutant::kBackfillAboveFloorOnly) range->live_after = range->tombstones_after;
      if (mutant_ == Mutant::kTombstonesNotRead) range->tombstones = false;
      if (mutant_ == Mutant::kEvictionsNotRead && !device.cut_selection.Contains(entity)) {
        range->live = false;
      }
    }
    CountOwed(device);
    Commit(device);
  }

  bool InRange(const Device& device, const ToyEntry& entry) const {
    const std::optional<ReadRange>& range = device.ranges[EntityOf(entry.id)];
    if (!range.has_value()) return false;
    return entry.live ? range->live && entry.head > range->live_after
                      : range->tombstones && entry.head > range->tombstones_after;
  }

  // Checks what is owed at the start, entry by entry, and its count.
  void CountOwed(Device& device) {
    OwedTally tally;
    uint64_t expected = 0;
    std::map<EntityNumber, std::pair<uint64_t, SequenceNumber>> whole;  // count and first head
    std::set<int> visible;
    for (const ToyEntry& entry : log_.View(device.cut)) {
      visible.insert(entry.id);
      const std::optional<RowOp> right = device.oracle.Owed(entry, device.cut_selection);
      if (right.has_value()) ++expected;
      if (right.has_value()) device.queues.Owe(QueueOf(device, entry), 1);
      const bool read = InRange(device, entry);
      const std::optional<Instruction> owed =
          read ? device.marks.Owed(entry.state()) : std::nullopt;
      CheckInstruction(entry, owed, right);
      if (read && entry.live && device.ranges[EntityOf(entry.id)]->all_live_owed) {
        auto& [count, first] = whole[EntityOf(entry.id)];
        if (count++ == 0) first = entry.head;
      } else if (owed.has_value()) {
        tally.Add(*owed);
      }
    }
    for (const auto& [entity, found] : whole) {
      tally.AddWhole(*device.ranges[entity], found.first, found.second);
    }
    for (int id = 0; id < kIds; ++id) {
      Check(visible.contains(id) || !device.oracle.Holds(id), "an owed deletion has no tombstone");
    }
    Check(tally.count() == expected, "the count at the start is wrong");
    device.marks.AdvanceFloor(mutant_ == Mutant::kFloorFollowsCut ? OwedTally() : tally);
  }

  static std::string Describe(const ToyEntry& entry) {
    return (entry.live ? "live id " : "tombstone of id ") + std::to_string(entry.id) + " at " +
           std::to_string(entry.head.value()) + ", born " + std::to_string(entry.birth.value());
  }

  void CheckInstruction(const ToyEntry& entry,
                        const std::optional<Instruction>& owed,
                        const std::optional<RowOp>& right) {
    if (owed.has_value() && !right.has_value()) {
      return Fail(owed->deleted() ? "needless delete" : "acknowledged, and owed again");
    }
    if (!owed.has_value() && right.has_value()) {
      return Fail("owed, and not sent: " + Describe(entry));
    }
    if (!owed.has_value()) return;
    if (owed->op != *right) Fail("wrong label: " + Describe(entry));
    Check(owed->place == entry.head, "wrong place");
  }

  // Whether the queue that is asked is to look at an entry.
  bool Reads(const Device& device, size_t asked, const ToyEntry& entry) {
    const size_t queue = QueueOf(device, entry);
    const EntryState state = entry.state();
    if (mutant_ != Mutant::kQueuesFollowMarks) {
      Check(device.queues.Of(state, device.marks.ShownAtCut(state)) == queue, "of another queue");
      Check(device.queues.OfAll(state.entity).value_or(queue) == queue, "of another queue at once");
    }
    const size_t main = device.queues.main();
    if (asked != main && queue != asked) return false;
    if (mutant_ == Mutant::kMainBlindToQueues && asked == main) {
      return entry.head > device.places[main];
    }
    if (mutant_ == Mutant::kQueuesBlindToMain) return entry.head > device.places[asked];
    return !device.queues.IsBehind(queue, entry.head);
  }

  void NextPage(Device& device) {
    if (!device.marks.session_open() || device.drained) return;
    const size_t asked = Chance(50) ? device.queues.main() : Pick(device.queues.main() + 1);
    if (device.queues.IsDrained(asked)) return;
    const size_t limit = 1 + Pick(3);
    const uint64_t session = device.marks.session();
    std::vector<Instruction> instructions;
    std::vector<Told> page;
    bool more = false;
    SequenceNumber place;
    for (const ToyEntry& entry : log_.View(device.cut)) {
      if (!InRange(device, entry) || !Reads(device, asked, entry)) continue;
      if (page.size() == limit) {
        more = true;
        break;
      }
      place = entry.head;
      if (mutant_ != Mutant::kOwnWritesToldAgain && device.written.contains(entry.id)) continue;
      std::optional<Instruction> said = ExamineEntry(device, entry);
      if (!said.has_value()) continue;
      instructions.push_back(*said);
      page.push_back({entry.id, session, device.pages + 1, *said});
      device.queues.NoteHandedOut(QueueOf(device, entry), 1);
      Check(entry.head > device.places[asked], "not in the order of heads within a queue");
      Check(device.handed.insert(entry.id).second, "handed out twice in a session");
    }
    device.places[asked] = std::max(device.places[asked], place);
    device.queues.NoteRead(asked, place);

    if (!page.empty()) {
      ++device.pages;
      const Status served = device.marks.HandOut(session, device.pages, instructions);
      if (!served.ok()) return Fail("not handed out: " + served.message());
      for (const Told& told : page) device.oracle.HandOut(told);
      device.unacknowledged += page.size();
      device.in_flight.push_back(page);
      if (Chance(loss_)) device.in_flight.pop_back();
    }
    if (!more && (page.empty() || Chance(50))) device.queues.NoteDrained(asked);
    if (mutant_ == Mutant::kDrainedTooEarly && device.pages > 1) {
      device.queues.NoteDrained(device.queues.main());
    }
    if (device.queues.IsDone()) {
      device.drained = true;
      CheckHandedOut(device);
      Settling(device, [&] { device.marks.FinishDrain(session); });
    }
    Commit(device);
  }

  // A drained session handed out all that it owed, but for what it withheld.
  void CheckHandedOut(const Device& device) {
    if (device.withheld || mutant_ == Mutant::kDrainedTooEarly) return;
    for (const ToyEntry& entry : log_.View(device.cut)) {
      if (device.handed.contains(entry.id) || device.written.contains(entry.id)) continue;
      const bool owed = device.oracle.Owed(entry, device.cut_selection).has_value();
      Check(!owed, "drained, and something was left out");
    }
  }

  std::optional<Instruction> ExamineEntry(Device& device, const ToyEntry& entry) {
    Instruction instruction;
    Verdict verdict = device.marks.Examine(entry.state(), &instruction);
    CheckLiveExaminer(device, entry, verdict, instruction.op);
    if (mutant_ == Mutant::kSelectionInForceIgnored && verdict == Verdict::kWithheld) {
      instruction = *device.marks.Owed(entry.state());
      verdict = Verdict::kHandOut;
    }
    const std::optional<RowOp> right = device.oracle.Owed(entry, device.cut_selection);
    if (verdict == Verdict::kNothing) {
      Check(!right.has_value(), "owed, and passed over");
      return std::nullopt;
    }
    const bool selected = entry.IsIn(device.marks.selection());
    if (verdict == Verdict::kWithheld) {
      Check(entry.live && selected != entry.IsIn(device.cut_selection), "withheld without need");
      device.withheld = true;
      if (mutant_ != Mutant::kWithheldNotNoted) device.marks.NoteWithheld();
      return std::nullopt;
    }
    CheckInstruction(entry, instruction, right);
    Check(instruction.deleted() || selected, "leak");
    return instruction;
  }

  // What is asked about many live entries at once gets the same answers.
  void CheckLiveExaminer(const Device& device, const ToyEntry& entry, Verdict verdict, RowOp op) {
    const auto examine = device.marks.ExamineLive(EntityOf(entry.id));
    if (!examine.has_value() || !entry.live || !entry.state().ended.empty()) return;
    RowOp label = RowOp::kDelete;
    Check((*examine)(entry.head, entry.birth, &label) == verdict,
          "another verdict of a live entry");
    Check(verdict == Verdict::kNothing || label == op, "another label of a live entry");
  }

  void Receive(Device& device) {
    if (device.in_flight.empty()) return;
    const size_t at = Pick(device.in_flight.size());  // several workers: any order
    const std::vector<Told> page = device.in_flight[at];
    device.in_flight.erase(device.in_flight.begin() + static_cast<ptrdiff_t>(at));
    for (const Told& told : page) {
      if (told.session == device.marks.session()) device.listed.insert(told.id);
      const auto own = device.written.find(told.id);
      if (own != device.written.end() && told.instruction.place < own->second &&
          mutant_ != Mutant::kOwnWritesOvertaken) {
        continue;
      }
      if (!told.instruction.deleted()) {
        device.local[told.id] = {told.instruction.birth, told.instruction.place};
      } else if (const auto held = device.local.find(told.id);
                 held != device.local.end() && held->second.birth <= told.instruction.birth) {
        device.local.erase(held);
      }
    }
    if (Chance(loss_)) return;  // the acknowledgement is lost
    if (Chance(50)) {
      device.answers.push_back(page);
      return;
    }
    for (const Told& told : page) {
      Told single = told;
      single.single = true;
      if (!Chance(loss_ / 3)) device.answers.push_back({single});
    }
  }

  void DeliverAnswer(Device& device) {
    if (device.answers.empty()) return;
    const size_t at = Pick(device.answers.size());
    const std::vector<Told> answer = device.answers[at];
    if (!Chance(10)) {  // else it will come again
      device.answers.erase(device.answers.begin() + static_cast<ptrdiff_t>(at));
    }
    for (const Told& told : answer) device.oracle.Acknowledge(told);
    Settling(device, [&] {
      const Told& first = answer.front();
      if (!first.single) {
        device.marks.AcknowledgePage(first.session, first.page);
        return;
      }
      const Instruction& row = first.instruction;
      if (mutant_ != Mutant::kKeysWithoutSession) {
        // A key from before there were queues names no page.
        const uint64_t page = with_queues_ || Chance(50) ? first.page : 0;
        device.marks.Acknowledge({first.session, page, row.birth, row.place, row.op});
        return;
      }
      for (uint64_t session = 1; session <= device.marks.session(); ++session) {
        device.marks.Acknowledge({session, 0, row.birth, row.place, row.op});
      }
    });
    Commit(device);
  }

  // Runs what may settle the session, and checks the device if it did.
  template <typename Act>
  void Settling(Device& device, Act act) {
    const bool resting = device.marks.Settled();
    act();
    if (resting || !device.marks.Settled()) return;
    ++settled_;
    Check(device.drained, "settled before it was drained");
    if (device.reset) {
      std::erase_if(device.local, [&](const auto& copy) {
        return !device.listed.contains(copy.first) && !device.written.contains(copy.first);
      });
      device.reset = false;
    }
    std::map<int, Copy> right;
    for (const ToyEntry& entry : log_.View(device.cut)) {
      if (entry.IsIn(device.cut_selection)) {
        right[entry.id] = {entry.birth, entry.head};
      }
    }
    for (const auto& [id, head] : device.written) {
      right.erase(id);
      if (const auto own = device.local.find(id); own != device.local.end()) {
        Check(own->second.head == head, "a device's own version was overtaken by an older one");
        right.insert(*own);
      }
    }
    Check(device.local == right, "a settled device differs from its selection at the cut");
    Check(device.marks.floor() == device.cut, "settled at another cut");
  }

  // A loss-free session of a quiet store.
  void Finish(Device& device) {
    loss_ = 0;
    if (!failure_.empty()) return;
    device.answers.clear();
    Start(device);
    while (failure_.empty() && !device.marks.AtRest()) {
      const uint64_t pages = device.pages;
      NextPage(device);
      while (!device.in_flight.empty()) Receive(device);
      while (!device.answers.empty()) DeliverAnswer(device);
      if (device.drained) break;
      Check(device.pages <= pages + 1 && device.pages <= kIds, "a drain does not end");
    }
    Check(device.marks.AtRest(), "a quiet session did not settle");
  }

  std::mt19937_64 random_;
  Mutant mutant_;
  uint64_t loss_ = 0;         // percent
  uint64_t changes_ = 0;      // of a selection, percent of the steps
  uint64_t own_writes_ = 0;   // by devices, percent of the writes
  bool with_values_ = false;  // records have values of keys, and selections name them
  bool with_queues_ = false;  // sessions have queues beside `main`
  ToyLog log_;
  std::vector<Device> devices_ = std::vector<Device>(kDevices);
  uint64_t settled_ = 0;
  std::string failure_;
};

uint64_t Number(const char* variable, uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

TEST(MarksModelTest, RandomHistoriesAgreeWithTheOracle) {
  const uint64_t only = Number("TIDEMARK_SEED", 0);
  const uint64_t histories = Number("TIDEMARK_TEST_LONG", 0) != 0 ? 50 * kHistories : kHistories;
  uint64_t settled = 0;
  for (uint64_t i = 1; i <= (only != 0 ? 1 : histories); ++i) {
    const uint64_t seed = only != 0 ? only : i;
    History history(seed, Mutant::kNone);
    const std::string failure = history.Run();
    ASSERT_EQ(failure, "") << "replay with TIDEMARK_SEED=" << seed;
    settled += history.settled();
  }
  EXPECT_GT(settled, only != 0 ? 0 : histories * 5) << "histories hardly ever settle";
}

class MarksMutantTest : public testing::TestWithParam<Mutant> {};

TEST_P(MarksMutantTest, IsCaught) {
  for (uint64_t seed = 1; seed <= 5 * kHistories; ++seed) {
    if (!History(seed, GetParam()).Run().empty()) return;
  }
  FAIL() << "no history noticed";
}

std::vector<Mutant> AllMutants() {
  std::vector<Mutant> mutants;
  for (int i = 1; i <= static_cast<int>(Mutant::kDrainedTooEarly); ++i) {
    mutants.push_back(static_cast<Mutant>(i));
  }
  return mutants;
}

INSTANTIATE_TEST_SUITE_P(Rules,
                         MarksMutantTest,
                         testing::ValuesIn(AllMutants()),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace tidemark::model
