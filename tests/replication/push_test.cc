// Writes of a device, from its outbox to its source and back: every operation has one outcome, none
// is lost or applied twice, nothing is echoed, and no loser vanishes (contract 34 to 36).
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/replication/push_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

using test::LossyTransport;
using test::PushTest;
using test::StatusIs;
using test::Tablet;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(PushTest, WhatIsWrittenOfflineArrivesAndIsNotEchoed) {
  Put("visits", "1", "a");
  Pull();
  WriteHere("1", "b");
  WriteHere("2", "new");
  EXPECT_EQ(Held(), (std::map<std::string, std::string>{{"visits/1", "b"}, {"visits/2", "new"}}));
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/1", "pending put visits/2"));
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 2U);
  EXPECT_THAT(Outbox(), IsEmpty());
  EXPECT_EQ(Live(), Held());
  EXPECT_TRUE(Pull().nothing_owed) << "the device's own writes came back to it";
  EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
}

TEST_F(PushTest, LaterChangesOfAnOwnRecordAreUpdatedAndDeleted) {
  WriteHere("1", "mine");
  Push();
  Put("visits", "1", "theirs");
  PullResult pulled = Pull();
  EXPECT_EQ(pulled.updated, 1U);
  EXPECT_EQ(pulled.created, 0U);
  EXPECT_FALSE(pulled.reset);
  Delete("visits", "1");
  pulled = Pull();
  EXPECT_EQ(pulled.deleted, 1U);
  EXPECT_THAT(Held(), IsEmpty());
}

TEST_F(PushTest, ARecordThatSomebodyElseDeletesAtOnceIsDeletedHere) {
  WriteHere("1", "mine");
  Push();
  Delete("visits", "1");  // before any session began: nobody but this device ever saw it
  ASSERT_OK(store_->Compact());
  ASSERT_OK(source_->Purge());
  EXPECT_EQ(Pull().deleted, 1U);
  EXPECT_THAT(Held(), IsEmpty());
}

TEST_F(PushTest, OthersGetItExactly) {
  Tablet other{.id = "other", .path = directory_.path() / "other", .replica = nullptr};
  Open(&other);
  LocalTransport transport(*source_);
  Put("visits", "1", "a");
  ASSERT_OK(other.replica->Pull(transport));
  Pull();
  WriteHere("1", "b");
  WriteHere("2", "c");
  DeleteHere("2");
  WriteHere("3", "d");
  Push();
  const auto pulled = other.replica->Pull(transport);
  ASSERT_OK(pulled);
  EXPECT_EQ(pulled->updated, 1U);
  EXPECT_EQ(pulled->created, 1U);
  EXPECT_EQ(HeldBy(other), Held());
}

TEST_F(PushTest, AnOwnDeletionIsNotTold) {
  Put("visits", "1", "a");
  Pull();
  DeleteHere("1");
  EXPECT_THAT(Held(), IsEmpty());
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_THAT(Live(), IsEmpty());
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_EQ(source_->GetDevice("tablet")->holding, 0U);
}

TEST_F(PushTest, ALostAnswerCostsAResendAndNothingElse) {
  LossyTransport transport(*source_);
  WriteHere("1", "a");
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/1"));
  WriteHere("1", "b");
  Open(&tablet_);  // and a restart in between
  transport.lose_answer = false;
  const auto totals = tablet_.replica->Push(transport);
  ASSERT_OK(totals);
  EXPECT_EQ(totals->count(PushOutcome::kDuplicate), 1U);
  EXPECT_EQ(totals->count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Live(), Held());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(PushTest, ALostRequestChangesNothing) {
  LossyTransport transport(*source_);
  transport.lose_request = true;
  WriteHere("1", "a");
  const auto held = Held();
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(Held(), held);
  EXPECT_THAT(Live(), IsEmpty());
  EXPECT_EQ(tablet_.replica->outbox().sent, 1U);
}

TEST_F(PushTest, ReplayingACreateFiveTimesMakesOneRecord) {
  LossyTransport transport(*source_);
  WriteHere("1", "a");
  ASSERT_OK(tablet_.replica->Push(transport));
  const SequenceNumber last = store_->last_sequence();
  for (int i = 0; i < 5; ++i) {
    const auto again = source_->Push(transport.pushed.front());
    ASSERT_OK(again);
    EXPECT_EQ(again->count(PushOutcome::kDuplicate), 1U);
    EXPECT_EQ(again->state(), PushState::kComplete);
  }
  EXPECT_EQ(store_->last_sequence(), last);
  EXPECT_EQ(source_->FindPush(PushId(transport.pushed.front()))->count(PushOutcome::kApplied), 1U)
      << "asked for by name, a push answers as the first time";
}

TEST_F(PushTest, AConflictIsRefusedAndTheLoserKept) {
  Put("visits", "1", "base");
  Put("visits", "2", "base");
  Pull();
  WriteHere("1", "mine");
  WriteHere("2", "mine");
  Put("visits", "1", "theirs");
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kConflict), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U) << "one bad record fails the others";
  EXPECT_THAT(Outbox(), ElementsAre("failed put visits/1 conflict"));
  EXPECT_EQ(Held()["visits/1"], "base") << "the record is as the source had it when last seen";
  Pull();
  EXPECT_EQ(Held(), Live());
  // Written again, on top of what the source has by now.
  ASSERT_OK(tablet_.replica->RetryOperation(FirstOperation()));
  EXPECT_EQ(Held()["visits/1"], "mine");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Live()["visits/1"], "mine");
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(PushTest, TheLastWriterWinsWhereThatIsDeclared) {
  EntityDeclaration declaration;
  declaration.conflicts = ConflictPolicy::kLastWriter;
  ASSERT_OK(store_->Declare("visits", declaration));
  Put("visits", "1", "base");
  Pull();
  WriteHere("1", "mine");
  Put("visits", "1", "theirs");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Live()["visits/1"], "mine");
  RecordIterator lost = store_->GetView().Scan("_conflicts", ScanOptions{});
  ASSERT_TRUE(lost.Next()) << "the version that lost has vanished";
  EXPECT_THAT(lost.value(), HasSubstr("\"id\":\"1\""));
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushTest, OperationsOfOneRecordBuildOnEachOther) {
  WriteHere("1", "a");
  WriteHere("1", "b");
  WriteHere("1", "c");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 3U);
  EXPECT_EQ(Live()["visits/1"], "c");
  WriteHere("1", "d");
  DeleteHere("1");
  WriteHere("1", "e");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 3U);
  EXPECT_EQ(Live()["visits/1"], "e");
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushTest, WhatBuildsOnARefusedOperationIsSkipped) {
  Put("visits", "1", "base");
  Pull();
  WriteHere("1", "a");
  WriteHere("1", "b");
  Put("visits", "1", "theirs");
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kConflict), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kSkipped), 1U);
  EXPECT_THAT(Outbox(), ElementsAre("failed put visits/1 conflict", "failed put visits/1 skipped"));
  Pull();
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushTest, PagesDoNotOverwriteWhatWaits) {
  Put("visits", "1", "base");
  Pull();
  WriteHere("1", "mine");
  Put("visits", "1", "theirs");
  Put("visits", "2", "other");
  const PullResult pulled = Pull();  // with operations pending
  EXPECT_EQ(pulled.updated, 1U);
  EXPECT_EQ(Held()["visits/1"], "mine");
  EXPECT_EQ(Held()["visits/2"], "other");
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 1U);
  EXPECT_EQ(Held(), Live()) << "what the page said was lost";
}

TEST_F(PushTest, AResetKeepsWhatWaitsAndDropsWhatTheSourceHasNoMore) {
  Put("visits", "1", "base");
  Put("visits", "2", "base");
  Put("visits", "3", "base");
  Pull();
  WriteHere("1", "mine");
  WriteHere("2", "mine");
  WriteHere("new", "mine");
  ASSERT_OK(source_->Forget("tablet"));
  Delete("visits", "2");
  Delete("visits", "3");
  EXPECT_TRUE(Pull().reset);
  EXPECT_EQ(Held(),
            (std::map<std::string, std::string>{
                {"visits/1", "mine"}, {"visits/2", "mine"}, {"visits/new", "mine"}}));
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 2U);
  EXPECT_EQ(totals.count(PushOutcome::kConflict), 1U);  // changed here, deleted there
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(PushTest, APageThatIsOnItsWayDoesNotBringBackWhatWasDeleted) {
  Put("visits", "1", "a");
  Put("visits", "2", "a");
  Pull();
  Put("visits", "1", "b");
  Put("visits", "2", "b");
  const auto session = source_->StartSession(tablet_.replica->MakeHello());
  ASSERT_OK(session);
  ASSERT_OK(tablet_.replica->BeginSession(**session));
  const auto page = source_->NextPage((*session)->id, {.records_max = 1});
  ASSERT_OK(page);
  // The policy of the entity lets the deletion go, although the device has not seen `b`.
  EntityDeclaration declaration;
  declaration.conflicts = ConflictPolicy::kLastWriter;
  ASSERT_OK(store_->Declare("visits", declaration));
  DeleteHere("1");
  DeleteHere("2");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  EXPECT_OK(tablet_.replica->Apply((*page)->bytes));
  EXPECT_THAT(Held(), IsEmpty());
  EXPECT_THAT(source_->NextPage((*session)->id), test::IsDrained()) << "told what it deleted";
  ASSERT_OK(source_->Acknowledge("tablet", {(*page)->token}));
  ASSERT_OK(tablet_.replica->FinishSession());
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_THAT(Held(), IsEmpty());
}

TEST_F(PushTest, EventsAreAddedOnceAndGetIdsOfTheirOwn) {
  const auto written =
      tablet_.replica->Write(WriteBatch().Append("events", "happened").Append("events", "again"));
  ASSERT_OK(written);
  ASSERT_THAT(written->ids, SizeIs(2));
  EXPECT_EQ(written->ids[0].size(), 36U);
  EXPECT_LE(written->ids[0].substr(0, 13), written->ids[1].substr(0, 13));
  LossyTransport transport(*source_);
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(Push().count(PushOutcome::kDuplicate), 2U);
  EXPECT_EQ(Live(), Held());
  EXPECT_THAT(Live(), SizeIs(2));
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(PushTest, WhatTheDeviceMayNotSeeItMayNotWrite) {
  Put("secrets", "1", "theirs");
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"visits"})));
  WriteHere("1", "fine");
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("secrets", "1", "mine")));
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("unknown", "1", "mine")));
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kInvalid), 2U);
  EXPECT_THAT(Outbox(),
              ElementsAre("failed put secrets/1 not_allowed", "failed put unknown/1 not_allowed"));
  EXPECT_EQ(Live()["secrets/1"], "theirs");
  EXPECT_FALSE(store_->FindEntity("unknown").has_value());
  EXPECT_EQ(Held(), (std::map<std::string, std::string>{{"visits/1", "fine"}}));
}

TEST_F(PushTest, ARecordThatLeavesTheSelectionByTheDevicesOwnWriteLeavesTheDevice) {
  EntityDeclaration declaration;
  declaration.keys = {{{"owner"}}};
  ASSERT_OK(store_->Declare("visits", declaration));
  ASSERT_OK(source_->Select(
      "tablet",
      SelectionRule{.everything = false,
                    .grants = {{.entity = "visits", .where = {{"owner", {"1"}}}}}}));
  const auto write = [this](const char* id, const char* json) {
    ASSERT_OK(
        tablet_.replica->Write(WriteBatch().Put("visits", RecordId(id), json, ValueKind::kJson)));
  };
  write("a", R"({"owner":1})");
  write("b", R"({"owner":1})");
  write("c", R"({"owner":2})");  // never was the device's to see
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 3U);
  EXPECT_EQ(Held().size(), 2U);
  Pull();
  write("b", R"({"owner":2})");  // handed over to somebody else
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Held(), (std::map<std::string, std::string>{{"visits/a", R"({"owner":1})"}}));
  EXPECT_EQ(Live().size(), 3U);
  Pull();
  EXPECT_EQ(Held().size(), 1U);
}

TEST_F(PushTest, BadValuesAreRefusedByFieldAndTheirNeighboursGo) {
  EntityDeclaration declaration;
  declaration.fields = {{.name = "name", .type = FieldType::kString, .required = true}};
  ASSERT_OK(store_->Declare("visits", declaration));
  ASSERT_OK(tablet_.replica->Write(
      WriteBatch()
          .Put("visits", "1", R"({"name":"x"})", ValueKind::kJson)
          .Put("visits", "2", R"({"name":7})", ValueKind::kJson)
          .Put("visits", "3", R"({ "name" : "spaces" })", ValueKind::kJson)));
  LossyTransport transport(*source_);
  const auto totals = tablet_.replica->Push(transport);
  ASSERT_OK(totals);
  EXPECT_EQ(totals->count(PushOutcome::kApplied), 2U);
  EXPECT_EQ(totals->count(PushOutcome::kInvalid), 1U);
  const auto kept = source_->FindPush(PushId(transport.pushed.front()));
  ASSERT_OK(kept);
  EXPECT_EQ(kept->state(), PushState::kPartiallyComplete);
  ASSERT_THAT(kept->answers, SizeIs(1));
  EXPECT_EQ(kept->answers[0].field, "name");
  EXPECT_EQ(kept->answers[0].code, "type");
}

TEST_F(PushTest, ChildrenWaitForTheirParentsWhereReferencesAreStrict) {
  EntityDeclaration members;
  members.references = {{.field = "household", .entity = "household"}};
  members.reference_policy = ReferencePolicy::kStrict;
  ASSERT_OK(store_->Declare("member", members));
  ASSERT_OK(store_->Declare("household", {}));
  const auto put = [this](const char* entity, const char* id, const char* json) {
    ASSERT_OK(
        tablet_.replica->Write(WriteBatch().Put(entity, RecordId(id), json, ValueKind::kJson)));
  };
  put("member", "m", R"({"household":"h"})");
  put("member", "m", R"({"household":"h","age":4})");
  EXPECT_EQ(Push().count(PushOutcome::kParentMissing), 1U);
  EXPECT_THAT(Outbox(),
              ElementsAre("pending put member/m reference", "pending put member/m parent_missing"));
  put("household", "h", "{}");
  put("member", "n", R"({"household":"h"})");
  PushTotals totals = Push();  // the member comes before its household once more
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 2U);
  totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 2U);
  EXPECT_EQ(Held(), Live());
  EXPECT_THAT(Outbox(), IsEmpty());
}

TEST_F(PushTest, DocumentsReplaceEachOtherByTime) {
  ASSERT_OK(store_->Commit(
      WriteBatch().Put("forms", "f", "old", ValueKind::kBytes, WriteCondition{.if_newer = 100})));
  Pull();
  const auto put = [this](const char* value, int64_t time) {
    return tablet_.replica->Write(
        WriteBatch().Put("forms", "f", value, ValueKind::kBytes, WriteCondition{.if_newer = time}));
  };
  ASSERT_OK(put("newer", 150));
  EXPECT_THAT(put("older", 120), StatusIs(ErrorCode::kConditionFailed));
  ASSERT_OK(store_->Commit(WriteBatch().Put(
      "forms", "f", "newest", ValueKind::kBytes, WriteCondition{.if_newer = 200})));
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 1U);
  Pull();
  EXPECT_EQ(Held()["forms/f"], "newest");
  ASSERT_OK(put("mine", 300));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Live()["forms/f"], "mine");
  // A deletion keeps its time as well.
  ASSERT_OK(store_->Commit(WriteBatch().Delete("forms", "f", WriteCondition{.if_newer = 400})));
  ASSERT_OK(put("late", 350));
  WriteHere("1", "a neighbour");
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kConflict), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  Pull();
  EXPECT_EQ(Held(), Live());
  EXPECT_THAT(Held(), SizeIs(1));
}

TEST_F(PushTest, ReplacingKeepsTheLastOperationOfEachKind) {
  const LocalWriteOptions replace{.replace = true};
  const auto put = [&](const char* id, const char* value) {
    ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("visits", RecordId(id), value), replace));
  };
  put("1", "a");
  put("2", "x");
  put("1", "b");
  put("1", "c");
  EXPECT_THAT(Outbox(),
              ElementsAre("pending put visits/1", "pending put visits/2", "pending put visits/1"))
      << "its creation and its last change";
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Delete("visits", "2"), replace));
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/1", "pending put visits/1"))
      << "the source never heard of 2";
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  EXPECT_EQ(Live(), (std::map<std::string, std::string>{{"visits/1", "c"}}));
  // What the source has is deleted there, too.
  put("1", "d");
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Delete("visits", "1"), replace));
  EXPECT_THAT(Outbox(), ElementsAre("pending delete visits/1"));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_THAT(Live(), IsEmpty());
}

TEST_F(PushTest, WhatMayHaveBeenSentIsNotReplaced) {
  LossyTransport transport(*source_);
  transport.lose_answer = true;
  WriteHere("1", "a");
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("visits", "1", "b"), {.replace = true}));
  EXPECT_THAT(Outbox(), SizeIs(2));
  EXPECT_THAT(tablet_.replica->DropOperation(FirstOperation()), StatusIs(ErrorCode::kBusy));
  Push();
  EXPECT_EQ(Live()["visits/1"], "b");
}

TEST_F(PushTest, DroppingAnOperationUndoesIt) {
  Put("visits", "1", "base");
  Pull();
  WriteHere("1", "a");
  const uint64_t first = FirstOperation();
  WriteHere("1", "b");
  ASSERT_OK(tablet_.replica->DropOperation(first + 1));
  EXPECT_EQ(Held()["visits/1"], "a");
  ASSERT_OK(tablet_.replica->DropOperation(first));
  EXPECT_EQ(Held()["visits/1"], "base");
  EXPECT_THAT(tablet_.replica->DropOperation(first), StatusIs(ErrorCode::kNotFound));
  EXPECT_EQ(tablet_.replica->outbox().records, 0U);
}

TEST_F(PushTest, AnOlderCopyOfAReplicaGoesOnAsAnotherOne) {
  WriteHere("1", "a");
  const fs::path copy = directory_.path() / "backup";
  tablet_.replica.reset();
  fs::copy(tablet_.path, copy, fs::copy_options::recursive);
  Open(&tablet_);
  Push();
  WriteHere("1", "b");
  Push();
  tablet_.replica.reset();
  fs::remove_all(tablet_.path);
  fs::rename(copy, tablet_.path);
  Open(&tablet_);
  WriteHere("2", "other");  // under the number that `b` had
  LocalTransport transport(*source_);
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(Live(), (std::map<std::string, std::string>{{"visits/1", "b"}}));
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kConflict), 1U);
  EXPECT_TRUE(Pull().reset);
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushTest, ATemporaryIdIsReplacedEverywhereInOneStep) {
  const auto put = [this](const char* entity, const char* id, const char* json) {
    ASSERT_OK(
        tablet_.replica->Write(WriteBatch().Put(entity, RecordId(id), json, ValueKind::kJson)));
  };
  put("household", "tmp-1", R"({"id":"tmp-1","village":"A"})");
  put("member", "m", R"({"household":"tmp-1","name":"caf\u00e9"})");
  put("member", "m", R"({"household":"tmp-1","name":"B"})");
  put("member", "other", R"({"household":"tmp-12","name":"tmp-1"})");
  const IdReplacement named{.entity = "household",
                            .temporary = "tmp-1",
                            .real = RecordId(int64_t{4711}),
                            .references = {{"id", "household"}, {"household", "member"}}};
  ASSERT_OK(tablet_.replica->ReplaceId(named));
  const std::map<std::string, std::string> right = {
      {"household/4711", R"({"id":4711,"village":"A"})"},
      {"member/m", R"({"household":4711,"name":"B"})"},
      {"member/other", R"({"household":"tmp-12","name":"tmp-1"})"}};
  EXPECT_EQ(Held(), right);
  Open(&tablet_);
  EXPECT_EQ(tablet_.replica->outbox().records, 3U);
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 4U);
  EXPECT_EQ(Live(), right);
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_THAT(tablet_.replica->ReplaceId(named), StatusIs(ErrorCode::kNotFound));
}

TEST_F(PushTest, AnIdThatIsTakenKnownOrOnItsWayIsNotReplaced) {
  Put("visits", "1", "known");
  Put("visits", "2", "known");
  Pull();
  WriteHere("1", "changed");
  WriteHere("tmp", "new");
  const auto replace = [this](const char* from, const char* to) {
    return tablet_.replica->ReplaceId({.entity = "visits", .temporary = from, .real = to});
  };
  EXPECT_THAT(replace("1", "9"), StatusIs(ErrorCode::kConflict)) << "the source knows it";
  EXPECT_THAT(replace("tmp", "2"), StatusIs(ErrorCode::kConflict)) << "taken";
  EXPECT_THAT(replace("tmp", "1"), StatusIs(ErrorCode::kConflict)) << "taken, and waits";
  EXPECT_THAT(replace("2", "9"), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(replace("tmp", ""), StatusIs(ErrorCode::kInvalidArgument));
  const auto held = Held();
  LossyTransport transport(*source_);
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  EXPECT_THAT(replace("tmp", "9"), StatusIs(ErrorCode::kBusy)) << "it may be at the source";
  EXPECT_EQ(Held(), held);
}

/// A network that is there at the n-th call.
class LateTransport final : public Transport {
 public:
  LateTransport(Source& source, int failures) : to_source_(source), failures_(failures) {}
  Result<std::optional<SessionInfo>> Start(const Hello& hello) override {
    if (failures_-- > 0) return Status(ErrorCode::kUnavailable, "no network");
    return to_source_.Start(hello);
  }
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override {
    if (failures_-- > 0) return Status(ErrorCode::kUnavailable, "no network");
    return to_source_.Next(session, options);
  }
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override {
    return to_source_.Acknowledge(device, keys);
  }
  Result<PushResult> Push(std::string_view batch) override { return to_source_.Push(batch); }

 private:
  LocalTransport to_source_;
  int failures_;
};

TEST_F(PushTest, ASyncTriesAgainAsOftenAsItIsTold) {
  Put("plans", "1", "there");
  WriteHere("1", "here");
  const RetryPolicy thrice{.attempts = 3,
                           .first_delay = std::chrono::milliseconds(1),
                           .longest_delay = std::chrono::milliseconds(2)};
  LateTransport late(*source_, 3);
  const auto held = Held();
  EXPECT_THAT(tablet_.replica->Sync(late, {}, thrice), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(Held(), held);
  WriteHere("2", "here");
  LateTransport in_time(*source_, 2);
  const auto synced = tablet_.replica->Sync(in_time, {}, thrice);
  ASSERT_OK(synced);
  EXPECT_EQ(synced->push.count(PushOutcome::kApplied), 1U) << "the first went before";
  EXPECT_EQ(synced->pull.created, 1U);
  EXPECT_EQ(Held(), Live());
}

}  // namespace
}  // namespace tidemark
