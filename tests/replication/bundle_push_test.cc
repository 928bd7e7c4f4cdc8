// Bundles to a source and back: a device's own writes and acknowledgements by files.
#include <filesystem>
#include <map>
#include <string>

#include "tests/replication/bundle_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

using test::BundleTest;
using test::ReadFile;
using test::StatusIs;
using test::Tablet;
using test::WriteFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

uint64_t CountOf(const BundleTaken& taken, PushOutcome outcome) {
  return taken.counts[static_cast<size_t>(outcome)];
}

TEST_F(BundleTest, WritesArriveByFilesAndAreNotEchoed) {
  Put("visits", "1", "a");
  SyncByFiles();
  WriteHere("1", "b");
  WriteHere("2", "new");
  EXPECT_EQ(PackHere("up").totals.operations, 2U);
  const BundleTaken taken = ApplyAtSource("up", "answers");
  EXPECT_EQ(CountOf(taken, PushOutcome::kApplied), 2U);
  EXPECT_EQ(Live(), Held());
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/1", "pending put visits/2"));
  EXPECT_EQ(ApplyHere("answers").push.count(PushOutcome::kApplied), 2U);
  EXPECT_THAT(Outbox(), IsEmpty());
  EXPECT_TRUE(PackAtSource("down").nothing) << "the device's own writes would come back to it";
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, EachOperationIsAnsweredByItself) {
  EntityDeclaration member;
  member.references = {{.field = "household", .entity = "household"}};
  member.reference_policy = ReferencePolicy::kStrict;
  ASSERT_OK(store_->Declare("member", member));
  Put("visits", "1", "a");
  SyncByFiles();
  WriteHere("1", "mine");
  Put("visits", "1", "theirs");
  WriteHere("2", "new");
  ASSERT_OK(tablet_.replica->Write(
      WriteBatch().Put("member", "m", R"({"household":"h"})", ValueKind::kJson)));
  PackHere("up");
  const BundleTaken taken = ApplyAtSource("up", "answers");
  EXPECT_EQ(CountOf(taken, PushOutcome::kConflict), 1U);
  EXPECT_EQ(CountOf(taken, PushOutcome::kApplied), 1U);
  EXPECT_EQ(CountOf(taken, PushOutcome::kParentMissing), 1U);
  ApplyHere("answers");
  EXPECT_THAT(Outbox(),
              ElementsAre("failed put visits/1 conflict", "pending put member/m reference"));
  SyncByFiles();
  EXPECT_EQ(Held()["visits/1"], "theirs");
  Put("household", "h", "here");
  SyncByFiles();
  EXPECT_EQ(Live()["member/m"], R"({"household":"h"})");
}

TEST_F(BundleTest, TwiceAtTheSourceTheyAreDuplicates) {
  WriteHere("1", "a");
  WriteHere("2", "b");
  PackHere("up");
  ApplyAtSource("up");  // the answers were not even asked for
  const SequenceNumber last = store_->last_sequence();
  EXPECT_EQ(CountOf(ApplyAtSource("up", "answers"), PushOutcome::kDuplicate), 2U);
  EXPECT_EQ(store_->last_sequence(), last);
  EXPECT_EQ(ApplyHere("answers").push.count(PushOutcome::kDuplicate), 2U);
  EXPECT_EQ(ApplyHere("answers").push.count(PushOutcome::kDuplicate), 0U) << "taken already";
  EXPECT_EQ(Live(), Held());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, AnswersThatAreLostAreAskedForOnline) {
  Put("visits", "1", "a");
  SyncByFiles();
  WriteHere("1", "b");
  PackHere("up");
  ApplyAtSource("up", "lost");
  WriteHere("1", "c");
  const PushTotals totals = Push();
  EXPECT_EQ(totals.count(PushOutcome::kDuplicate), 1U);
  EXPECT_EQ(totals.count(PushOutcome::kApplied), 1U);
  EXPECT_EQ(ApplyHere("lost").push.count(PushOutcome::kApplied), 0U);
  EXPECT_EQ(Live(), Held());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, PushesOfOneBundleBuildOnEachOther) {
  // A record is written in the first push and the last, and in between are more than a push holds.
  WriteHere("first", "1");
  WriteBatch many;
  for (size_t i = 0; i < 2 * kPushOperationsMax; ++i) {
    many.Put("visits", RecordId(static_cast<int64_t>(i)), "v");
  }
  ASSERT_OK(tablet_.replica->Write(many));
  WriteHere("first", "2");
  DeleteHere("5");
  EXPECT_EQ(PackHere("up").totals.pushes, 3U);
  const BundleTaken taken = ApplyAtSource("up", "answers");
  EXPECT_EQ(CountOf(taken, PushOutcome::kApplied), 2 * kPushOperationsMax + 3);
  EXPECT_EQ(CountOf(ApplyAtSource("up", "answers"), PushOutcome::kDuplicate),
            2 * kPushOperationsMax + 3)
      << "no answer is forgotten before the device has it";
  ApplyHere("answers");
  EXPECT_THAT(Outbox(), IsEmpty());
  EXPECT_EQ(Live(), Held());
  EXPECT_EQ(Live()["visits/first"], "2");
  EXPECT_TRUE(PackAtSource("down").nothing);
}

TEST_F(BundleTest, WhatBuildsOnARefusedOperationOfAnEarlierPushIsNotApplied) {
  EntityDeclaration member;
  member.references = {{.field = "household", .entity = "household"}};
  member.reference_policy = ReferencePolicy::kStrict;
  ASSERT_OK(store_->Declare("member", member));
  ASSERT_OK(tablet_.replica->Write(
      WriteBatch().Put("member", "m", R"({"household":"h"})", ValueKind::kJson)));
  WriteBatch many;
  for (size_t i = 0; i < kPushOperationsMax; ++i) {
    many.Put("visits", RecordId(static_cast<int64_t>(i)), "v");
  }
  ASSERT_OK(tablet_.replica->Write(many));
  ASSERT_OK(
      tablet_.replica->Write(WriteBatch().Put("member", "m", R"({"free":1})", ValueKind::kJson)));
  PackHere("up");
  const BundleTaken taken = ApplyAtSource("up", "answers");
  EXPECT_EQ(CountOf(taken, PushOutcome::kParentMissing), 1U);
  EXPECT_EQ(CountOf(taken, PushOutcome::kSkipped), 1U) << "it waits behind the one before it";
  ApplyHere("answers");
  Put("household", "h", "here");
  SyncByFiles();
  EXPECT_EQ(Live()["member/m"], R"({"free":1})");
  EXPECT_EQ(Live(), Held());
}

TEST_F(BundleTest, OperationsOfABundleAreBounded) {
  WriteBatch many;
  for (size_t i = 0; i < kBundleOperationsMax; ++i) {
    many.Put("visits", RecordId(static_cast<int64_t>(i)), "v");
  }
  ASSERT_OK(tablet_.replica->Write(many));
  EXPECT_EQ(PackHere("up").left, 0U);
  WriteHere("more", "v");
  const BundlePacked packed = PackHere("up");
  EXPECT_EQ(packed.totals.operations, kBundleOperationsMax);
  EXPECT_EQ(packed.left, 1U);
  SyncByFiles();
  SyncByFiles();
  EXPECT_THAT(Outbox(), IsEmpty());
  EXPECT_EQ(Live(), Held());
}

TEST_F(BundleTest, AnOlderOneOfADeviceIsRefusedOrHarmless) {
  WriteHere("1", "a");
  PackHere("older");
  SyncByFiles();
  WriteHere("1", "b");
  SyncByFiles();
  WriteHere("1", "c");
  PackHere("newest");
  ApplyAtSource("newest", "answers");
  ApplyHere("answers");
  const SequenceNumber last = store_->last_sequence();
  EXPECT_THAT(source_->ApplyBundle(File("older")).status(),
              StatusIs(ErrorCode::kStalePage, HasSubstr("frame 2")));
  EXPECT_EQ(store_->last_sequence(), last);
  EXPECT_EQ(Live()["visits/1"], "c");
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, WhatWasPackedBeforeAnAnswerDoesNotUndoIt) {
  Put("visits", "1", "a");
  Put("visits", "2", "a");
  SyncByFiles();
  Put("visits", "1", "b");
  PackAtSource("before");
  DeleteHere("1");
  WriteHere("2", "mine");
  PackHere("up");
  ApplyAtSource("up", "answers");
  ApplyHere("answers");  // one operation met a version that it did not know
  ExpectRefusedHere("before", StatusIs(ErrorCode::kStalePage, HasSubstr("pack another")));
  PackAtSource("after");
  ApplyHere("after");
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, WhatWasPackedBeforeMayComeBeforeTheAnswers) {
  Put("visits", "1", "a");
  Put("visits", "2", "a");
  SyncByFiles();
  Put("visits", "3", "b");
  DeleteHere("1");
  WriteHere("2", "mine");
  PackHere("up");
  PackAtSource("before");
  ApplyAtSource("up", "answers");
  ApplyHere("before");
  ApplyHere("answers");
  EXPECT_EQ(Held(), Live());
  PackHere("up");
  ApplyAtSource("up");
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, AnswersToAnOlderCopysOperationsAreNotTaken) {
  Put("visits", "1", "a");
  SyncByFiles();
  tablet_.replica.reset();
  const fs::path backup = File("backup");
  CopyStore(tablet_.path, backup);
  Open(&tablet_);
  WriteHere("2", "of the lost future");
  PackHere("up");
  ApplyAtSource("up", "answers");
  tablet_.replica.reset();
  CopyStore(backup, tablet_.path);
  Open(&tablet_);
  WriteHere("3", "of this one");
  PackHere("again");
  EXPECT_EQ(ApplyHere("answers").push.count(PushOutcome::kApplied), 0U);
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/3")) << "it has the same number";
  EXPECT_THAT(source_->ApplyBundle(File("again")).status(),
              StatusIs(ErrorCode::kIdempotencyMismatch));
  LocalTransport transport(*source_);
  EXPECT_OK(tablet_.replica->Sync(transport, {}, {.attempts = 2, .first_delay = {}}));
  EXPECT_EQ(Held(), Live());
  EXPECT_EQ(Live()["visits/3"], "of this one");
}

TEST_F(BundleTest, AnswersForAnotherReplicaAreRefused) {
  WriteHere("1", "a");
  PackHere("up");
  ApplyAtSource("up", "answers");
  WipeTablet();
  WriteHere("1", "b");
  PackHere("other");
  ExpectRefusedHere("answers", StatusIs(ErrorCode::kWrongDevice));
  EXPECT_THAT(Outbox(), ElementsAre("pending put visits/1"));
}

TEST_F(BundleTest, AnInterruptedApplyAtTheSourceIsGoneOnWith) {
  WriteBatch many;
  for (size_t i = 0; i < 2 * kPushOperationsMax; ++i) {
    many.Put("visits", RecordId(static_cast<int64_t>(i)), "v");
  }
  ASSERT_OK(tablet_.replica->Write(many));
  PackHere("up");
  const fs::path killed = File("killed");
  const auto taken =
      source_->ApplyBundle(File("up"), File("answers"), [&](uint64_t done, uint64_t) {
        if (done == kPushOperationsMax) CopyStore(path_, killed);
      });
  ASSERT_OK(taken);
  fs::remove(File("answers"));
  Close();
  CopyStore(killed, path_);
  SourceTest::Open();
  const BundleTaken again = ApplyAtSource("up", "answers");
  EXPECT_EQ(CountOf(again, PushOutcome::kDuplicate), kPushOperationsMax);
  EXPECT_EQ(CountOf(again, PushOutcome::kApplied), kPushOperationsMax);
  ApplyHere("answers");
  EXPECT_EQ(Held(), Live());
  EXPECT_THAT(Outbox(), IsEmpty());
}

TEST_F(BundleTest, OthersGetWhatCameByFiles) {
  Tablet other{.id = "other", .path = File("other"), .replica = nullptr};
  Open(&other);
  LocalTransport transport(*source_);
  WriteHere("1", "a");
  SyncByFiles();
  ASSERT_OK(other.replica->Pull(transport));
  EXPECT_EQ(HeldBy(other), Live());
}

}  // namespace
}  // namespace tidemark
