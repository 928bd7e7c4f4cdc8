// What members may report, and what becomes of reports that end early, late or not at all.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/record.h"
#include "replication/sync_tracker.h"
#include "tests/replication/source_fixture.h"
#include "tests/replication/sync_tracker_fixture.h"

namespace tidemark {
namespace {

using test::StatusIs;
using ::testing::HasSubstr;
using SyncReportsTest = test::SyncTrackerTest;

TEST_F(SyncReportsTest, AMemberThatBeginsAnewInterruptsWhatItLeavesOut) {
  ASSERT_OK(tracker_->StartScope("s", {"crm"}));
  const auto first = Begin("crm", {{"a", "", ""}, {"b", "", ""}, {"c", "", ""}});
  ASSERT_OK(first->Succeed("c"));
  const auto second = Begin("crm", {{"a", "", ""}});
  EXPECT_EQ(StateOf("crm:a"), SyncState::kSyncing);
  EXPECT_EQ(StateOf("crm:b"), SyncState::kInterrupted);
  EXPECT_EQ(StateOf("crm:c"), SyncState::kSynced);
  EXPECT_THAT(tracker_->FindStatus("crm:b")->error, HasSubstr("began anew"));
  ASSERT_OK(second->Finish());
  EXPECT_EQ(Scope("s").state, SyncState::kSynced) << "the latest run counts";
  ASSERT_OK(tracker_->Close());
  const auto rows = ReadSyncStatuses(*store_, /*owned=*/true);
  ASSERT_OK(rows);
  for (const SyncStatus& row : *rows) EXPECT_NE(row.state, SyncState::kSyncing) << row.id;
}

TEST_F(SyncReportsTest, CountsHaveABound) {
  const auto operation = Begin("m", {{"a", "", ""}});
  ASSERT_OK(operation->Progress("a", kSyncCountMax, kSyncCountMax));
  for (const auto& [records, bytes] : std::vector<std::pair<uint64_t, uint64_t>>{
           {kSyncCountMax + 1, 0}, {0, kSyncCountMax + 1}, {UINT64_MAX, UINT64_MAX}}) {
    EXPECT_THAT(operation->Progress("a", records, bytes), StatusIs(ErrorCode::kTooLarge));
  }
  EXPECT_EQ(tracker_->FindStatus("m:a")->records, kSyncCountMax);
  ASSERT_OK(operation->Finish());
  Reopen();
  ASSERT_NE(tracker_, nullptr);
  EXPECT_EQ(tracker_->FindStatus("m:a")->bytes, kSyncCountMax);
}

TEST_F(SyncReportsTest, ProgressTakesNoTimeAndComesBeforeTheOutcome) {
  const auto operation = Begin("m", {{"a", "", ""}, {"b", "", ""}});
  const int64_t begun = tracker_->FindStatus("m:a")->timestamp;
  for (uint64_t i = 1; i <= 5000; ++i) ASSERT_OK(operation->Progress("a", i, i));
  EXPECT_EQ(tracker_->FindStatus("m:a")->timestamp, begun);
  ASSERT_OK(operation->Succeed("a"));
  const int64_t wall = store_->runtime().clock().WallMilliseconds();
  EXPECT_GT(tracker_->FindStatus("m:a")->timestamp, begun);
  EXPECT_LT(tracker_->FindStatus("m:a")->timestamp, wall + 100);
  EXPECT_THAT(operation->Progress("a", 1, 1), StatusIs(ErrorCode::kConflict));
  EXPECT_EQ(tracker_->FindStatus("m:a")->records, 5000U);
}

TEST_F(SyncReportsTest, NoTwoSyncsShareARow) {
  ASSERT_OK(Begin("x:y", {{"z", "", ""}})->Finish(Status(ErrorCode::kIoError, "bad")));
  ASSERT_OK(Begin("x", {{"y:z", "", ""}})->Finish());
  ASSERT_OK(Begin("x\\", {{"y:z", "", ""}})->Finish());
  ASSERT_OK(Begin("x\\:y", {{"z", "", ""}})->Finish());
  EXPECT_EQ(tracker_->ListStatuses().size(), 4U);
  EXPECT_EQ(StateOf("x\\:y:z"), SyncState::kFailed);
  EXPECT_EQ(StateOf("x:y:z"), SyncState::kSynced);
  EXPECT_EQ(StateOf("x\\\\:y:z"), SyncState::kSynced);
  EXPECT_EQ(StateOf("x\\\\\\:y:z"), SyncState::kSynced);
  const std::string longest(kSyncNameBytesMax, ':');
  ASSERT_OK(Begin(longest, {{longest, "", ""}})->Finish()) << "the longest id is one of a record";
  ASSERT_OK(tracker_->StartScope("s", {"x:y"}));
  ASSERT_OK(Begin("x:y", {{"z", "", ""}})->Finish());
  Reopen();
  EXPECT_EQ(Scope("s").members.at(0).entities.at(0).id, "x\\:y:z");
}

TEST_F(SyncReportsTest, AStatusThatIsSyncingIsNotDeleted) {
  const auto operation = Begin("m", {{"a", "", ""}, {"b", "", ""}});
  EXPECT_THAT(tracker_->DeleteStatus("m:a"), StatusIs(ErrorCode::kConflict));
  EXPECT_EQ(StateOf("m:a"), SyncState::kSyncing);
  ASSERT_OK(operation->Succeed("a"));
  EXPECT_TRUE(*tracker_->DeleteStatus("m:a"));
  ASSERT_OK(operation->Finish());
  EXPECT_FALSE(tracker_->FindStatus("m:a").has_value()) << "it does not come back";
}

TEST_F(SyncReportsTest, TheLargestScopeThatMayBeginCanEnd) {
  const auto quoted = [](size_t bytes, size_t number) {
    const std::string digits = std::to_string(number);
    return std::string(bytes - digits.size(), '"') + digits;
  };
  std::vector<std::string> members;
  for (size_t i = 0; i < kScopeMembersMax; ++i) {
    members.push_back(quoted(kSyncNameBytesMax, i));
  }
  const std::string scope = quoted(kSyncNameBytesMax, 0);
  ASSERT_OK(tracker_->StartScope(scope, members));
  const std::string name(kSyncNameBytesMax, '"');
  constexpr size_t kLarge = 4;  // members that have all the entities
  for (const std::string& error : {std::string(1000, '"'), std::string(1000, '\x01')}) {
    const Status failed(ErrorCode::kUnavailable, error);
    for (size_t i = kLarge; i < members.size(); ++i) {
      ASSERT_OK(Begin(members[i], {})->Finish(failed));
    }
    std::vector<std::unique_ptr<SyncOperation>> operations;
    for (size_t member = 0; member < kLarge; ++member) {
      std::vector<SyncTarget> targets;
      for (size_t i = 0; i < kScopeTargetsMax / kLarge; ++i) {
        targets.push_back({quoted(kSyncNameBytesMax, i), name, name});
      }
      operations.push_back(Begin(members[member], targets));
      ASSERT_OK(operations.back()->Progress(targets[0].entity, kSyncCountMax, kSyncCountMax));
    }
    for (const auto& operation : operations) ASSERT_OK(operation->Finish(failed));
    EXPECT_EQ(Scope(scope).state, SyncState::kFailed);
    EXPECT_LT(SyncScopeToJson(Scope(scope)).size(), kLocalValueBytesMax * 9 / 10);
    ASSERT_OK(tracker_->StartScope(scope, members));
  }
}

TEST_F(SyncReportsTest, AScopeInWhichNothingHappensIsInterrupted) {
  const auto clock = std::make_shared<test::ManualClock>();
  RuntimeOptions options{.block_cache_bytes = 4 << 20, .background_threads = 1};
  options.clock = clock;
  const test::TempDirectory directory;
  auto store = Store::Open(directory.path(), {}, *Runtime::Create(options));
  ASSERT_OK(store);
  auto opened = SyncTracker::Open(**store);
  ASSERT_OK(opened);
  SyncTracker& tracker = **opened;
  const auto state = [&] {
    return tracker.FindScope("s")->state;
  };
  constexpr std::chrono::seconds kIdle(900);
  const auto pass = [&](std::chrono::seconds time) {
    clock->Advance(time);
    EXPECT_OK(tracker.InterruptIdleScopes(kIdle));
  };
  constexpr std::chrono::seconds kSecond(1);

  ASSERT_OK(tracker.StartScope("s", {"a", "b"}));
  pass(kIdle - kSecond);
  EXPECT_EQ(state(), SyncState::kSyncing);
  pass(kSecond);
  EXPECT_EQ(state(), SyncState::kInterrupted) << "no member ever began";
  EXPECT_EQ(tracker.FindScope("s")->not_started, 2U);

  ASSERT_OK(tracker.StartScopeIfIdle("s", {"a", "b"}));
  pass(kIdle - kSecond);
  auto operation = *tracker.Begin("a", {{.entity = "x"}});
  pass(10 * kIdle);
  EXPECT_EQ(state(), SyncState::kSyncing) << "a member is at work, however long";
  operation.reset();
  pass(kIdle - kSecond);
  EXPECT_THAT(tracker.StartScopeIfIdle("s", {"a", "b"}), StatusIs(ErrorCode::kConflict));
  pass(kSecond);
  EXPECT_EQ(state(), SyncState::kInterrupted) << "its other member never came";
  EXPECT_OK(tracker.StartScopeIfIdle("s", {"a", "b"}));
}

TEST_F(SyncReportsTest, TimesDoNotGoBackWhenTheClockDoes) {
  const auto clock = std::make_shared<test::ManualClock>();
  RuntimeOptions options{.block_cache_bytes = 4 << 20, .background_threads = 1};
  options.clock = clock;
  const auto runtime = *Runtime::Create(options);
  const test::TempDirectory directory;
  for (const int64_t wall : {2'000'000'000'000, 1'000'000'000'000}) {
    clock->SetWall(wall);
    auto store = Store::Open(directory.path(), {}, runtime);
    ASSERT_OK(store);
    auto tracker = SyncTracker::Open(**store);
    ASSERT_OK(tracker);
    ASSERT_OK((*(*tracker)->Begin("m", {{.entity = "x"}}))->Finish());
    ASSERT_TRUE(*(*tracker)->DeleteStatus("m:x"));  // no row remembers the time
    RecordIterator history = (*store)->GetView().Scan(kSyncTransitionEntity, ScanOptions{});
    std::vector<SequenceNumber> versions;
    while (history.Next()) versions.push_back(history.record().version);
    EXPECT_TRUE(std::is_sorted(versions.begin(), versions.end())) << "in the order of their ids";
  }
}

}  // namespace
}  // namespace tidemark
