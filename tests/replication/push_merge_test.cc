// Both sides changed one record, and the entity declares that the fields of both go (contract 36,
// decision B22).
#include <string>
#include <string_view>
#include <vector>

#include "tests/replication/push_conflicts_fixture.h"

namespace tidemark {
namespace {

using test::LossyTransport;
using test::PushConflictsTest;
using test::StatusIs;
using test::Tablet;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

TEST_F(PushConflictsTest, AnOperationThatWaitsWhenAMergeIsAnsweredLosesNothing) {
  ByField();
  There("1", R"({"a":0,"b":0,"c":0})");
  Pull();
  Here("1", R"({"a":1,"b":0,"c":0})");
  There("1", R"({"a":0,"b":0,"c":3})");
  LossyTransport transport(*source_);
  transport.meanwhile = [this] {
    Here("1", R"({"a":1,"b":2,"c":0})");
  };
  ASSERT_OK(tablet_.replica->Push(transport));
  EXPECT_THAT(Outbox(), SizeIs(1));
  EXPECT_EQ(AtDevice("1"), R"({"a":1,"b":2,"c":0})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U);
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

TEST_F(PushConflictsTest, WhatWasMergedAndDeletedBeforeItCameIsGone) {
  ByField();
  There("2", R"({"a":0,"b":0})");
  Pull();
  Here("1", R"({"a":1})");
  There("1", R"({"b":2})");
  Here("2", R"({"a":1,"b":0})");
  There("2", R"({"a":0,"b":2})");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 2U);
  DeleteThere("1");  // the device was never told of any version
  DeleteThere("2");
  EXPECT_EQ(Pull().deleted, 1U);
  EXPECT_THAT(Held(), IsEmpty());
  EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
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

// More than one commit holds.
TEST_F(PushConflictsTest, ManyLargeVersionsAreReplacedUnseen) {
  constexpr int kRecords = 70;
  const std::string large = R"({"text":")" + std::string(1'000'000, 'x') + R"(","n":)";
  ByField();
  for (int i = 0; i < kRecords; ++i) There(std::to_string(i), R"({"n":0})");
  Pull();
  for (int i = 0; i < kRecords; ++i) Here(std::to_string(i), R"({"n":0,"mine":1})");
  for (int i = 0; i < kRecords; ++i) There(std::to_string(i), large + std::to_string(i) + "}");
  EXPECT_EQ(Push().count(PushOutcome::kApplied), kRecords);
  ExpectEqualAfterPull();
  EXPECT_THAT(Lost(), SizeIs(kRecords));
}

}  // namespace
}  // namespace tidemark
