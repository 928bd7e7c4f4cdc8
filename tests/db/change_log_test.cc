// The change log: what is current at a cut, what a follower sees, what compaction may forget.
#include "db/change_log.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

using test::StoreTest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ChangeLogTest : public StoreTest {
 protected:
  static std::vector<std::string> Lines(LogCursor cursor) {
    std::vector<std::string> lines;
    while (cursor.Next()) {
      const LogEntry& entry = cursor.entry();
      lines.push_back(std::to_string(entry.head.value()) + (entry.live ? " " : " -") +
                      std::string(entry.id) +
                      (entry.value.empty() ? "" : "=" + std::string(entry.value)));
    }
    EXPECT_OK(cursor.status());
    return lines;
  }
  std::vector<std::string> Read(const std::shared_ptr<const Cut>& cut,
                                uint64_t after = 0,
                                bool live = true,
                                bool tombstones = true) {
    std::vector<LogRange> ranges;
    for (const EntityInfo& info : store_->ListEntities()) {
      ranges.push_back({info.number, SequenceNumber(after), live, tombstones});
    }
    return Lines(store_->ReadLog(cut, ranges));
  }
  std::shared_ptr<const Cut> Pin() {
    auto cut = store_->PinCut();
    EXPECT_OK(cut);
    return *cut;
  }
};

TEST_F(ChangeLogTest, ACutShowsWhatWasCurrentForAsLongAsItIsPinned) {
  Open({.window_records = 2});
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(Put("users", "b", "2"));
  const auto first = Expose();
  ASSERT_OK(Put("users", "a", "3"));
  ASSERT_OK(Delete("users", "b"));
  const auto second = Expose();
  ASSERT_OK(Put("users", "b", "5"));
  ASSERT_OK(Put("visits", "v", "6"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Read(first), ElementsAre("1 a=1", "2 b=2"));
    EXPECT_THAT(Read(second), ElementsAre("3 a=3", "4 -b"));
    EXPECT_THAT(Read(Pin()), ElementsAre("3 a=3", "5 b=5", "6 v=6"));
    EXPECT_THAT(Read(second, 0, false, true), ElementsAre("4 -b"));
    EXPECT_THAT(Read(second, 0, true, false), ElementsAre("3 a=3"));
    EXPECT_THAT(Read(Pin(), 5), ElementsAre("6 v=6"));
    ASSERT_OK(store_->Compact());
  }
}

TEST_F(ChangeLogTest, AReopenedLogIsTheSame) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  Expose();
  ASSERT_OK(Delete("users", "a"));
  ASSERT_OK(Put("users", "b", "2"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Read(Pin()), ElementsAre("2 -a", "3 b=2"));
    if (i == 1) {
      ASSERT_OK(store_->Compact());
    }
    Reopen();
  }
}

TEST_F(ChangeLogTest, WhatNobodySawLeavesNoTombstone) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(Delete("users", "a"));
  EXPECT_THAT(Read(Pin()), IsEmpty());
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 0U);
}

TEST_F(ChangeLogTest, EndedLivesAreKeptAcrossARebirth) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  Expose();
  ASSERT_OK(Delete("users", "a"));
  ASSERT_OK(Put("users", "a", "3"));
  ASSERT_OK(store_->Compact());
  Reopen();
  LogCursor cursor = store_->ReadLog(Pin(), {{.entity = store_->FindEntity("users")->number}});
  ASSERT_TRUE(cursor.Next());
  ASSERT_EQ(cursor.entry().ended.size(), 1U);
  EXPECT_EQ(cursor.entry().ended[0], (EndedStay{SequenceNumber(1), SequenceNumber(2)}));
  EXPECT_EQ(cursor.entry().birth, SequenceNumber(3));
}

TEST_F(ChangeLogTest, PurgedTombstonesAreGoneForGoodAfterAFold) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  Expose();
  ASSERT_OK(Delete("users", "a"));
  const EntityNumber users = store_->FindEntity("users")->number;
  EXPECT_TRUE(store_->IsCurrent(users, SequenceNumber(2)));
  ASSERT_OK(store_->PurgeTombstones(users, {SequenceNumber(2)}));
  ASSERT_OK(store_->Compact());
  Reopen();
  EXPECT_THAT(Read(Pin()), IsEmpty());
  EXPECT_EQ(store_->CountTombstones(users, kSequenceZero), 0U);
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
}

TEST_F(ChangeLogTest, AFollowerSeesDeletionsThatNoDeviceNeeds) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(Delete("users", "a"));
  ASSERT_OK(Put("users", "b", "3"));
  ASSERT_OK(Put("users", "b", "4"));
  EXPECT_THAT(Lines(store_->FollowLog(Pin(), kSequenceZero)), ElementsAre("2 -a", "4 b=4"));
  EXPECT_THAT(Lines(store_->FollowLog(Pin(), SequenceNumber(2))), ElementsAre("4 b=4"));
  EXPECT_THAT(Lines(store_->FollowLog(Pin(), SequenceNumber(4))), IsEmpty());
}

TEST_F(ChangeLogTest, TheLogDoesNotGrowWithTheNumberOfWrites) {
  Open({.window_records = 50});
  for (int i = 0; i < 600; ++i) {
    const std::string value(500, static_cast<char>('a' + i % 26));
    ASSERT_OK(store_->Commit(WriteBatch().Put("users", i % 10, value), {.sync = false}));
  }
  ASSERT_OK(store_->Compact());
  ASSERT_OK(store_->Compact());
  EXPECT_LT(store_->Statistics().disk_bytes, 40'000U);
  EXPECT_EQ(Read(Pin()).size(), 10U);
}

TEST_F(ChangeLogTest, ScansGoBothWaysFromAnywhere) {
  Open({.window_records = 3});
  for (const char* id : {"b", "a", "ab", "c", "abc", "d"}) ASSERT_OK(Put("users", id, id));
  ASSERT_OK(Delete("users", "c"));
  const auto ids = [&](const ScanOptions& options) {
    std::string text;
    for (const auto& [id, value] : test::ScanAll(store_->GetView(), "users", options)) {
      text += id + " ";
    }
    return text;
  };
  EXPECT_EQ(ids({}), "a ab abc b d ");
  EXPECT_EQ(ids({.reverse = true}), "d b abc ab a ");
  EXPECT_EQ(ids({.prefix = "ab"}), "ab abc ");
  EXPECT_EQ(ids({.prefix = "ab", .reverse = true}), "abc ab ");
  EXPECT_EQ(ids({.after = "ab"}), "abc b d ");
  EXPECT_EQ(ids({.after = "abc", .reverse = true}), "ab a ");
  EXPECT_EQ(ids({.prefix = "a", .after = "a", .limit = 1}), "ab ");
}

}  // namespace
}  // namespace tidemark
