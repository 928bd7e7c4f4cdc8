// Writes of a device, from its outbox to its source and back: every operation has one outcome, none
// is lost or applied twice, nothing is echoed, and no loser vanishes (contract 34 to 36).
#include "replication/push.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "replication/internal/outbox_entry.h"
#include "replication/replica.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

using test::IsOkAndHolds;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

/// A way to the source that loses what the test says.
class LossyTransport final : public Transport {
 public:
  explicit LossyTransport(Source& source) : to_source_(source) {}
  Result<std::optional<SessionInfo>> Start(const Hello& hello) override {
    return to_source_.Start(hello);
  }
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override {
    return to_source_.Next(session, options);
  }
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override {
    return to_source_.Acknowledge(device, keys);
  }
  Result<PushResult> Push(std::string_view batch) override {
    pushed.emplace_back(batch);
    const Status lost(ErrorCode::kUnavailable, "lost on the way");
    if (lose_request) return lost;
    auto answer = to_source_.Push(batch);
    if (lose_answer) return lost;
    return answer;
  }

  bool lose_request = false;
  bool lose_answer = false;
  std::vector<std::string> pushed;

 private:
  LocalTransport to_source_;
};

/// One device with its replica.
struct Tablet {
  std::string id;
  fs::path path;
  std::unique_ptr<Replica> replica;
};

class PushTest : public test::SourceTest {
 protected:
  PushTest() { Open(&tablet_); }

  void Open(Tablet* tablet) {
    tablet->replica.reset();
    auto opened = Replica::Open(tablet->path, tablet->id, {}, runtime_);
    ASSERT_OK(opened);
    tablet->replica = *std::move(opened);
  }
  static std::map<std::string, std::string> HeldBy(const Tablet& tablet) {
    std::map<std::string, std::string> held;
    const View view = tablet.replica->store().GetView();
    for (const EntityInfo& info : tablet.replica->store().ListEntities()) {
      RecordIterator records = view.Scan(info.name, ScanOptions{});
      while (records.Next()) held[info.name + "/" + records.id()] = records.value();
      EXPECT_OK(records.status());
    }
    return held;
  }
  std::map<std::string, std::string> Held() const { return HeldBy(tablet_); }
  void WriteHere(std::string_view id, std::string_view value) {
    EXPECT_OK(tablet_.replica->Write(WriteBatch().Put("visits", RecordId(std::string(id)), value)));
  }
  void DeleteHere(std::string_view id) {
    EXPECT_OK(tablet_.replica->Write(WriteBatch().Delete("visits", RecordId(std::string(id)))));
  }
  PushTotals Push() {
    LocalTransport transport(*source_);
    auto totals = tablet_.replica->Push(transport);
    EXPECT_OK(totals);
    return totals.ok() ? *totals : PushTotals();
  }
  PullResult Pull() {
    LocalTransport transport(*source_);
    auto pulled = tablet_.replica->Pull(transport);
    EXPECT_OK(pulled);
    return pulled.ok() ? *pulled : PullResult();
  }
  /// The operations in the outbox, as "state type record code".
  std::vector<std::string> Outbox() const {
    std::vector<std::string> operations;
    RecordIterator rows = tablet_.replica->store().GetView().Scan(kOutboxEntity, ScanOptions{});
    while (rows.Next()) {
      const auto operation = internal::DecodeOperation(rows.value());
      EXPECT_OK(operation);
      if (!operation.ok()) continue;
      std::string text = operation->state == OperationState::kPending ? "pending " : "failed ";
      text += operation->op == WriteOp::kPut      ? "put "
              : operation->op == WriteOp::kDelete ? "delete "
                                                  : "append ";
      text += operation->entity + "/" + operation->id.text();
      if (!operation->error.code.empty()) text += " " + operation->error.code;
      operations.push_back(text);
    }
    return operations;
  }
  uint64_t FirstOperation() const {
    RecordIterator rows = tablet_.replica->store().GetView().Scan(kOutboxEntity, ScanOptions{});
    EXPECT_TRUE(rows.Next());
    return internal::DecodeOperation(rows.value())->number;
  }

  Tablet tablet_{.id = "tablet", .path = directory_.path() / "tablet", .replica = nullptr};
};

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
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/1", "pending put visits/2"));
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Delete("visits", "2"), replace));
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/1")) << "the source never heard of 2";
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
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

TEST_F(PushTest, AValueAtTheLimitGoesThrough) {
  const std::string largest(kValueBytesMax, 'x');
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("visits", "1", largest)));
  EXPECT_THAT(tablet_.replica->Write(WriteBatch().Put("visits", "2", largest + "x")),
              StatusIs(ErrorCode::kTooLarge));
  Open(&tablet_);
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Live().at("visits/1").size(), kValueBytesMax);
}

TEST_F(PushTest, MoreOperationsThanOnePushHolds) {
  WriteBatch batch;
  constexpr size_t kCount = kPushOperationsMax + 1;
  for (size_t i = 0; i < kCount; ++i) batch.Put("visits", RecordId(static_cast<int64_t>(i)), "v");
  ASSERT_OK(tablet_.replica->Write(batch));
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), kCount);
  EXPECT_EQ(totals.pushes, 2U);
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(PushTest, ADeepValueSurvivesTheOutboxByteForByte) {
  std::string deep = R"({"text":"\u00e9\n,\"payload\":1","payloadBytes":3,"payload":)";
  for (int i = 0; i < kJsonDepthMax - 1; ++i) deep += "[";
  for (int i = 0; i < kJsonDepthMax - 1; ++i) deep += "]";
  deep += "}";
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("visits", "1", deep, ValueKind::kJson)));
  Open(&tablet_);
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(Live()["visits/1"], deep);
}

TEST_F(PushTest, LocalErrorsLeaveEverythingAsItWas) {
  WriteHere("1", "a");
  const auto held = Held();
  const auto refused = [&](const WriteBatch& batch, ErrorCode code) {
    EXPECT_THAT(tablet_.replica->Write(batch), StatusIs(code));
    EXPECT_EQ(Held(), held);
    EXPECT_THAT(Outbox(), SizeIs(1));
  };
  refused(WriteBatch().Put("visits", "2", "b").Append("visits", RecordId("e"), "x"),
          ErrorCode::kWrongKind);
  refused(WriteBatch().Put("_commandQueue", "2", "b"), ErrorCode::kReserved);
  refused(WriteBatch().Put("visits", "1", "b", ValueKind::kBytes, {.if_absent = true}),
          ErrorCode::kConditionFailed);
  refused(
      WriteBatch().Put("visits", "1", "b", ValueKind::kBytes, {.if_version = SequenceNumber(1)}),
      ErrorCode::kInvalidArgument);
  refused(WriteBatch().Put("visits", "2", "{", ValueKind::kJson), ErrorCode::kMalformedJson);
  EXPECT_THAT(tablet_.replica->RetryOperation(77), StatusIs(ErrorCode::kNotFound));
}

TEST_F(PushTest, HostilePushesAreRefusedAsAWhole) {
  LossyTransport transport(*source_);
  WriteHere("1", "a");
  transport.lose_request = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  const std::string batch = transport.pushed.front();
  for (size_t i = 0; i < batch.size(); ++i) {
    std::string flipped = batch;
    flipped[i] = static_cast<char>(flipped[i] ^ 1);
    EXPECT_FALSE(source_->Push(flipped).ok()) << "byte " << i;
  }
  EXPECT_THAT(source_->Push(batch.substr(0, batch.size() / 2)),
              StatusIs(ErrorCode::kMalformedBatch));
  EXPECT_THAT(Live(), IsEmpty());
  EXPECT_THAT(source_->FindPush("none"), StatusIs(ErrorCode::kNotFound));
}

/// A push of these operations, as a device would send it.
struct Operation {
  uint64_t number = 0;
  std::string id;
  std::string value = "v";
  uint64_t base = 0;
};

std::string MakePush(const std::vector<Operation>& operations) {
  BatchBuilder builder;
  for (const Operation& operation : operations) {
    builder.Add({.entity = builder.Entity("visits"),
                 .op = RowOp::kPut,
                 .sequence = SequenceNumber(operation.number),
                 .birth = {},
                 .superseded = SequenceNumber(operation.base),
                 .id = operation.id,
                 .value = operation.value,
                 .writer_time = {},
                 .ended = {},
                 .origin_birth = {},
                 .origin_head = {}});
  }
  return builder.Finish(
      {.kind = BatchKind::kPush, .device = "tablet", .origin = std::string(32, 'a')});
}

/// Operations `first` to `last`, each of a record of its own.
std::vector<Operation> Operations(uint64_t first, uint64_t last) {
  std::vector<Operation> operations;
  for (uint64_t number = first; number <= last; ++number) {
    operations.push_back({.number = number, .id = "r" + std::to_string(number)});
  }
  return operations;
}

TEST_F(PushTest, CurrentValuesHaveABoundTogether) {
  const std::string half(kPushValueBytesMax / 2, 'x');
  for (const char* id : {"1", "2", "3"}) Put("visits", id, half);
  const auto answer = source_->Push(MakePush({{.number = 1, .id = "1", .value = "mine"},
                                              {.number = 2, .id = "2", .value = "mine"},
                                              {.number = 3, .id = "3", .value = "mine"}}));
  ASSERT_OK(answer);
  ASSERT_THAT(answer->answers, SizeIs(3));
  EXPECT_EQ(answer->answers[1].current->value, half);
  EXPECT_FALSE(answer->answers[2].current->value.has_value());
  EXPECT_GT(answer->answers[2].current->version, kSequenceZero);
}

TEST_F(PushTest, AnswersThatAreNeverTakenHaveABound) {
  uint64_t last = kPushOperationsMax;
  ASSERT_OK(source_->Push(MakePush(Operations(1, last))));
  const auto push_beside_the_first = [&](uint64_t count) {
    std::vector<Operation> operations = Operations(last + 1, last + count);
    operations.insert(operations.begin(), {.number = 1, .id = "r1"});
    return source_->Push(MakePush(operations));
  };
  while (last < kPushAnswersKept) {
    const uint64_t count = std::min(kPushAnswersKept - last, kPushOperationsMax - 1);
    ASSERT_OK(push_beside_the_first(count));
    last += count;
  }
  EXPECT_THAT(push_beside_the_first(1), StatusIs(ErrorCode::kTooLarge));
  EXPECT_OK(source_->Push(MakePush(Operations(last, last + 1)))) << "the others were taken";
}

TEST_F(PushTest, TheLastHundredPushesAreKept) {
  std::vector<std::string> pushes;
  for (uint64_t i = 1; i <= kPushesKept + 1; ++i) {
    pushes.push_back(MakePush(Operations(i, i)));
    ASSERT_OK(source_->Push(pushes.back()));
    if (i == kPushesKept) {
      EXPECT_OK(source_->FindPush(PushId(pushes[0])));
    }
  }
  EXPECT_THAT(source_->FindPush(PushId(pushes[0])), StatusIs(ErrorCode::kNotFound));
  EXPECT_OK(source_->FindPush(PushId(pushes[1])));
}

TEST_F(PushTest, ASessionExpiresWhenTooMuchIsWrittenMeanwhile) {
  Put("visits", "1", "a");
  const auto session =
      source_->StartSession({.device = "tablet", .incarnation = std::string(16, '\xaa')});
  ASSERT_OK(session);
  constexpr uint64_t kBound = 10'000;
  for (uint64_t first = 1; first <= kBound; first += kPushOperationsMax) {
    ASSERT_OK(source_->Push(MakePush(Operations(first, first + kPushOperationsMax - 1))));
  }
  EXPECT_TRUE(source_->GetDevice("tablet")->session_open);
  ASSERT_OK(source_->Push(MakePush(Operations(kBound + 1, kBound + 1))));
  EXPECT_THAT(source_->NextPage((*session)->id), StatusIs(ErrorCode::kSessionExpired));
}

TEST_F(PushTest, NumbersThatDoNotIncreaseAreRefused) {
  EXPECT_THAT(source_->Push(MakePush({{.number = 0, .id = "1"}})),
              StatusIs(ErrorCode::kMalformedBatch));
  EXPECT_THAT(source_->Push(MakePush({{.number = 3, .id = "1"}, {.number = 3, .id = "2"}})),
              StatusIs(ErrorCode::kMalformedBatch));
  EXPECT_THAT(source_->Push(MakePush({})), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(Live(), IsEmpty());
}

TEST_F(PushTest, WritesPullsAndPushesAtTheSameTime) {
  constexpr int kWrites = 150;
  const auto put_there = [this](int i) {
    return store_->Commit(WriteBatch().Put(
        "plans", RecordId(static_cast<int64_t>(i % 20)), "plan " + std::to_string(i)));
  };
  const auto put_here = [this](int i) {
    return tablet_.replica->Write(
        WriteBatch()
            .Put("visits", RecordId(static_cast<int64_t>(i % 30)), "visit " + std::to_string(i))
            .Append("events", "happened " + std::to_string(i)));
  };
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int i = 0; i < kWrites; ++i) EXPECT_OK(put_here(i));
    done = true;
  });
  threads.emplace_back([&] {
    for (int i = 0; !done; ++i) EXPECT_OK(put_there(i));
  });
  threads.emplace_back([&] {
    LocalTransport transport(*source_);
    while (!done) EXPECT_OK(tablet_.replica->Push(transport));
  });
  threads.emplace_back([&] {
    LocalTransport transport(*source_);
    while (!done) EXPECT_OK(tablet_.replica->Pull(transport));
  });
  for (std::thread& thread : threads) thread.join();
  Push();
  Pull();
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_THAT(Outbox(), IsEmpty());
  EXPECT_EQ(Held(), Live());
  EXPECT_EQ(store_->FindEntity("events")->record_count, static_cast<uint64_t>(kWrites));
}

}  // namespace
}  // namespace tidemark
