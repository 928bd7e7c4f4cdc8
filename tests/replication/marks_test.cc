// The hardest cases of acknowledgements and selections, one by one, at the level of the marks. The
// comments give the numbers of the contract's list of cases.
#include "replication/internal/marks.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace tidemark {
namespace {

SequenceNumber Seq(uint64_t value) {
  return SequenceNumber(value);
}

constexpr RowOp kCreated = RowOp::kCreated;
constexpr RowOp kUpdated = RowOp::kUpdated;
constexpr RowOp kDeleted = RowOp::kDelete;

struct Entry {
  EntityNumber entity = 0;
  uint64_t head = 0;
  uint64_t birth = 0;  // zero: a tombstone
  std::vector<EndedStay> ended;
};

Entry Live(uint64_t birth, uint64_t head, std::vector<EndedStay> ended = {}) {
  return {0, head, birth, std::move(ended)};
}
Entry Tombstone(std::vector<std::pair<uint64_t, uint64_t>> lives) {
  Entry entry;
  for (const auto& [birth, death] : lives) {
    entry.ended.push_back({Seq(birth), Seq(death)});
    entry.head = death;
  }
  return entry;
}
Entry In(EntityNumber entity, Entry entry) {
  entry.entity = entity;
  return entry;
}

using Said = std::vector<std::pair<RowOp, uint64_t>>;  // op, place

// One device whose log is given anew for each session.
class MarksTest : public testing::Test {
 protected:
  static EntryState State(const Entry& entry) {
    return {entry.entity, Seq(entry.head), entry.birth != 0, Seq(entry.birth), entry.ended};
  }

  // Starts a session over `log`, in order of heads.
  void Start(uint64_t cut, std::vector<Entry> log) {
    log_ = std::move(log);
    page_ = 0;
    marks_.StartSession(Seq(cut));
    OwedTally tally;
    for (const Entry& entry : log_) {
      if (!Readable(entry)) continue;
      if (const auto owed = marks_.Owed(State(entry))) tally.Add(*owed);
    }
    owed_ = tally.count();
    marks_.AdvanceFloor(tally);
  }

  bool Readable(const Entry& entry) const {
    const auto range = marks_.Range(entry.entity);
    if (!range.has_value()) return false;
    return entry.birth != 0 ? range->live && Seq(entry.head) > range->live_after
                            : range->tombstones && Seq(entry.head) > range->tombstones_after;
  }

  // Hands out the rest of the view as one page.
  Said Drain() {
    std::vector<Instruction> page;
    Said said;
    for (const Entry& entry : log_) {
      if (!Readable(entry)) continue;
      Instruction instruction;
      const Verdict verdict = marks_.Examine(State(entry), &instruction);
      if (verdict == Verdict::kWithheld) marks_.NoteWithheld();
      if (verdict != Verdict::kHandOut) continue;
      said.emplace_back(instruction.op, instruction.place.value());
      page.push_back(instruction);
    }
    EXPECT_TRUE(marks_.HandOut(marks_.session(), ++page_, page).ok());
    marks_.FinishDrain(marks_.session());
    return said;
  }

  // A session that the device receives and acknowledges in full.
  Said Sync(uint64_t cut, std::vector<Entry> log) {
    Start(cut, std::move(log));
    Said said = Drain();
    EXPECT_EQ(said.size(), owed_);
    marks_.AcknowledgePage(marks_.session(), page_);
    EXPECT_TRUE(marks_.AtRest());
    return said;
  }

  AckOutcome Ack(uint64_t session, RowOp op, uint64_t birth, uint64_t head) {
    return marks_.Acknowledge(
        {.session = session, .birth = Seq(birth), .head = Seq(head), .op = op});
  }

  void Store() {
    for (MarksRow& row : marks_.TakeRows()) {
      if (row.value.has_value()) {
        rows_[row.key] = *row.value;
      } else {
        rows_.erase(row.key);
      }
    }
  }

  DeviceMarks Loaded() const {
    std::vector<MarksRow> rows;
    for (const auto& [key, value] : rows_) rows.push_back({key, value});
    Result<DeviceMarks> loaded = DeviceMarks::Load(rows);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    return loaded.ok() ? *std::move(loaded) : DeviceMarks();
  }

  // Stores the marks and loads them again, as a restart does.
  void Restart() {
    Store();
    marks_ = Loaded();
  }

  bool Keeps(EntityNumber entity, uint64_t birth, uint64_t death) {
    return marks_.Keeps(entity, {Seq(birth), Seq(death)});
  }

  DeviceMarks marks_;
  std::map<std::string, std::string> rows_;
  std::vector<Entry> log_;
  uint64_t page_ = 0;
  uint64_t owed_ = 0;
};

// Case 1.
TEST_F(MarksTest, ServedAndNotAcknowledgedThenDeletedIsDeleted) {
  Sync(10, {});
  Start(11, {Live(11, 11)});
  EXPECT_EQ(Drain(), (Said{{kCreated, 11}}));
  EXPECT_TRUE(Keeps(0, 11, 12));
  EXPECT_EQ(Sync(12, {Tombstone({{11, 12}})}), (Said{{kDeleted, 12}}));
  EXPECT_FALSE(Keeps(0, 11, 12));
}

// Case 3.
TEST_F(MarksTest, NeverServedThenDeletedIsNothing) {
  Sync(10, {});
  EXPECT_FALSE(Keeps(0, 11, 12));
  Restart();
  Start(12, {Tombstone({{11, 12}})});
  EXPECT_EQ(owed_, 0u);
  EXPECT_EQ(Drain(), Said());
}

// Case 4.
TEST_F(MarksTest, ServedAndNotAcknowledgedThenUpdatedIsCreated) {
  Start(11, {Live(11, 11)});
  Drain();
  EXPECT_EQ(Sync(12, {Live(11, 12)}), (Said{{kCreated, 12}}));
  EXPECT_EQ(Sync(13, {Live(11, 13)}), (Said{{kUpdated, 13}}));
}

// Cases 5 to 7: a session serves its cut; what changes meanwhile comes next.
TEST_F(MarksTest, ALateAckOfAnOldVersionHidesNoNewerOne) {
  Start(11, {Live(11, 11)});
  Drain();
  Start(12, {Live(11, 12)});
  EXPECT_EQ(Ack(1, kCreated, 11, 11), AckOutcome::kApplied);
  EXPECT_EQ(Drain(), (Said{{kUpdated, 12}}));
}

// Cases 8 and 9.
TEST_F(MarksTest, AcksComeInAnyOrderAnyNumberOfTimesAndFromOlderSessions) {
  Start(13, {Live(11, 11), Live(12, 12), Live(13, 13)});
  Drain();
  EXPECT_EQ(Ack(1, kCreated, 13, 13), AckOutcome::kApplied);
  EXPECT_EQ(Ack(1, kCreated, 13, 13), AckOutcome::kRepeated);
  EXPECT_EQ(Ack(1, kCreated, 11, 11), AckOutcome::kApplied);
  EXPECT_EQ(Ack(2, kCreated, 12, 12), AckOutcome::kUnknown);
  EXPECT_EQ(Ack(1, kCreated, 99, 99), AckOutcome::kUnknown);
  Start(13, {Live(11, 11), Live(12, 12), Live(13, 13)});
  EXPECT_EQ(owed_, 1u);
  EXPECT_EQ(Ack(1, kCreated, 12, 12), AckOutcome::kApplied);  // case 10
  EXPECT_EQ(Drain(), Said());
  EXPECT_TRUE(marks_.AtRest());
  EXPECT_EQ(Ack(1, kCreated, 12, 12), AckOutcome::kRepeated);
}

// Case 11.
TEST_F(MarksTest, ADeleteIsSentUntilItIsAcknowledged) {
  Sync(11, {Live(11, 11)});
  for (int session = 0; session < 3; ++session) {
    Start(12, {Tombstone({{11, 12}})});
    EXPECT_EQ(Drain(), (Said{{kDeleted, 12}}));
    Restart();
  }
  EXPECT_EQ(Sync(12, {Tombstone({{11, 12}})}), (Said{{kDeleted, 12}}));
  EXPECT_EQ(Sync(12, {}), Said());
}

// Case 12.
TEST_F(MarksTest, ARecreatedIdIsOneCreatedThatDischargesTheOldLife) {
  Sync(11, {Live(11, 11)});
  EXPECT_EQ(Sync(13, {Live(13, 13, {{Seq(11), Seq(12)}})}), (Said{{kCreated, 13}}));
  EXPECT_FALSE(Keeps(0, 11, 12));
  EXPECT_TRUE(Keeps(0, 13, 14));
}

// Case 13.
TEST_F(MarksTest, DeletedRecreatedDeletedLosesTheFirstLife) {
  Sync(11, {Live(11, 11)});
  EXPECT_EQ(Sync(14, {Tombstone({{11, 12}, {13, 14}})}), (Said{{kDeleted, 14}}));
}

// Case 14: the life is named, so that a late delete spares a newer one.
TEST_F(MarksTest, ADeleteNamesTheNewestLifeThatIsHeld) {
  Sync(11, {Live(11, 11)});
  Start(14, {});
  Instruction instruction;
  const Entry tombstone = Tombstone({{11, 12}, {13, 14}});
  EXPECT_EQ(marks_.Examine(State(tombstone), &instruction), Verdict::kHandOut);
  EXPECT_EQ(instruction.birth, Seq(11));
}

// Case 36.
TEST_F(MarksTest, AGrantBackfillsWhatIsFarBelowTheFloor) {
  marks_ = DeviceMarks(Selection::Of({1}));
  Sync(20, {In(1, Live(5, 20))});
  marks_.Select(Selection::Of({1, 2}));
  EXPECT_EQ(Sync(21, {In(2, Live(3, 4)), In(1, Live(5, 20)), In(1, Live(21, 21))}),
            (Said{{kCreated, 4}, {kCreated, 21}}));
}

// Case 37.
TEST_F(MarksTest, ARevokeEvictsWhatWasServedAndAGrantAfterItCreatesAgain) {
  const std::vector<Entry> log = {In(2, Live(3, 4)), In(1, Live(5, 6))};
  Sync(10, log);
  marks_.Select(Selection::Of({1}));
  EXPECT_EQ(Sync(10, log), (Said{{kDeleted, 4}}));
  marks_.Select(Selection::Everything());
  EXPECT_EQ(Sync(10, log), (Said{{kCreated, 4}}));
}

TEST_F(MarksTest, RightsThatFlapSendNothing) {
  const std::vector<Entry> log = {In(2, Live(3, 4))};
  Sync(10, log);
  marks_.Select(Selection::Nothing());
  marks_.Select(Selection::Everything());
  EXPECT_EQ(Sync(11, log), Said());
  marks_.Select(Selection::Nothing());
  Start(11, log);  // nothing handed out
  marks_.Select(Selection::Everything());
  EXPECT_EQ(Sync(12, log), Said());
  marks_.Select(Selection::Nothing());
  Start(12, log);
  EXPECT_EQ(Drain(), (Said{{kDeleted, 4}}));  // told, not acknowledged
  marks_.Select(Selection::Everything());
  EXPECT_EQ(Sync(13, log), (Said{{kCreated, 4}}));
}

// The acknowledged version stands where its eviction stood: telling that takes the version back.
TEST_F(MarksTest, AVersionAcknowledgedBeforeItsEvictionIsOwedAgainOnceGranted) {
  const std::vector<Entry> log = {In(1, Live(3, 3)), In(2, Live(4, 5))};
  Sync(2, {});
  Start(10, log);
  Drain();
  EXPECT_EQ(Ack(2, kCreated, 4, 5), AckOutcome::kApplied);  // the other one never: nothing settles
  marks_.Select(Selection::Of({1}));
  Start(10, log);
  EXPECT_EQ(Drain(), (Said{{kCreated, 3}, {kDeleted, 5}}));
  Restart();
  marks_.Select(Selection::Everything());
  EXPECT_EQ(Sync(10, log), (Said{{kCreated, 3}, {kCreated, 5}}));
}

TEST_F(MarksTest, AnUpdateWhileRevokedIsNotLost) {
  Sync(10, {In(2, Live(3, 4))});
  marks_.Select(Selection::Nothing());
  Start(11, {In(2, Live(3, 11))});
  marks_.Select(Selection::Everything());
  EXPECT_EQ(Sync(12, {In(2, Live(3, 11))}), (Said{{kUpdated, 11}}));
}

TEST_F(MarksTest, ARevokeIsObeyedByPagesOfAnOlderCutAndBlocksSettling) {
  Start(10, {In(2, Live(3, 4)), In(1, Live(5, 6))});
  marks_.Select(Selection::Of({1}));
  EXPECT_EQ(Drain(), (Said{{kCreated, 6}}));
  marks_.AcknowledgePage(1, 1);
  EXPECT_FALSE(marks_.AtRest());
  EXPECT_EQ(Sync(10, {In(2, Live(3, 4)), In(1, Live(5, 6))}), Said());
}

TEST_F(MarksTest, AGrantWaitsForTheNextSession) {
  marks_ = DeviceMarks(Selection::Of({1}));
  Start(10, {In(2, Live(3, 4)), In(1, Live(5, 6))});
  marks_.Select(Selection::Everything());
  EXPECT_EQ(Drain(), (Said{{kCreated, 6}}));
  marks_.AcknowledgePage(1, 1);
  EXPECT_TRUE(marks_.AtRest());
  EXPECT_EQ(marks_.floor_selection(), Selection::Of({1}));
  EXPECT_EQ(Sync(10, {In(2, Live(3, 4)), In(1, Live(5, 6))}), (Said{{kCreated, 4}}));
}

// Granted, served, revoked before it settled.
TEST_F(MarksTest, APartSeenBetweenTwoFloorsIsEvicted) {
  marks_ = DeviceMarks(Selection::Nothing());
  Sync(2, {});
  marks_.Select(Selection::Of({2}));
  Start(10, {In(2, Live(3, 4))});
  Drain();
  marks_.Select(Selection::Nothing());
  Restart();
  EXPECT_EQ(Sync(11, {In(2, Live(3, 4))}), (Said{{kDeleted, 4}}));
}

TEST_F(MarksTest, ALateAckSaysNothingAfterADelete) {
  const std::vector<Entry> log = {In(2, Live(3, 4))};
  Start(10, log);
  Drain();
  marks_.Select(Selection::Nothing());
  Start(10, log);
  EXPECT_EQ(Drain(), (Said{{kDeleted, 4}}));
  EXPECT_EQ(Ack(1, kCreated, 3, 4), AckOutcome::kOvertaken);
  marks_.Select(Selection::Everything());
  Start(10, log);
  EXPECT_EQ(Drain(), (Said{{kCreated, 4}}));  // the same version as in session 1
  EXPECT_EQ(Ack(1, kCreated, 3, 4), AckOutcome::kOvertaken);
  EXPECT_EQ(Ack(2, kDeleted, 3, 4), AckOutcome::kOvertaken);
  EXPECT_TRUE(marks_.Held(2, {Seq(3), kSequenceLimit}));
}

// A deletion told in two sessions, granted and handed out again after the first one's ack.
TEST_F(MarksTest, ADeleteToldTwiceIsOvertakenAsAWhole) {
  const std::vector<Entry> log = {In(2, Live(3, 4))};
  marks_ = DeviceMarks(Selection::Nothing());
  Sync(2, {});
  marks_.Select(Selection::Everything());
  Start(10, log);
  Drain();
  marks_.Select(Selection::Nothing());
  Start(10, log);
  Drain();
  Start(10, log);
  Drain();
  EXPECT_EQ(Ack(3, kDeleted, 3, 4), AckOutcome::kApplied);
  marks_.Select(Selection::Everything());
  Start(10, log);
  EXPECT_EQ(Drain(), (Said{{kCreated, 4}}));
  EXPECT_NE(Ack(4, kDeleted, 3, 4), AckOutcome::kApplied);
  EXPECT_TRUE(Keeps(2, 3, 11));
}

TEST_F(MarksTest, AnOpenViewKeepsTheTombstoneOfWhatItStillShows) {
  Start(11, {Live(11, 11)});
  EXPECT_TRUE(Keeps(0, 11, 12));
  EXPECT_FALSE(Keeps(0, 12, 13));  // born after the cut
  EXPECT_FALSE(Keeps(0, 3, 11));   // died before it
  marks_.CloseSession();
  EXPECT_FALSE(Keeps(0, 11, 12));
}

TEST_F(MarksTest, OlderAndClosedSessionsHandOutNothing) {
  Start(11, {});
  Start(11, {});
  const std::vector<Instruction> page = {{kCreated, Seq(11), Seq(11), {}, false}};
  EXPECT_EQ(marks_.HandOut(1, 1, page).code(), ErrorCode::kSuperseded);
  EXPECT_EQ(marks_.HandOut(3, 1, page).code(), ErrorCode::kNotFound);
  Restart();
  EXPECT_EQ(marks_.HandOut(2, 1, page).code(), ErrorCode::kSessionExpired);
}

TEST_F(MarksTest, ADrainedSessionSettlesEvenAfterARestart) {
  Start(11, {Live(11, 11)});
  Drain();
  Restart();
  EXPECT_EQ(Ack(1, kCreated, 11, 11), AckOutcome::kApplied);
  EXPECT_TRUE(marks_.AtRest());
}

TEST_F(MarksTest, AResetListsEverythingUntilOneSettles) {
  Sync(11, {Live(11, 11)});
  marks_.Reset();
  EXPECT_FALSE(Keeps(0, 11, 12));
  Start(12, {Live(11, 11), Live(12, 12)});
  EXPECT_EQ(owed_, 2u);
  Drain();
  EXPECT_EQ(Ack(2, kCreated, 11, 11), AckOutcome::kApplied);
  Restart();
  EXPECT_TRUE(marks_.reset_pending());
  EXPECT_EQ(Sync(12, {Live(11, 11), Live(12, 12)}), (Said{{kCreated, 11}, {kCreated, 12}}));
  EXPECT_FALSE(marks_.reset_pending());
}

TEST_F(MarksTest, AFirstDrainSkipsTombstonesAndIsCountedWithoutReading) {
  marks_.StartSession(Seq(50));
  const auto range = marks_.Range(7);
  ASSERT_TRUE(range.has_value());
  EXPECT_TRUE(range->live);
  EXPECT_TRUE(range->all_live_owed);
  EXPECT_FALSE(range->tombstones);
  EXPECT_EQ(range->live_after, kSequenceZero);
}

TEST_F(MarksTest, WhoWasHandedNothingHoldsNothing) {
  EXPECT_TRUE(marks_.HoldsNothing());
  Sync(50, {});
  EXPECT_TRUE(marks_.HoldsNothing());
  marks_.StartSession(Seq(60));
  EXPECT_FALSE(marks_.HoldsNothing()) << "a session may hand out something";
  const auto range = marks_.Range(7);
  EXPECT_EQ(range->live_after, kSequenceZero);
  EXPECT_FALSE(range->tombstones);
  Sync(70, {Live(65, 65)});
  EXPECT_FALSE(marks_.HoldsNothing());
  Sync(80, {Tombstone({{65, 75}})});
  EXPECT_FALSE(marks_.HoldsNothing()) << "a floor that says something is kept";
  marks_.Reset();
  EXPECT_TRUE(marks_.HoldsNothing());
}

TEST_F(MarksTest, ADeviceAtRestReadsOnlyWhatChanged) {
  Sync(50, {Live(50, 50)});
  EXPECT_FALSE(marks_.Range(7).has_value());
  marks_.StartSession(Seq(60));
  const auto range = marks_.Range(7);
  EXPECT_EQ(range->live_after, Seq(50));
  EXPECT_EQ(range->tombstones_after, Seq(50));
  EXPECT_TRUE(range->all_live_owed);
}

TEST_F(MarksTest, AtRestItIsOneSmallRow) {
  Sync(11, {Live(11, 11)});
  Restart();
  EXPECT_EQ(rows_.size(), 1u);
  EXPECT_LT(rows_.begin()->second.size(), 24u);
  EXPECT_LE(marks_.MemoryBytes(), 100u);
}

// Far more pages than the journal tells of, each stored on its own and loaded again by somebody.
TEST_F(MarksTest, AJournalIsWorthWhatItTells) {
  constexpr uint64_t kPages = 3 * MarksJournal::kEventsMax / 2;
  marks_.StartSession(Seq(10 * kPages));
  size_t rows_max = 0;
  for (uint64_t page = 1; page <= kPages; ++page) {
    const uint64_t place = 10 * page;
    const std::vector<Instruction> rows = {{kCreated, Seq(place), Seq(place), {}, false},
                                           {kCreated, Seq(place + 1), Seq(page), {}, false}};
    ASSERT_TRUE(marks_.HandOut(1, page, rows).ok());
    Store();
    if (page % 3 != 0) {
      EXPECT_EQ(marks_.AcknowledgePage(1, page), 2u);
      Store();
    }
    rows_max = std::max(rows_max, rows_.size());
    const DeviceMarks loaded = Loaded();
    EXPECT_EQ(loaded.outstanding(), marks_.outstanding());
    for (uint64_t birth = 1; birth <= 10 * page; ++birth) {
      const EndedStay life{Seq(birth), Seq(20 * kPages)};
      ASSERT_EQ(loaded.Held(0, life), marks_.Held(0, life)) << page << " " << birth;
      ASSERT_EQ(loaded.Acknowledged(0, life), marks_.Acknowledged(0, life)) << page << " " << birth;
    }
  }
  EXPECT_LE(rows_max, kPages / 3 + MarksJournal::kEventsMax + 8);
  for (uint64_t page = 3; page <= kPages; page += 3) marks_.AcknowledgePage(1, page);
  marks_.FinishDrain(1);
  Store();
  EXPECT_TRUE(marks_.AtRest());
  EXPECT_EQ(rows_.size(), 1u);
}

TEST_F(MarksTest, DamagedRowsAreRefused) {
  Start(11, {Live(11, 11), Live(5, 12, {{Seq(2), Seq(3)}})});
  Drain();
  const std::vector<MarksRow> good = marks_.TakeRows();
  for (size_t row = 0; row < good.size(); ++row) {
    for (size_t size = 0; size < good[row].value->size(); ++size) {
      std::vector<MarksRow> rows = good;
      rows[row].value->resize(size);
      const Result<DeviceMarks> loaded = DeviceMarks::Load(rows);
      if (loaded.ok()) continue;  // a page may be cut between two instructions
      EXPECT_EQ(loaded.status().code(), ErrorCode::kCorruption);
    }
  }
  EXPECT_FALSE(DeviceMarks::Load({}).ok());
}

// A record that a device has through one value, and that its next floor speaks for through another:
// no page says so, for nothing is owed about it.
TEST_F(MarksTest, AStayIsKeptThatTheNextFloorWillSpeakThrough) {
  const KeyValue old_value{1, 7};
  const KeyValue new_value{2, 9};
  const std::vector<OpenStay> stays = {{old_value, Seq(2)}, {new_value, Seq(2)}};
  const EntryState record{
      .entity = 0, .head = Seq(2), .live = true, .birth = Seq(2), .ended = {}, .stays = stays};
  const EntryState other{.entity = 0,
                         .head = Seq(8),
                         .live = true,
                         .birth = Seq(8),
                         .ended = {},
                         .stays = std::span(stays).subspan(1)};
  marks_ = DeviceMarks(Selection::Of({Part(0, old_value)}));
  marks_.StartSession(Seq(5));
  const auto first = marks_.Owed(record);
  ASSERT_TRUE(first.has_value());
  ASSERT_TRUE(marks_.HandOut(1, 1, {&*first, 1}).ok());
  marks_.FinishDrain(1);
  marks_.AcknowledgePage(1, 1);
  ASSERT_TRUE(marks_.AtRest());

  marks_.Select(Selection::Of({Part(0, new_value)}));
  marks_.StartSession(Seq(10));
  EXPECT_FALSE(marks_.Owed(record).has_value()) << "it has it";
  const auto second = marks_.Owed(other);
  ASSERT_TRUE(second.has_value());
  ASSERT_TRUE(marks_.HandOut(2, 1, {&*second, 1}).ok());
  marks_.FinishDrain(2);
  ASSERT_FALSE(marks_.AtRest()) << "its last page is not acknowledged";
  // Now the record loses both values.
  const EndedStay through_old{Seq(2), Seq(12), Seq(2), old_value};
  const EndedStay through_new{Seq(2), Seq(12), Seq(2), new_value};
  EXPECT_TRUE(marks_.Keeps(0, through_old)) << "the floor speaks through it";
  EXPECT_TRUE(marks_.Keeps(0, through_new)) << "the next one will";
  marks_.AcknowledgePage(2, 1);
  ASSERT_TRUE(marks_.AtRest());
  EXPECT_FALSE(marks_.Keeps(0, through_old));
  EXPECT_TRUE(marks_.Keeps(0, through_new));
}

TEST_F(MarksTest, MoreThanFourBillionChanges) {
  const uint64_t far = (uint64_t{1} << 40) + 7;
  Sync(far, {Live(3, far)});
  EXPECT_EQ(Sync(far + 1, {Live(3, far + 1)}), (Said{{kUpdated, far + 1}}));
}

TEST(RestingFloorsTest, OneSearchASelectionAnswersForAllDevices) {
  RestingFloors floors;
  for (const uint64_t cut : {10u, 20u, 30u}) {
    DeviceMarks marks(cut == 30 ? Selection::Of({1}) : Selection::Everything());
    marks.StartSession(Seq(cut));
    const auto owed = marks.Owed({.entity = 1, .head = Seq(9), .live = true, .birth = Seq(9)});
    EXPECT_TRUE(marks.HandOut(1, 1, {&*owed, 1}).ok());
    marks.FinishDrain(1);
    marks.AcknowledgePage(1, 1);
    floors.Add(marks);
  }
  floors.Add(DeviceMarks());  // never seen: holds nothing
  floors.Seal();
  EXPECT_TRUE(floors.Keeps(0, {Seq(10), Seq(11)}));
  EXPECT_TRUE(floors.Keeps(0, {Seq(15), Seq(90)}));
  EXPECT_FALSE(floors.Keeps(0, {Seq(11), Seq(20)}));
  EXPECT_FALSE(floors.Keeps(0, {Seq(21), Seq(99)}));
  EXPECT_TRUE(floors.Keeps(1, {Seq(21), Seq(99)}));
}

}  // namespace
}  // namespace tidemark
