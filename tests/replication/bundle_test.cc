// Bundles: what a sync by files does is what a sync by a network does, whichever of them are lost,
// repeated, late, or somebody else's (contract 4 to 20, 34 to 37).
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/replication/bundle_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

using test::BundleTest;
using test::StatusIs;
using test::Tablet;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// To a device.

TEST_F(BundleTest, CarriesWhatAPullWouldBring) {
  Tablet online{.id = "online", .path = File("online"), .replica = nullptr};
  Open(&online);
  LocalTransport transport(*source_);
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 7; ++i) Put("users", std::to_string(i + round), std::to_string(round));
    Delete("users", std::to_string(round));
    ASSERT_OK(online.replica->Pull(transport));
    const BundlePacked packed = PackAtSource("down", {.page_records = 2});
    EXPECT_EQ(packed.totals.records, packed.header.pull->session.owed);
    EXPECT_EQ(packed.header.pull->complete, round == 0);
    const BundleApplied applied = ApplyHere("down");
    EXPECT_EQ(applied.pull.pages, packed.totals.pages);
    EXPECT_FALSE(applied.pull.reset);
    EXPECT_EQ(Held(), Live());
    EXPECT_EQ(Held(), HeldBy(online));
    PackHere("up");
    EXPECT_EQ(ApplyAtSource("up").acknowledged, packed.totals.records);
    EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
  }
  EXPECT_TRUE(PackAtSource("down").nothing);
  const BundlePacked again = PackHere("up");
  EXPECT_EQ(again.totals.keys, 4U) << "of the last bundle; the one before it said what arrived";
  EXPECT_EQ(ApplyAtSource("up").acknowledged, 0U);
}

TEST_F(BundleTest, ASeededDeviceGoesOnOnline) {
  for (int i = 0; i < 5; ++i) Put("visits", std::to_string(i), "a");
  PackAtSource("seed", {.page_records = 2});
  EXPECT_EQ(ApplyHere("seed").pull.created, 5U);
  Put("visits", "1", "b");
  Delete("visits", "2");
  WriteHere("9", "mine");
  Open(&tablet_);
  EXPECT_EQ(Push().count(PushOutcome::kApplied), 1U) << "before any start told who it is";
  const PullResult pulled = Pull();
  EXPECT_FALSE(pulled.reset);
  EXPECT_EQ(pulled.created, 0U);
  EXPECT_EQ(pulled.updated, 1U) << "the keys of the seed were sent first";
  EXPECT_EQ(pulled.deleted, 1U);
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, ADeviceThatWasOnlineGoesOnByFiles) {
  Put("visits", "1", "a");
  Pull();
  Put("visits", "1", "b");
  Put("visits", "2", "b");
  const BundlePacked packed = PackAtSource("down");
  EXPECT_FALSE(packed.header.pull->complete);
  const BundleApplied applied = ApplyHere("down");
  EXPECT_EQ(applied.pull.updated, 1U);
  EXPECT_EQ(applied.pull.created, 1U);
  EXPECT_EQ(Held(), Live());
}

TEST_F(BundleTest, ALostBundleCostsAResend) {
  Put("visits", "1", "a");
  Put("visits", "2", "a");
  PackAtSource("seed");
  ApplyHere("seed");
  PackHere("up");
  ApplyAtSource("up");
  Put("visits", "2", "b");
  Delete("visits", "1");
  Put("visits", "3", "a");
  PackAtSource("lost");
  Put("visits", "4", "a");
  PackAtSource("down");
  ApplyHere("down");
  EXPECT_EQ(Held(), Live());
  ExpectRefusedHere("lost", StatusIs(ErrorCode::kStalePage));
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, ASeedThatIsLostNeedsAnotherOne) {
  Put("visits", "1", "a");
  PackAtSource("lost");
  Put("visits", "2", "a");
  PackAtSource("down");
  ExpectRefusedHere("down", StatusIs(ErrorCode::kWrongDevice, HasSubstr("--fresh")));
  PackAtSource("down", {.fresh = true});
  ApplyHere("down");
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, AppliedAgainItChangesNothing) {
  for (int i = 0; i < 5; ++i) Put("visits", std::to_string(i), "a");
  PackAtSource("down", {.page_records = 2});
  ApplyHere("down");
  const SequenceNumber last = tablet_.replica->store().last_sequence();
  const BundleApplied again = ApplyHere("down");
  EXPECT_EQ(again.pull.unchanged, 5U);
  EXPECT_EQ(again.pull.created + again.pull.updated + again.pull.deleted, 0U);
  EXPECT_EQ(tablet_.replica->store().last_sequence(), last);
}

TEST_F(BundleTest, AnOlderOneIsRefused) {
  Put("visits", "1", "a");
  PackAtSource("first");
  ApplyHere("first");
  Delete("visits", "1");
  PackAtSource("second");
  ApplyHere("second");
  ExpectRefusedHere("first", StatusIs(ErrorCode::kStalePage));
  Put("visits", "2", "a");
  PackAtSource("third");
  Put("visits", "3", "a");
  Pull();
  ExpectRefusedHere("third", StatusIs(ErrorCode::kStalePage));
  EXPECT_EQ(Held(), Live());
}

TEST_F(BundleTest, GoesOnWhereItWasInterrupted) {
  for (int i = 0; i < 9; ++i) Put("visits", std::to_string(i), "a");
  PackAtSource("down", {.page_records = 2});
  const fs::path killed = File("killed");
  const auto applied =
      tablet_.replica->ApplyBundle(File("down"), [&](const PullProgress& progress) {
        if (progress.pages == 3) CopyStore(tablet_.path, killed);
      });
  ASSERT_OK(applied);
  tablet_.replica.reset();
  CopyStore(killed, tablet_.path);
  Open(&tablet_);
  EXPECT_EQ(Held().size(), 6U) << "a page is applied as a whole and durable";
  const BundleApplied rest = ApplyHere("down");
  EXPECT_EQ(rest.pull.unchanged, 6U);
  EXPECT_EQ(rest.pull.created, 3U);
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, OneThatWasInterruptedMayBeFollowedByAnother) {
  for (int i = 0; i < 9; ++i) Put("visits", std::to_string(i), "a");
  PackAtSource("down", {.page_records = 2});
  const fs::path killed = File("killed");
  ASSERT_OK(tablet_.replica->ApplyBundle(File("down"), [&](const PullProgress& progress) {
    if (progress.pages == 3) CopyStore(tablet_.path, killed);
  }));
  tablet_.replica.reset();
  CopyStore(killed, tablet_.path);
  Open(&tablet_);
  PackHere("up");
  EXPECT_EQ(ApplyAtSource("up").acknowledged, 6U);
  Delete("visits", "0");
  EXPECT_EQ(PackAtSource("next").totals.records, 4U);
  ApplyHere("next");
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(BundleTest, AResetByFilesDropsGhosts) {
  Put("visits", "1", "a");
  Put("visits", "2", "a");
  PackAtSource("down");
  ApplyHere("down");
  ASSERT_OK(source_->Reset("tablet"));
  Delete("visits", "1");
  PackAtSource("reset");
  const BundleApplied applied = ApplyHere("reset");
  EXPECT_TRUE(applied.pull.reset);
  EXPECT_EQ(applied.pull.deleted, 1U);
  EXPECT_EQ(Held(), Live());
}

TEST_F(BundleTest, AResetThatListsNothingIsToldUntilItArrives) {
  Put("visits", "1", "a");
  PackAtSource("down");
  ApplyHere("down");
  Delete("visits", "1");
  ASSERT_OK(source_->Reset("tablet"));
  EXPECT_EQ(PackAtSource("lost").totals.pages, 0U);
  PackAtSource("reset");
  EXPECT_EQ(ApplyHere("reset").pull.deleted, 1U);
  EXPECT_THAT(Held(), IsEmpty());
}

TEST_F(BundleTest, QueuesComeInTheOrderOfTheirImportance) {
  Put("visits", "1", "a");
  Put("urgent", "1", "a");
  QueueDeclaration queue;
  queue.name = "first";
  queue.parts = {.everything = false, .grants = {{.entity = "urgent"}}};
  ASSERT_OK(source_->DeclareQueue(queue));
  EXPECT_EQ(PackAtSource("down").totals.pages, 2U);
  std::vector<size_t> held;
  ASSERT_OK(tablet_.replica->ApplyBundle(
      File("down"), [&](const PullProgress&) { held.push_back(Held().count("urgent/1")); }));
  EXPECT_THAT(held, ElementsAre(1U, 1U));
  EXPECT_EQ(Held(), Live());
}

TEST_F(BundleTest, GapsAreToldByEveryBundleUntilTheDeviceIsOnline) {
  ASSERT_OK(store_->Declare("events", {.kind = EntityKind::kIncremental}));
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("0"), "x")));
  Pull();
  for (int i = 1; i < 4; ++i) {
    ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId(std::to_string(i)), "x")));
  }
  ASSERT_OK(source_->Trim("events", store_->last_sequence()));
  for (int i = 0; i < 2; ++i) {
    PackAtSource("down");
    const BundleApplied applied = ApplyHere("down");
    ASSERT_EQ(applied.pull.gaps.size(), 1U);
    EXPECT_EQ(applied.pull.gaps[0].entity, "events");
    EXPECT_EQ(applied.pull.gaps[0].count, 3U);
  }
  EXPECT_EQ(Pull().gaps.size(), 1U);
  EXPECT_TRUE(PackAtSource("down").nothing);
}

TEST_F(BundleTest, ASourceThatWasRewoundAndCountsTheSameSessionsIsNoticed) {
  Put("visits", "1", "a");
  PackAtSource("down");
  ApplyHere("down");
  PackHere("up");
  ApplyAtSource("up");
  Close();
  const fs::path copy = File("copy");
  CopyStore(path_, copy);
  SourceTest::Open();
  Put("visits", "2", "lost");
  PackAtSource("down");
  ApplyHere("down");
  Close();
  CopyStore(copy, path_);
  SourceTest::Open();
  Put("visits", "3", "a");
  PackAtSource("down");
  ExpectRefusedHere("down", StatusIs(ErrorCode::kWrongEpoch));
}

// Somebody else's.

TEST_F(BundleTest, OfAnotherDeviceStoreOrReplicaAreRefused) {
  Put("visits", "1", "a");
  ASSERT_OK(source_->PackBundle("other", File("other")));
  ExpectRefusedHere("other", StatusIs(ErrorCode::kWrongDevice, HasSubstr("other")));
  PackAtSource("down");
  EXPECT_THAT(source_->ApplyBundle(File("down")).status(),
              StatusIs(ErrorCode::kWrongDevice, HasSubstr("not one that a device packed")));
  ApplyHere("down");
  PackHere("up");
  ExpectRefusedHere("up", StatusIs(ErrorCode::kWrongDevice, HasSubstr("packed for its source")));

  auto foreign = Store::Open(File("foreign"), {}, runtime_);
  ASSERT_OK(foreign);
  ASSERT_OK((*foreign)->Commit(WriteBatch().Put("visits", "1", "b")));
  auto foreign_source = Source::Open(**foreign);
  ASSERT_OK(foreign_source);
  ASSERT_OK((*foreign_source)->PackBundle("tablet", File("foreign.bundle")));
  ExpectRefusedHere("foreign.bundle", StatusIs(ErrorCode::kWrongDevice, HasSubstr("store")));
  EXPECT_THAT((*foreign_source)->ApplyBundle(File("up")).status(),
              StatusIs(ErrorCode::kWrongDevice, HasSubstr("another store")));

  WipeTablet();
  Put("visits", "2", "a");
  PackAtSource("down");
  ExpectRefusedHere("down", StatusIs(ErrorCode::kWrongDevice, HasSubstr("another replica")));
}

TEST_F(BundleTest, AnOlderCopyOfTheReplicaIsNoticed) {
  Put("visits", "1", "a");
  Pull();
  tablet_.replica.reset();
  const fs::path backup = File("backup");
  CopyStore(tablet_.path, backup);
  Open(&tablet_);
  Put("visits", "2", "a");
  Pull();
  tablet_.replica.reset();
  CopyStore(backup, tablet_.path);
  Open(&tablet_);
  Put("visits", "3", "a");
  PackAtSource("down");
  ExpectRefusedHere("down", StatusIs(ErrorCode::kConflict, HasSubstr("older copy")));
  ASSERT_OK(source_->Reset("tablet"));
  PackAtSource("reset");
  ApplyHere("reset");
  EXPECT_EQ(Held(), Live());
}

TEST_F(BundleTest, AnOlderCopyThatLacksItsOwnWritesIsNoticed) {
  Put("visits", "1", "a");
  Pull();
  tablet_.replica.reset();
  const fs::path backup = File("backup");
  CopyStore(tablet_.path, backup);
  Open(&tablet_);
  WriteHere("2", "mine");
  Push();
  tablet_.replica.reset();
  CopyStore(backup, tablet_.path);
  Open(&tablet_);
  Put("visits", "3", "a");
  PackAtSource("down");
  ExpectRefusedHere("down", StatusIs(ErrorCode::kConflict, HasSubstr("older copy")));
}

TEST_F(BundleTest, OfAnotherHistoryIsRefusedUnlessItIsAReset) {
  Put("visits", "1", "a");
  PackAtSource("down");
  ApplyHere("down");
  PackHere("up");
  ApplyAtSource("up");
  Put("visits", "2", "a");
  PackAtSource("before");
  ASSERT_OK(store_->BeginEpoch("a test"));
  OpenSource();
  Put("visits", "3", "a");
  const BundlePacked after = PackAtSource("after");
  EXPECT_TRUE(after.header.pull->session.reset);
  ApplyHere("after");
  EXPECT_EQ(Held(), Live());
  ExpectRefusedHere("before", StatusIs(ErrorCode::kStalePage));
}

}  // namespace
}  // namespace tidemark
