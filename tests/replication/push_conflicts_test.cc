// What becomes of a device's write whose record somebody else changed meanwhile, by the policy that
// the entity declares (contract 36, decision B22). The loser is kept and visible in every one.
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/replication/push_fixture.h"

namespace tidemark {
namespace {

using test::LossyTransport;
using test::PushTest;
using test::StatusIs;
using test::Tablet;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PushConflictsTest : public PushTest {
 protected:
  void Declare(ConflictPolicy policy) {
    EntityDeclaration declaration;
    declaration.conflicts = policy;
    Declare(declaration);
  }
  void Declare(const EntityDeclaration& declaration) {
    ASSERT_OK(store_->Declare("visits", declaration));
  }
  void ByField() { Declare(ConflictPolicy::kByField); }
  /// Conflicts go to `resolver` from now on.
  void ByCallback(ConflictResolver resolver) {
    Declare(ConflictPolicy::kCallback);
    source_options_.conflict_resolver = std::move(resolver);
    OpenSource();
  }
  /// Somebody else writes at the source.
  void There(std::string_view id, std::string_view json) {
    EXPECT_OK(store_->Commit(WriteBatch().Put("visits", RecordId(id), json, ValueKind::kJson)));
  }
  void DeleteThere(std::string_view id) { Delete("visits", std::string(id)); }
  static void WriteAt(const Tablet& tablet, std::string_view id, std::string_view json) {
    EXPECT_OK(
        tablet.replica->Write(WriteBatch().Put("visits", RecordId(id), json, ValueKind::kJson)));
  }
  void Here(std::string_view id, std::string_view json) { WriteAt(tablet_, id, json); }
  std::string AtSource(std::string_view id) { return Live()["visits/" + std::string(id)]; }
  std::string AtDevice(std::string_view id) { return Held()["visits/" + std::string(id)]; }
  /// The versions that lost, oldest first.
  std::vector<std::string> Lost() {
    std::vector<std::string> lost;
    RecordIterator rows = store_->GetView().Scan("_conflicts", ScanOptions{});
    while (rows.Next()) lost.push_back(rows.value());
    EXPECT_OK(rows.status());
    return lost;
  }
  std::vector<PushAnswer> PushRaw(LossyTransport* transport) {
    EXPECT_OK(tablet_.replica->Push(*transport));
    const auto again = source_->Push(transport->pushed.back());
    EXPECT_OK(again);
    return again.ok() ? again->answers : std::vector<PushAnswer>();
  }
  /// After a pull the device has what the source has, and lacks nothing.
  void ExpectEqualAfterPull() {
    Pull();
    EXPECT_EQ(Held(), Live());
    EXPECT_TRUE(Pull().nothing_owed);
    EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
  }
};

// By field.

TEST_F(PushConflictsTest, BothSidesChangedDifferentFields) {
  ByField();
  There("1", R"({"name":"Ada","town":"Maputo","n":1})");
  Pull();
  Here("1", R"({"name":"Ada L.","town":"Maputo","n":1})");
  There("1", R"({"name":"Ada","town":"Beira","n":1})");
  LossyTransport transport(*source_);
  const auto answers = PushRaw(&transport);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_TRUE(answers[0].merged);
  EXPECT_EQ(AtSource("1"), R"({"name":"Ada L.","town":"Beira","n":1})");
  EXPECT_THAT(Outbox(), IsEmpty());
  EXPECT_EQ(AtDevice("1"), R"({"name":"Ada L.","town":"Maputo","n":1})")
      << "until the merged version comes, what was written here is shown";
  ASSERT_THAT(Lost(), SizeIs(1));
  EXPECT_THAT(Lost()[0], HasSubstr(R"("data":{"name":"Ada","town":"Beira","n":1})"));
  const PullResult pulled = Pull();
  EXPECT_EQ(pulled.updated, 1U);
  EXPECT_EQ(pulled.created, 0U);
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, BothSidesChangedTheSameField) {
  ByField();
  There("1", R"({"name":"a","town":"x"})");
  Pull();
  Here("1", R"({"name":"mine","town":"x"})");
  There("1", R"({"name":"theirs","town":"y"})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), R"({"name":"mine","town":"y"})");
  ASSERT_THAT(Lost(), SizeIs(1));
  EXPECT_THAT(Lost()[0], HasSubstr("theirs"));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, AFieldIsRemovedOnOneSide) {
  ByField();
  There("here", R"({"a":1,"b":1})");
  There("there", R"({"a":1,"b":1})");
  Pull();
  Here("here", R"({"a":1})");
  There("here", R"({"a":2,"b":1})");
  Here("there", R"({"a":1,"b":2})");
  There("there", R"({"b":1})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  EXPECT_EQ(AtSource("here"), R"({"a":2})");
  EXPECT_EQ(AtSource("there"), R"({"b":2})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, NestedObjectsAreWholeValues) {
  ByField();
  There("1", R"({"at":{"x":1,"y":1},"n":1})");
  Pull();
  Here("1", R"({"at":{"x":2,"y":1},"n":1})");
  There("1", R"({"at":{"x":1,"y":3},"n":2})");
  Push();
  EXPECT_EQ(AtSource("1"), R"({"at":{"x":2,"y":1},"n":2})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, WhatIsEqualInTheEndIsNotSentBack) {
  ByField();
  There("1", R"({"a":1,"b":1})");
  Pull();
  Here("1", R"({"a":2,"b":1})");
  There("1", R"({"a":3,"b":1})");
  LossyTransport transport(*source_);
  const auto answers = PushRaw(&transport);
  EXPECT_FALSE(answers[0].merged);
  EXPECT_EQ(AtSource("1"), R"({"a":2,"b":1})");
  EXPECT_THAT(Lost(), SizeIs(1)) << "its other version was replaced unseen all the same";
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushConflictsTest, AChangeThatOthersMadeAsWellIsNoNewVersion) {
  ByField();
  There("1", R"({"a":1,"b":1})");
  Pull();
  Here("1", R"({"a":2,"b":1})");
  There("1", R"({"a":2,"b":2})");
  const SequenceNumber before = store_->GetView().Get("visits", "1")->value().version;
  LossyTransport transport(*source_);
  const auto answers = PushRaw(&transport);
  EXPECT_TRUE(answers[0].merged);
  EXPECT_EQ(answers[0].version, before);
  EXPECT_THAT(Lost(), IsEmpty());
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, DeletionsAreNotMerged) {
  ByField();
  for (const char* id : {"here", "there", "reborn"}) There(id, R"({"a":1})");
  Pull();
  DeleteHere("here");
  There("here", R"({"a":2})");
  Here("there", R"({"a":2})");
  DeleteThere("there");
  Here("reborn", R"({"a":2})");
  DeleteThere("reborn");
  There("reborn", R"({"a":1,"new":true})");
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 3U);
  EXPECT_THAT(Outbox(),
              ElementsAre("failed delete visits/here conflict",
                          "failed put visits/there conflict",
                          "failed put visits/reborn conflict"));
  EXPECT_EQ(AtSource("here"), R"({"a":2})");
  EXPECT_FALSE(Live().contains("visits/there"));
  EXPECT_EQ(AtSource("reborn"), R"({"a":1,"new":true})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, ValuesThatAreNoObjectsAreNotMerged) {
  ByField();
  There("list", "[1]");
  There("object", R"({"a":1})");
  There("theirs", R"({"a":1})");
  Put("visits", "bytes", "old");
  Pull();
  Here("list", "[2]");
  There("list", "[3]");
  Here("object", "[]");
  There("object", R"({"a":2})");
  Here("theirs", R"({"a":3})");
  There("theirs", "7");
  WriteHere("bytes", "mine");
  Put("visits", "bytes", "theirs");
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 4U);
  EXPECT_THAT(Lost(), IsEmpty());
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, ThreeDevicesOneRecord) {
  ByField();
  There("1", R"({"a":0,"b":0,"c":0})");
  std::vector<Tablet> tablets;
  for (const char* id : {"t1", "t2", "t3"}) {
    tablets.push_back({.id = id, .path = directory_.path() / id, .replica = nullptr});
    Open(&tablets.back());
    LocalTransport transport(*source_);
    ASSERT_OK(tablets.back().replica->Pull(transport));
  }
  WriteAt(tablets[0], "1", R"({"a":1,"b":0,"c":0})");
  WriteAt(tablets[1], "1", R"({"a":0,"b":2,"c":0})");
  WriteAt(tablets[2], "1", R"({"a":0,"b":0,"c":3})");
  LocalTransport transport(*source_);
  for (const Tablet& tablet : tablets) ASSERT_OK(tablet.replica->Push(transport));
  EXPECT_EQ(AtSource("1"), R"({"a":1,"b":2,"c":3})");
  EXPECT_THAT(Lost(), SizeIs(2));
  for (const Tablet& tablet : tablets) {
    const auto pulled = tablet.replica->Pull(transport);
    ASSERT_OK(pulled);
    EXPECT_EQ(pulled->updated, 1U);
    EXPECT_EQ(HeldBy(tablet), Live()) << tablet.id;
    EXPECT_TRUE(tablet.replica->Pull(transport)->nothing_owed);
  }
}

TEST_F(PushConflictsTest, SeveralOperationsOfOneRecordInOnePush) {
  ByField();
  There("1", R"({"a":0,"b":0,"c":0})");
  Pull();
  Here("1", R"({"a":1,"b":0,"c":0})");
  Here("1", R"({"a":1,"b":2,"c":0})");
  There("1", R"({"a":0,"b":0,"c":3})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  EXPECT_EQ(AtSource("1"), R"({"a":1,"b":2,"c":3})");
  EXPECT_THAT(Lost(), SizeIs(1));
  EXPECT_EQ(Pull().updated, 1U);
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, AWriteAfterAMergeThatWasNotPulledYetLosesNothing) {
  ByField();
  There("1", R"({"a":0,"b":0,"c":0})");
  Pull();
  Here("1", R"({"a":1,"b":0,"c":0})");
  There("1", R"({"a":0,"b":0,"c":3})");
  Push();
  Here("1", R"({"a":1,"b":2,"c":0})");  // of what is merged by now it knows nothing
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), R"({"a":1,"b":2,"c":3})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, AnOperationWrittenWhileThePushWasOnItsWayLosesNothing) {
  ByField();
  There("1", R"({"a":0,"b":0,"c":0})");
  Pull();
  LossyTransport transport(*source_);
  Here("1", R"({"a":1,"b":0,"c":0})");
  There("1", R"({"a":0,"b":0,"c":3})");
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  Here("1", R"({"a":1,"b":2,"c":0})");
  transport.lose_answer = false;
  const auto totals = tablet_.replica->Push(transport);
  ASSERT_OK(totals);
  EXPECT_EQ(totals->count(PushOutcome::kDuplicate), 1U);
  EXPECT_EQ(totals->count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), R"({"a":1,"b":2,"c":3})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, APullWhileOperationsWaitMovesNothingUnderThem) {
  ByField();
  There("1", R"({"a":0,"b":0,"c":0})");
  Pull();
  Here("1", R"({"a":1,"b":0,"c":0})");
  There("1", R"({"a":0,"b":0,"c":3})");
  Pull();
  EXPECT_EQ(AtDevice("1"), R"({"a":1,"b":0,"c":0})") << "what waits is shown";
  Here("1", R"({"a":1,"b":2,"c":0})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  EXPECT_EQ(AtSource("1"), R"({"a":1,"b":2,"c":3})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, ALostAnswerOfAMergeIsADuplicateThatSaysSo) {
  ByField();
  There("1", R"({"a":0,"b":0})");
  Pull();
  Here("1", R"({"a":1,"b":0})");
  There("1", R"({"a":0,"b":2})");
  LossyTransport transport(*source_);
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  const SequenceNumber last = store_->last_sequence();
  OpenSource();
  Open(&tablet_);
  LossyTransport again(*source_);
  const auto answers = PushRaw(&again);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].outcome, PushOutcome::kDuplicate);
  EXPECT_TRUE(answers[0].merged);
  EXPECT_EQ(store_->last_sequence(), last);
  EXPECT_EQ(AtSource("1"), R"({"a":1,"b":2})");
  EXPECT_THAT(Lost(), SizeIs(1));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, AMergedVersionThatArrivesBeforeItsAnswerStays) {
  ByField();
  There("1", R"({"a":0,"b":0})");
  Pull();
  Here("1", R"({"a":1,"b":0})");
  There("1", R"({"a":0,"b":2})");
  LossyTransport transport(*source_);
  transport.lose_answer = true;
  EXPECT_THAT(tablet_.replica->Push(transport), StatusIs(ErrorCode::kUnavailable));
  Pull();
  EXPECT_EQ(AtDevice("1"), R"({"a":1,"b":0})");
  EXPECT_EQ(Push().count(PushOutcome::kDuplicate), 1U);
  EXPECT_EQ(AtDevice("1"), R"({"a":1,"b":2})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, ReplacedOperationsChangeWhatTheyAllChanged) {
  ByField();
  There("1", R"({"a":0,"b":0,"c":0,"d":0})");
  Pull();
  const LocalWriteOptions replace{.replace = true};
  for (const char* json : {R"({"a":1,"b":0,"c":0,"d":0})", R"({"a":1,"b":2,"c":0,"d":0})"}) {
    ASSERT_OK(
        tablet_.replica->Write(WriteBatch().Put("visits", "1", json, ValueKind::kJson), replace));
  }
  EXPECT_THAT(Outbox(), SizeIs(1));
  There("1", R"({"a":7,"b":7,"c":3,"d":0})");
  Push();
  EXPECT_EQ(AtSource("1"), R"({"a":1,"b":2,"c":3,"d":0})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, TwoCreationsOfOneIdAreOneRecord) {
  ByField();
  Here("1", R"({"a":1,"b":1})");
  There("1", R"({"b":2,"c":2})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), R"({"b":1,"c":2,"a":1})");
  EXPECT_THAT(Lost(), SizeIs(1));
  const PullResult pulled = Pull();
  EXPECT_EQ(pulled.created, 1U) << "it never acknowledged this life";
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, ADeletionThatFollowsAMergeIsRefused) {
  ByField();
  There("1", R"({"a":0,"b":0})");
  Pull();
  Here("1", R"({"a":1,"b":0})");
  DeleteHere("1");
  There("1", R"({"a":0,"b":2})");
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kConflict), 1U) << "it would take what nobody here has seen";
  EXPECT_EQ(AtSource("1"), R"({"a":1,"b":2})");
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, AMergeThatLeavesTheSelectionLeavesTheDevice) {
  EntityDeclaration declaration;
  declaration.conflicts = ConflictPolicy::kByField;
  declaration.keys = {{{"owner", "area"}}};
  Declare(declaration);
  ASSERT_OK(source_->Select(
      "tablet",
      SelectionRule{
          .everything = false,
          .grants = {{.entity = "visits", .where = {{"owner", {"1"}}, {"area", {"1"}}}},
                     {.entity = "visits", .where = {{"owner", {"2"}}, {"area", {"1"}}}},
                     {.entity = "visits", .where = {{"owner", {"1"}}, {"area", {"2"}}}}}}));
  There("1", R"({"owner":1,"area":1})");
  Pull();
  Here("1", R"({"owner":2,"area":1})");
  There("1", R"({"owner":1,"area":2})");
  LossyTransport transport(*source_);
  const auto answers = PushRaw(&transport);
  EXPECT_TRUE(answers[0].merged);
  EXPECT_TRUE(answers[0].outside);
  EXPECT_EQ(AtSource("1"), R"({"owner":2,"area":2})");
  EXPECT_THAT(Held(), IsEmpty());
  Pull();
  EXPECT_THAT(Held(), IsEmpty());
  EXPECT_TRUE(Pull().nothing_owed);
  There("1", R"({"owner":2,"area":1})");
  EXPECT_EQ(Pull().created, 1U);
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushConflictsTest, LargeValuesAreMergedAndThoseThatGrowTooLargeRefused) {
  ByField();
  const std::string half(kValueBytesMax / 2 - 100, 'x');
  const auto with = [](std::string_view a, std::string_view b) {
    return R"({"a":")" + std::string(a) + R"(","b":")" + std::string(b) + R"("})";
  };
  There("fits", with("", ""));
  There("grows", with("", ""));
  Pull();
  Here("fits", with(half, ""));
  There("fits", with("", half));
  Here("grows", with(half + half, ""));
  There("grows", with("", half));
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kInvalid), 1U);
  EXPECT_THAT(Outbox(), ElementsAre("failed put visits/grows too_large"));
  EXPECT_EQ(AtSource("fits"), with(half, half));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, TooManyNamesAreRefusedAsAConflictOnlyWhereThereIsOne) {
  ByField();
  const std::string value = R"({")" + std::string(kChangedBytesMax, 'n') + R"(":1})";
  There("1", R"({"a":1})");
  There("2", R"({"a":1})");
  Pull();
  Here("1", value);
  Here("2", value);
  There("1", R"({"a":2})");
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kConflict), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, AMergedValueIsCheckedLikeAnyOther) {
  EntityDeclaration declaration;
  declaration.conflicts = ConflictPolicy::kByField;
  Declare(declaration);
  There("1", R"({"a":"x","b":1})");
  Pull();
  Here("1", R"({"a":"y","b":1})");
  There("1", R"({"a":"x","b":"no number"})");
  declaration.fields = {{.name = "b", .type = FieldType::kInteger}};
  Declare(declaration);
  EXPECT_EQ(Push().count(PushOutcome::kInvalid), 1U);
  EXPECT_THAT(Outbox(), ElementsAre("failed put visits/1 type"));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, AReferenceThatTheDeviceDidNotChangeIsNotItsAffair) {
  EntityDeclaration declaration;
  declaration.conflicts = ConflictPolicy::kByField;
  declaration.references = {{.field = "home", .entity = "homes"}};
  declaration.reference_policy = ReferencePolicy::kStrict;
  Declare(declaration);
  Put("homes", "old", "x");
  Put("homes", "new", "x");
  There("1", R"({"home":"old","n":1})");
  Pull();
  Here("1", R"({"home":"old","n":2})");
  There("1", R"({"home":"new","n":1})");
  Delete("homes", "old");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), R"({"home":"new","n":2})");
  Here("1", R"({"home":"gone","n":2})");
  There("1", R"({"home":"new","n":3})");
  EXPECT_EQ(Push().count(PushOutcome::kParentMissing), 1U);
}

TEST_F(PushConflictsTest, AListOfMembersThatIsNoneIsRefusedAlone) {
  ByField();
  BatchBuilder builder;
  const uint16_t entity = builder.Entity("visits");
  const auto add = [&](uint64_t number, std::string_view changed) {
    builder.Add({.entity = entity,
                 .op = RowOp::kPut,
                 .value_kind = ValueKind::kJson,
                 .sequence = SequenceNumber(number),
                 .id = number == 1   ? "1"
                       : number == 2 ? "2"
                                     : "3",
                 .value = "{}",
                 .ended = {},
                 .changed = changed});
  };
  add(1, "[");
  add(2, R"([{"a":1}])");
  add(3, R"(["a"])");
  const auto answered = source_->Push(
      builder.Finish({.kind = BatchKind::kPush, .device = "raw", .origin = std::string(32, 'a')}));
  ASSERT_OK(answered);
  EXPECT_EQ(answered->count(PushOutcome::kInvalid), 2U);
  EXPECT_EQ(answered->count(PushOutcome::kApplied), 1U);
}

// By callback.

ConflictResolution Merged(std::string value) {
  return {.choice = ConflictChoice::kTakeMerged, .value = std::move(value)};
}

TEST_F(PushConflictsTest, WithoutACallbackItIsAConflictThatSaysSo) {
  Declare(ConflictPolicy::kCallback);
  There("1", R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  There("1", R"({"a":3})");
  LossyTransport transport(*source_);
  const auto answers = PushRaw(&transport);
  EXPECT_EQ(answers[0].outcome, PushOutcome::kConflict);
  EXPECT_THAT(answers[0].message, HasSubstr("this source has none"));
  EXPECT_THAT(Outbox(), ElementsAre("failed put visits/1 conflict"));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, TheCallbackIsToldBothSides) {
  std::vector<std::string> told;
  ByCallback([&](const Conflict& conflict) -> ConflictResolution {
    std::string text = std::string(conflict.device) + " " + std::string(conflict.entity) + "/" +
                       conflict.id.text() + " ";
    text += conflict.current ? std::string(conflict.current->bytes) : "gone";
    text += conflict.version > conflict.base ? " later " : " other ";
    told.push_back(text + (conflict.pushed ? std::string(conflict.pushed->bytes) : "deleted"));
    return {};
  });
  for (const char* id : {"1", "2", "3"}) There(id, R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  There("1", R"({"a":3})");
  DeleteHere("2");
  There("2", R"({"a":4})");
  Here("3", R"({"a":5})");
  DeleteThere("3");
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 3U);
  EXPECT_THAT(told,
              ElementsAre(R"(tablet visits/1 {"a":3} later {"a":2})",
                          R"(tablet visits/2 {"a":4} later deleted)",
                          R"(tablet visits/3 gone other {"a":5})"));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, TheCallbackIsNotAskedWhereThereIsNoConflict) {
  int calls = 0;
  ByCallback([&](const Conflict&) -> ConflictResolution {
    ++calls;
    return {};
  });
  There("1", R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  Here("1", R"({"a":3})");
  Here("2", R"({"a":3})");
  There("3", R"({"a":3})");
  Here("3", R"({"a":3})");  // and by chance the same
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 4U);
  EXPECT_EQ(calls, 0);
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, TheCallbackTakesWhatWasPushed) {
  ByCallback(
      [](const Conflict&) { return ConflictResolution{.choice = ConflictChoice::kTakePushed}; });
  for (const char* id : {"1", "2", "3"}) There(id, R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  There("1", R"({"a":3})");
  DeleteHere("2");
  There("2", R"({"a":4})");
  Here("3", R"({"a":5})");
  DeleteThere("3");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 3U);
  EXPECT_EQ(AtSource("1"), R"({"a":2})");
  EXPECT_FALSE(Live().contains("visits/2"));
  EXPECT_EQ(AtSource("3"), R"({"a":5})");
  EXPECT_THAT(Lost(), ElementsAre(HasSubstr(R"({"a":3})"), HasSubstr(R"({"a":4})")));
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_EQ(Held(), Live());
}

TEST_F(PushConflictsTest, TheCallbackMakesAValueOfItsOwn) {
  ByCallback([](const Conflict&) { return Merged(R"({ "made" : true })"); });
  for (const char* id : {"1", "2", "3"}) There(id, R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  Here("1", R"({"a":22})");  // asked again: it does not know what became of the first
  There("1", R"({"a":3})");
  DeleteHere("2");
  There("2", R"({"a":4})");
  Here("3", R"({"a":5})");
  DeleteThere("3");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 4U);
  for (const char* id : {"1", "2", "3"}) EXPECT_EQ(AtSource(id), R"({"made":true})");
  EXPECT_THAT(Lost(), SizeIs(2));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, WhatTheCallbackDoesWrongRefusesThatOperationAlone) {
  const std::map<std::string, std::function<ConflictResolution()>> wrongs = {
      {"throws",
       []() -> ConflictResolution {
         throw std::runtime_error("no \xff idea\n");
       }},
      {"throws what is none",
       []() -> ConflictResolution {
         throw 7;
       }},  // NOLINT
      {"no json",
       [] {
         return Merged("{");
       }},
      {"too deep",
       [] {
         return Merged(std::string(kJsonDepthMax + 1, '[') + std::string(kJsonDepthMax + 1, ']'));
       }},
      {"too large",
       [] {
         return Merged("\"" + std::string(kValueBytesMax, 'x') + "\"");
       }},
      {"against the schema",
       [] {
         return Merged(R"({"a":"text"})");
       }},
      {"no object",
       [] {
         return Merged("[]");
       }},
      {"a kind that is none",
       [] {
         return ConflictResolution{
             .choice = ConflictChoice::kTakeMerged, .kind = ValueKind::kReference, .value = "x"};
       }},
      {"a choice that is none",
       [] {
         return ConflictResolution{.choice = static_cast<ConflictChoice>(9)};
       }},
  };
  ByCallback([&](const Conflict& conflict) { return wrongs.at(conflict.id.text())(); });
  EntityDeclaration declaration;
  declaration.conflicts = ConflictPolicy::kCallback;
  declaration.fields = {{.name = "a", .type = FieldType::kInteger}};
  Declare(declaration);
  for (const auto& [id, wrong] : wrongs) There(id, R"({"a":1})");
  Pull();
  for (const auto& [id, wrong] : wrongs) Here(id, R"({"a":2})");
  Here("neighbour", R"({"a":2})");
  for (const auto& [id, wrong] : wrongs) There(id, R"({"a":3})");
  LossyTransport transport(*source_);
  const auto answers = PushRaw(&transport);
  ASSERT_THAT(answers, SizeIs(wrongs.size() + 1));
  for (size_t i = 0; i < wrongs.size(); ++i) {
    EXPECT_EQ(answers[i].outcome, PushOutcome::kConflict) << i;
    EXPECT_EQ(answers[i].code, "resolver_failed") << answers[i].message;
  }
  EXPECT_EQ(answers.back().outcome, PushOutcome::kDuplicate);
  EXPECT_THAT(Lost(), IsEmpty());
  for (const auto& [id, wrong] : wrongs) EXPECT_EQ(AtSource(id), R"({"a":3})") << id;
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, ARecordThatChangesWhileTheCallbackThinksIsDecidedAgain) {
  int calls = 0;
  ByCallback([&](const Conflict& conflict) {
    if (++calls == 1) There("1", R"({"a":4})");
    return Merged(R"({"was":)" + std::string(conflict.current->bytes) + "}");
  });
  There("1", R"({"a":1})");
  Pull();
  Here("1", R"({"a":2})");
  There("1", R"({"a":3})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(AtSource("1"), R"({"was":{"a":4}})");
  EXPECT_THAT(Lost(), ElementsAre(HasSubstr(R"("data":{"a":4})")));
  ExpectEqualAfterPull();
}

TEST_F(PushConflictsTest, BytesGoToTheCallbackAndComeFromIt) {
  ByCallback([](const Conflict& conflict) {
    EXPECT_EQ(conflict.current->kind, ValueKind::kBytes);
    return ConflictResolution{
        .choice = ConflictChoice::kTakeMerged,
        .kind = ValueKind::kBytes,
        .value = std::string(conflict.current->bytes) + "+" + std::string(conflict.pushed->bytes)};
  });
  Put("visits", "1", "base");
  Pull();
  WriteHere("1", "mine");
  Put("visits", "1", "theirs");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), "theirs+mine");
  ExpectEqualAfterPull();
}

// By time.

TEST_F(PushConflictsTest, AVersionThatANewerTimestampReplacesUnseenIsKept) {
  const auto timed = [](std::string_view value, int64_t time) {
    return WriteBatch().Put(
        "visits", "1", value, ValueKind::kBytes, WriteCondition{.if_newer = time});
  };
  ASSERT_OK(store_->Commit(timed("base", 100)));
  Pull();
  ASSERT_OK(tablet_.replica->Write(timed("mine", 300)));
  ASSERT_OK(store_->Commit(timed("theirs", 200)));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(AtSource("1"), "mine");
  ASSERT_THAT(Lost(), SizeIs(1));
  EXPECT_TRUE(Pull().nothing_owed);
  ASSERT_OK(tablet_.replica->Write(timed("mine too", 400)));
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
  EXPECT_THAT(Lost(), SizeIs(1)) << "nobody else wrote in between";
}

}  // namespace
}  // namespace tidemark
