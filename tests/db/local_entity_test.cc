// Local entities: tables of the engine that no device, follower or user's write reaches.
#include <gtest/gtest.h>

#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

using test::OpenStore;
using test::TempDirectory;
using test::ValueOf;

const CommitOptions kLocal{.local = true};

TEST(LocalEntityTest, IsWrittenOnlyByTheEngine) {
  const TempDirectory directory;
  const auto store = OpenStore(directory.path());
  WriteBatch batch;
  batch.Put("_status", "a", "1");
  EXPECT_EQ(store->Commit(batch).status().code(), ErrorCode::kReserved);
  EXPECT_EQ(ValueOf(*store, "_status", "a"), "-");
  ASSERT_OK(store->Commit(batch, kLocal));
  EXPECT_EQ(ValueOf(*store, "_status", "a"), "1");
  EXPECT_EQ(store->Empty("_status").status().code(), ErrorCode::kReserved);
  EXPECT_EQ(store->Drop("_status").status().code(), ErrorCode::kReserved);
  EXPECT_EQ(store->Declare("_status", {}).status().code(), ErrorCode::kReserved);
  EXPECT_EQ(ValueOf(*store, "_status", "a"), "1");
}

TEST(LocalEntityTest, NamesAreChecked) {
  const TempDirectory directory;
  const auto store = OpenStore(directory.path());
  for (const char* name : {"_", "__a", "_a b", "_-a"}) {
    WriteBatch batch;
    batch.Put(name, "a", "1");
    EXPECT_EQ(store->Commit(batch, kLocal).status().code() == ErrorCode::kOk, false) << name;
  }
  WriteBatch longest;
  longest.Put("_" + std::string(kNameBytesMax - 1, 'n'), "a", "1");
  EXPECT_OK(store->Commit(longest, kLocal));
  WriteBatch longer;
  longer.Put("_" + std::string(kNameBytesMax, 'n'), "a", "1");
  EXPECT_FALSE(store->Commit(longer, kLocal).ok());
}

TEST(LocalEntityTest, IsInNoListAndNoFeed) {
  const TempDirectory directory;
  const auto store = OpenStore(directory.path());
  WriteBatch batch;
  batch.Put("_status", "a", "1").Put("visits", "v", "1").Append("_history", "e", "1");
  ASSERT_OK(store->Commit(batch, kLocal));
  ASSERT_EQ(store->ListEntities(/*dropped=*/true).size(), 1U);
  EXPECT_EQ(store->EntityNumbers().size(), 1U);
  const auto local = store->FindEntity("_status");
  ASSERT_TRUE(local.has_value());
  EXPECT_TRUE(IsLocal(local->number));

  const auto cut = store->PinCut();
  ASSERT_OK(cut);
  LogCursor followed = store->FollowLog(*cut, kSequenceZero);
  ASSERT_TRUE(followed.Next());
  EXPECT_EQ(followed.entry().id, "v");
  EXPECT_FALSE(followed.Next());
  EXPECT_OK(followed.status());
}

TEST(LocalEntityTest, DeletionsLeaveNoTombstone) {
  const TempDirectory directory;
  const auto store = OpenStore(directory.path());
  WriteBatch batch;
  batch.Put("_status", "a", "1").Put("visits", "a", "1");
  ASSERT_OK(store->Commit(batch, kLocal));
  const auto exposed = store->Commit(WriteBatch(), {.pin_cut = true, .local = true});
  ASSERT_OK(exposed);
  WriteBatch removal;
  removal.Delete("_status", "a").Delete("visits", "a");
  ASSERT_OK(store->Commit(removal, kLocal));
  EXPECT_EQ(store->CountTombstones(store->FindEntity("_status")->number, kSequenceZero), 0U);
  EXPECT_EQ(store->CountTombstones(store->FindEntity("visits")->number, kSequenceZero), 1U);
}

TEST(LocalEntityTest, SurvivesRestartAndFold) {
  const TempDirectory directory;
  {
    const auto store = OpenStore(directory.path());
    WriteBatch batch;
    batch.Put("_status", "a", "1").Append("_history", "e1", "1").Put("visits", "v", "1");
    ASSERT_OK(store->Commit(batch, kLocal));
    ASSERT_OK(store->Compact());
    WriteBatch more;
    more.Put("_status", "b", "2").Put("_other", "c", "3").Put("places", "p", "1");
    ASSERT_OK(store->Commit(more, kLocal));
  }
  const auto store = OpenStore(directory.path());
  EXPECT_EQ(ValueOf(*store, "_status", "a"), "1");
  EXPECT_EQ(ValueOf(*store, "_status", "b"), "2");
  EXPECT_EQ(ValueOf(*store, "_other", "c"), "3");
  EXPECT_EQ(ValueOf(*store, "_history", "e1"), "1");
  EXPECT_NE(store->FindEntity("_status")->number, store->FindEntity("_other")->number);
  EXPECT_EQ(store->ListEntities().size(), 2U);
  EXPECT_TRUE(test::Problems(*store).empty());
  ASSERT_OK(store->Trim("_history", store->last_sequence()));
  EXPECT_EQ(ValueOf(*store, "_history", "e1"), "-");
}

}  // namespace
}  // namespace tidemark
