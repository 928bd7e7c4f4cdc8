// Histories of devices that write which are easy to get wrong: lost answers, waiting operations,
// older copies of either side, resets under way. What counts is what the application meant.
#include <filesystem>
#include <map>
#include <string>

#include "db/backup.h"
#include "tests/replication/push_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

using test::IsOkAndHolds;
using test::LossyTransport;
using test::PushTest;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PushOrderTest : public PushTest {
 protected:
  void Restore(const fs::path& backups) {
    Close();
    fs::remove_all(path_);
    ASSERT_OK(RestoreBackup(backups, 0, path_, runtime_));
    SourceTest::Open();
  }
  void CopyTablet(const fs::path& to) {
    tablet_.replica.reset();
    fs::copy(tablet_.path, to, fs::copy_options::recursive);
    Open(&tablet_);
  }
  void BringBack(const fs::path& copy) {
    tablet_.replica.reset();
    fs::remove_all(tablet_.path);
    fs::rename(copy, tablet_.path);
    Open(&tablet_);
  }
  void JsonHere(std::string_view entity, std::string_view id, std::string_view json) {
    ASSERT_OK(tablet_.replica->Write(
        WriteBatch().Put(entity, RecordId(std::string(id)), json, ValueKind::kJson)));
  }
  void DeclareFamily() {
    EntityDeclaration members;
    members.references = {{.field = "h", .entity = "household"}};
    members.reference_policy = ReferencePolicy::kStrict;
    ASSERT_OK(store_->Declare("member", members));
    ASSERT_OK(store_->Declare("household", {}));
  }
};

TEST_F(PushOrderTest, Case25ASourceThatLostWhatItAnsweredResetsTheDevice) {
  Put("visits", "1", "base");
  Pull();
  const fs::path backups = directory_.path() / "backups";
  ASSERT_OK(CreateBackup(*store_, backups));
  WriteHere("1", "lost");
  WriteHere("2", "lost");
  Push();
  Restore(backups);
  EXPECT_TRUE(Pull().reset);
  EXPECT_EQ(Held(), Live());
  WriteHere("3", "after");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_FALSE(Pull().reset) << "once is enough";
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushOrderTest, Case25TheSameWhenAPushComesFirst) {
  Put("visits", "1", "base");
  Pull();
  const fs::path backups = directory_.path() / "backups";
  ASSERT_OK(CreateBackup(*store_, backups));
  WriteHere("1", "lost");
  Push();
  WriteHere("1", "builds on what was lost");
  Restore(backups);
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 1U);
  Pull();
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushOrderTest, Case17AnOlderCopyOfAReplicaIsReset) {
  Put("visits", "1", "base");
  Pull();
  const fs::path copy = directory_.path() / "copy";
  CopyTablet(copy);
  WriteHere("1", "mine");
  WriteHere("2", "mine");
  Push();
  BringBack(copy);
  EXPECT_TRUE(Pull().reset);
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed) << "once is enough";
}

TEST_F(PushOrderTest, ADeviceOfAPlainWireThatBecomesAReplicaIsReset) {
  Put("visits", "1", "base");
  test::MapDevice plain(*source_, "tablet");
  plain.Sync();
  WriteHere("2", "mine");
  Push();
  Pull();
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushOrderTest, LaterOperationsOfARecordWaitBehindTheOneThatWaits) {
  DeclareFamily();
  JsonHere("member", "m", R"({"h":"h","v":1})");
  WriteBatch many;
  for (size_t i = 0; i < kPushOperationsMax; ++i) {
    many.Put("visits", RecordId(static_cast<int64_t>(i)), "x");
  }
  many.Put("household", "h", "{}", ValueKind::kJson);
  many.Put("member", "m", R"({"h":"h","v":2})", ValueKind::kJson);
  ASSERT_OK(tablet_.replica->Write(many));
  Push();
  EXPECT_EQ(Held()["member/m"], R"({"h":"h","v":2})");
  Push();
  EXPECT_EQ(Live()["member/m"], R"({"h":"h","v":2})");
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushOrderTest, ReplacingReachesBackToWhatStaysAndNoFurther) {
  WriteHere("1", "a");
  DeleteHere("1");
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("visits", "1", "b"), {.replace = true}));
  Push();
  Pull();
  EXPECT_EQ(Live(), (std::map<std::string, std::string>{{"visits/1", "b"}}));
  EXPECT_EQ(Held(), Live());
}

// Rules J21 and J22: a creation and three changes.
TEST_F(PushOrderTest, ChangesReplaceEachOtherAndLeaveTheCreation) {
  const auto payloads = [this] {
    std::vector<std::string> values;
    RecordIterator rows = tablet_.replica->store().GetView().Scan(kOutboxEntity, ScanOptions{});
    while (rows.Next()) values.push_back(internal::DecodeOperation(rows.value())->value);
    return values;
  };
  const auto change = [this](const char* value, bool replace) {
    ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("visits", "1", value), {.replace = replace}));
  };
  WriteHere("1", "created");
  for (const char* value : {"a", "b", "c"}) change(value, /*replace=*/false);
  EXPECT_THAT(payloads(), ElementsAre("created", "a", "b", "c"));
  change("d", /*replace=*/true);
  EXPECT_THAT(payloads(), ElementsAre("created", "d"));
  for (const char* value : {"e", "f"}) change(value, /*replace=*/true);
  EXPECT_THAT(payloads(), ElementsAre("created", "f"));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  for (const char* value : {"g", "h"}) change(value, /*replace=*/true);
  EXPECT_THAT(payloads(), ElementsAre("h")) << "the source knows it: both are changes";
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Delete("visits", "1")));
  WriteHere("1", "again");
  change("i", /*replace=*/true);
  EXPECT_THAT(payloads(), ElementsAre("h", "", "again", "i"));
  Push();
  EXPECT_EQ(Live(), Held());
}

// Decision B20.
TEST_F(PushOrderTest, AReplacementComesAfterWhatItRefersTo) {
  EntityDeclaration visits;
  visits.references = {{.field = "h", .entity = "household"}};
  ASSERT_OK(tablet_.replica->store().Declare("visits", visits));
  const auto replace = [this](const char* id, const char* json) {
    ASSERT_OK(tablet_.replica->Write(
        WriteBatch().Put("visits", RecordId(id), json, ValueKind::kJson), {.replace = true}));
  };
  for (const char* id : {"a", "b"}) JsonHere("visits", id, "{}");
  JsonHere("household", "known", "{}");
  Push();
  JsonHere("visits", "a", R"({"n":1})");
  JsonHere("visits", "b", R"({"n":1})");
  JsonHere("household", "known", R"({"n":1})");
  JsonHere("household", "tmp-1", R"({"n":1})");
  replace("b", R"({"h":"known"})");
  EXPECT_THAT(Outbox(),
              ElementsAre("pending put visits/a",
                          "pending put visits/b",
                          "pending put household/known",
                          "pending put household/tmp-1"))
      << "what it refers to is at the source: it keeps the place";
  replace("a", R"({"h":"tmp-1"})");
  EXPECT_THAT(Outbox(),
              ElementsAre("pending put visits/b",
                          "pending put household/known",
                          "pending put household/tmp-1",
                          "pending put visits/a"));
  replace("a", R"({"h":"tmp-1","n":2})");
  EXPECT_EQ(Outbox().back(), "pending put visits/a");
  ASSERT_OK(store_->Declare("household", {}));
  visits.reference_policy = ReferencePolicy::kStrict;
  ASSERT_OK(store_->Declare("visits", visits));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 4U);
  EXPECT_EQ(Live(), Held());
}

TEST_F(PushOrderTest, ALostAnswerDoesNotBringBackWhatSomebodyElseDeleted) {
  LossyTransport transport(*source_);
  WriteHere("1", "a");
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  Delete("visits", "1");
  WriteHere("1", "b");
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 1U);
  EXPECT_THAT(Live(), IsEmpty());
  Pull();
  EXPECT_THAT(Held(), IsEmpty());
}

TEST_F(PushOrderTest, ANeighbourThatIsNotNewerMakesNoConflictOfOwnOperations) {
  const auto at = [](int64_t time) {
    return WriteCondition{.if_newer = time};
  };
  ASSERT_OK(store_->Commit(WriteBatch().Put("forms", "f", "old", ValueKind::kBytes, at(100))));
  test::MapDevice phone(*source_, "phone");
  phone.Sync();  // holds the record, so its deletion is kept
  ASSERT_OK(store_->Commit(WriteBatch().Delete("forms", "f", at(400))));
  Pull();
  WriteHere("1", "a");
  ASSERT_OK(
      tablet_.replica->Write(WriteBatch().Put("forms", "f", "late", ValueKind::kBytes, at(350))));
  WriteHere("1", "b");
  WriteHere("2", "c");
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 3U);
  EXPECT_EQ(totals.count(PushOutcome::kConflict), 1U);
  EXPECT_EQ(Live()["visits/1"], "b");
  Pull();
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushOrderTest, AResetUnderWayTakesNothingFromWhoWrites) {
  Put("visits", "1", "base");
  Pull();
  WriteHere("new", "mine");
  WriteHere("1", "mine");
  LossyTransport transport(*source_);
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  ASSERT_OK(source_->Forget("tablet"));
  const auto session = source_->StartSession(tablet_.replica->MakeHello());
  ASSERT_OK(session);
  ASSERT_OK(tablet_.replica->BeginSession(**session));
  const auto held = Held();
  EXPECT_EQ(Push().count(PushOutcome::kDuplicate), 2U);
  EXPECT_EQ(Held(), held) << "a moment of emptiness";
  WriteHere("new", "mine, again");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U) << "a conflict with its own write";
  Pull();
  EXPECT_EQ(Held(), Live());
  EXPECT_EQ(Held()["visits/new"], "mine, again");
}

TEST_F(PushOrderTest, ManyLargeRefusalsAreWorkedIn) {
  const std::string large(kValueBytesMax, 'x');
  constexpr int kCount = 70;
  for (int i = 0; i < kCount; ++i) Put("visits", std::to_string(i), large);
  Pull();
  for (int i = 0; i < kCount; ++i) DeleteHere(std::to_string(i));
  for (int i = 0; i < kCount; ++i) Put("visits", std::to_string(i), "theirs");
  EXPECT_EQ(Push().count(PushOutcome::kConflict), static_cast<uint64_t>(kCount));
  EXPECT_EQ(tablet_.replica->outbox().pending, 0U);
  Pull();
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushOrderTest, TooManyEntitiesDoNotFailTheNeighbours) {
  for (size_t i = 0; i < kEntitiesOfAKindMax; ++i) {
    ASSERT_OK(store_->Declare("e" + std::to_string(i), {}));
  }
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("e1", "1", "x")));
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("beyond", "1", "x")));
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kInvalid), 1U);
}

TEST_F(PushOrderTest, ARecordMayReferToItselfAndNotToWhatIsNotShown) {
  DeclareFamily();
  EntityDeclaration person;
  person.references = {{.field = "head", .entity = "person"}};
  person.reference_policy = ReferencePolicy::kStrict;
  ASSERT_OK(store_->Declare("person", person));
  ASSERT_OK(store_->Commit(WriteBatch().Put("household", "secret", "{}", ValueKind::kJson)));
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"member", "person"})));
  JsonHere("person", "p", R"({"head":"p"})");
  JsonHere("member", "m", R"({"h":"secret"})");
  JsonHere("member", "n", R"({"h":"none"})");
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kParentMissing), 2U) << "tells what is there";
}

TEST_F(PushOrderTest, ATemporaryIdIsReplacedInWhatIsWrittenByTime) {
  const auto put = [this](const char* entity, const char* id, const char* json, int64_t time) {
    return tablet_.replica->Write(WriteBatch().Put(
        entity, RecordId(id), json, ValueKind::kJson, WriteCondition{.if_newer = time}));
  };
  ASSERT_OK(put("household", "tmp-1", R"({"self":"tmp-1"})", 1000));
  ASSERT_OK(put("household", "h", R"({"self":"tmp-1"})", 1000));
  ASSERT_OK(put("member", "m", R"({"h":"tmp-1"})", 1000));
  ASSERT_OK(tablet_.replica->ReplaceId({.entity = "household",
                                        .temporary = "tmp-1",
                                        .real = "4711",
                                        .references = {{"self", "household"}, {"h", "member"}}}));
  const std::map<std::string, std::string> right = {{"household/4711", R"({"self":"4711"})"},
                                                    {"household/h", R"({"self":"4711"})"},
                                                    {"member/m", R"({"h":"4711"})"}};
  EXPECT_EQ(Held(), right);
  EXPECT_THAT(put("member", "m", "{}", 1000), StatusIs(ErrorCode::kConditionFailed))
      << "the time of the member is lost";
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 3U);
  EXPECT_EQ(Live(), right);
}

TEST_F(PushOrderTest, AnOperationThatShowsAgainKeepsItsTime) {
  const auto put = [this](const char* value, int64_t time) {
    return tablet_.replica->Write(
        WriteBatch().Put("forms", "f", value, ValueKind::kBytes, WriteCondition{.if_newer = time}));
  };
  ASSERT_OK(put("a", 100));
  ASSERT_OK(put("b", 200));
  ASSERT_OK(tablet_.replica->DropOperation(FirstOperation() + 1));
  EXPECT_EQ(Held()["forms/f"], "a");
  EXPECT_THAT(put("older", 99), StatusIs(ErrorCode::kConditionFailed));
  EXPECT_OK(put("c", 150));
}

// Rule J26.
TEST_F(PushOrderTest, AListOfOperationsIsRetriedInOneStep) {
  for (const char* id : {"1", "2", "3"}) Put("visits", id, "base");
  Pull();
  for (const char* id : {"1", "2", "3"}) WriteHere(id, "mine");
  for (const char* id : {"1", "2"}) Put("visits", id, "theirs");
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 2U);
  Pull();
  const uint64_t first = FirstOperation();
  EXPECT_THAT(tablet_.replica->RetryOperations({first, first + 1, 77}),
              StatusIs(ErrorCode::kNotFound));
  EXPECT_EQ(tablet_.replica->outbox().failed, 2U) << "one of them alone was retried";
  ASSERT_OK(tablet_.replica->RetryOperations({first + 1, first}));
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/2", "pending put visits/1"));
  EXPECT_THAT(tablet_.replica->DropOperations({FirstOperation(), 77}),
              StatusIs(ErrorCode::kNotFound));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  EXPECT_EQ(Live()["visits/1"], "mine");
  EXPECT_EQ(Live(), Held());
}

TEST_F(PushOrderTest, TheOperationsOfARecordAreDroppedTogether) {
  Put("visits", "1", "base");
  Pull();
  WriteHere("1", "refused");
  Put("visits", "1", "theirs");
  Push();
  Pull();
  WriteHere("1", "a");
  WriteHere("2", "b");
  WriteHere("1", "c");
  DeleteHere("1");
  EXPECT_THAT(tablet_.replica->DropRecord("visits", "3"), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(tablet_.replica->DropRecord("visits", "1"), IsOkAndHolds(4U));
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/2"));
  EXPECT_EQ(Held(),
            (std::map<std::string, std::string>{{"visits/1", "theirs"}, {"visits/2", "b"}}));
  EXPECT_EQ(tablet_.replica->outbox().failed, 0U);
  EXPECT_EQ(tablet_.replica->outbox().records, 1U);
  LossyTransport transport(*source_);
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  WriteHere("2", "d");
  EXPECT_THAT(tablet_.replica->DropRecord("visits", "2"), StatusIs(ErrorCode::kBusy));
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/2", "pending put visits/2"));
}

TEST_F(PushOrderTest, AChildThatWasSentBeforeItsParentIsRenamedAsWell) {
  DeclareFamily();
  EntityDeclaration household;
  household.references = {{.field = "village", .entity = "village"}};
  household.reference_policy = ReferencePolicy::kStrict;
  ASSERT_OK(store_->Declare("household", household));
  ASSERT_OK(store_->Declare("member", {}));
  JsonHere("household", "tmp-1", R"({"village":"later"})");
  JsonHere("member", "m", R"({"h":"tmp-1","name":"tmp-1"})");
  JsonHere("member", "n", R"({"h":"tmp-12"})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);  // the household waits for its village
  EXPECT_THAT(Outbox(), ElementsAre("pending put household/tmp-1 reference"));
  ASSERT_OK(store_->Commit(WriteBatch().Put("village", "later", "{}", ValueKind::kJson)));
  const IdReplacement named{.entity = "household",
                            .temporary = "tmp-1",
                            .real = RecordId(int64_t{4711}),
                            .references = {{"h", "member"}}};
  ASSERT_OK(tablet_.replica->ReplaceId(named));
  EXPECT_EQ(Held()["member/m"], R"({"h":4711,"name":"tmp-1"})");
  EXPECT_EQ(Held()["member/n"], R"({"h":"tmp-12"})");
  EXPECT_THAT(Outbox(),
              ElementsAre("pending put household/4711 reference", "pending put member/m"));
  Open(&tablet_);
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  Pull();
  EXPECT_EQ(Held(), Live());
  EXPECT_EQ(Live()["member/m"], R"({"h":4711,"name":"tmp-1"})");
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(PushOrderTest, AnEventThatWasSentWithATemporaryIdIsNotRenamed) {
  JsonHere("household", "tmp-1", "{}");
  ASSERT_OK(tablet_.replica->Write(
      WriteBatch().Append("visited", "e", R"({"h":"tmp-1"})", ValueKind::kJson)));
  ASSERT_OK(tablet_.replica->DropOperation(FirstOperation()));
  Push();
  JsonHere("household", "tmp-1", "{}");
  IdReplacement named{.entity = "household",
                      .temporary = "tmp-1",
                      .real = "4711",
                      .references = {{"h", "visited"}}};
  const auto held = Held();
  EXPECT_THAT(tablet_.replica->ReplaceId(named), StatusIs(ErrorCode::kWrongKind));
  EXPECT_EQ(Held(), held);
  named.references = {{"entity", "_commandQueue"}};
  EXPECT_THAT(tablet_.replica->ReplaceId(named), StatusIs(ErrorCode::kReserved));
  EXPECT_EQ(Held(), held);
  named.references.clear();
  EXPECT_OK(tablet_.replica->ReplaceId(named));
  EXPECT_EQ(Held().count("household/4711"), 1U);
}

TEST_F(PushOrderTest, AnIdIsReplacedInTenThousandPlacesAndNotInOneMore) {
  const IdReplacement named{
      .entity = "household", .temporary = "tmp-1", .real = "4711", .references = {{"h", "member"}}};
  WriteBatch children;
  for (uint64_t i = 0; i < kIdReplacementsMax; ++i) {
    children.Put("member", RecordId(std::to_string(i)), R"({"h":"tmp-1"})", ValueKind::kJson);
  }
  ASSERT_OK(store_->Commit(children));
  Pull();
  JsonHere("household", "tmp-1", "{}");  // one operation more
  EXPECT_THAT(tablet_.replica->ReplaceId(named), StatusIs(ErrorCode::kTooLarge));
  EXPECT_EQ(Held()["member/0"], R"({"h":"tmp-1"})");
  EXPECT_THAT(Outbox(), ElementsAre("pending put household/tmp-1"));
  ASSERT_OK(store_->Commit(WriteBatch().Delete("member", "0")));
  Pull();
  ASSERT_OK(tablet_.replica->ReplaceId(named));
  EXPECT_EQ(tablet_.replica->outbox().pending, kIdReplacementsMax);
  Push();
  EXPECT_EQ(Live(), Held());
  EXPECT_EQ(Live()["member/9999"], R"({"h":"4711"})");
}

TEST_F(PushOrderTest, AnIdThatIsNoIntegerDoesNotSayItIs) {
  const auto written =
      tablet_.replica->Write(WriteBatch().Put("visits", RecordId("a\"b", IdForm::kInteger), "x"));
  EXPECT_THAT(written, StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(
      tablet_.replica->Write(WriteBatch().Put("visits", RecordId("007", IdForm::kInteger), "x")),
      StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(Held(), IsEmpty());
}

TEST_F(PushOrderTest, EventsAreNotRewritten) {
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("e"), "true")));
  BatchBuilder builder;
  for (const char* value : {"true", "forged"}) {
    builder.Add({.entity = builder.Entity("events"),
                 .op = RowOp::kAppend,
                 .sequence = SequenceNumber(builder.size() + 1),
                 .birth = {},
                 .superseded = {},
                 .id = "e",
                 .value = value,
                 .writer_time = {},
                 .ended = {},
                 .origin_birth = {},
                 .origin_head = {}});
  }
  const auto answer = source_->Push(builder.Finish(
      {.kind = BatchKind::kPush, .device = "tablet", .origin = std::string(32, 'a')}));
  ASSERT_OK(answer);
  EXPECT_EQ(answer->count(PushOutcome::kConflict), 1U);
  EXPECT_EQ(Live(), (std::map<std::string, std::string>{{"events/e", "true"}}));
}

}  // namespace
}  // namespace tidemark
