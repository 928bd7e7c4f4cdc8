// Sixteen writers, readers and waiters at once. Run under the thread sanitizer, too.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

using test::StoreTest;
using ::testing::IsEmpty;

constexpr int kThreads = 16;

template <typename Work>
void OnThreads(int count, const Work& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

TEST_F(StoreTest, SixteenWritersCountTogether) {
  Open({.window_records = 32});
  ASSERT_OK(Put("counters", "c", "0"));
  constexpr int kEach = 6;
  std::atomic<int> refused = 0;
  OnThreads(kThreads, [&](int writer) {
    for (int done = 0; done < kEach;) {
      const auto seen = store_->Get("counters", "c");
      ASSERT_OK(seen);
      ASSERT_TRUE(seen->has_value()) << "a record that is always there";
      const std::string next = std::to_string(std::stoi((*seen)->value) + 1);
      const auto result = store_->Commit(
          WriteBatch()
              .Put("counters", "c", next, ValueKind::kBytes, {.if_version = (*seen)->version})
              .Put("own" + std::to_string(writer), done, next),
          {.sync = done % 4 == 0});
      if (result.ok()) {
        ++done;
      } else {
        ASSERT_THAT(result, test::StatusIs(ErrorCode::kConditionFailed));
        ++refused;
      }
    }
  });
  EXPECT_EQ(Value("counters", "c"), std::to_string(kThreads * kEach));
  EXPECT_EQ(store_->last_sequence().value(), 1U + 2 * kThreads * kEach);
  EXPECT_LE(store_->Statistics().commit_groups, store_->Statistics().commits + kThreads);
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
  Reopen();
  EXPECT_EQ(Value("counters", "c"), std::to_string(kThreads * kEach));
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
}

// Two records change together; a view never shows one without the other, whatever is folded.
TEST_F(StoreTest, AViewIsOnePicture) {
  Open({.window_records = 8});
  ASSERT_OK(store_->Commit(WriteBatch().Put("a", "x", "0").Put("b", "y", "0")));
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 1; i <= 400; ++i) {
      const std::string value = std::to_string(i);
      WriteBatch batch;
      batch.Put("a", "x", value).Put("a", i % 20, value).Put("b", "y", value);
      ASSERT_OK(store_->Commit(batch, {.sync = false}));
    }
    stop = true;
  });
  OnThreads(3, [&](int /*reader*/) {
    int last = 0;
    while (!stop) {
      const View view = store_->GetView();
      const auto x = view.Get("a", "x");
      const auto y = view.Get("b", "y");
      ASSERT_OK(x);
      ASSERT_OK(y);
      ASSERT_EQ((*x)->value, (*y)->value);
      ASSERT_GE(std::stoi((*x)->value), last);
      last = std::stoi((*x)->value);
      RecordIterator records = view.Scan("a", "x");
      ASSERT_TRUE(records.Next());
      ASSERT_EQ(records.value(), (*x)->value);
    }
  });
  writer.join();
  EXPECT_GT(store_->Statistics().folds, 0U);
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
}

// Every waiter is told of every commit it waits for: nothing here ends by a timeout.
TEST_F(StoreTest, NoWakeUpIsLost) {
  Open();
  constexpr int kCommits = 300;
  std::thread writer([&] {
    for (int i = 0; i < kCommits; ++i) {
      ASSERT_OK(store_->Commit(WriteBatch().Put("a", "x", std::to_string(i)), {.sync = false}));
    }
  });
  OnThreads(4, [&](int /*waiter*/) {
    SequenceNumber seen;
    while (seen < SequenceNumber(kCommits)) {
      ASSERT_TRUE(store_->WaitForCommit(seen, std::chrono::seconds(20)));
      seen = store_->last_sequence();
    }
  });
  writer.join();
  EXPECT_FALSE(store_->WaitForCommit(store_->last_sequence(), std::chrono::milliseconds(1)));
}

TEST_F(StoreTest, OneOperationIdOnSixteenThreadsIsOneWrite) {
  Open();
  std::atomic<int> firsts = 0;
  OnThreads(kThreads, [&](int /*writer*/) {
    const auto result =
        store_->Commit(WriteBatch().Append("events", "x").SetOperationId("only once"));
    ASSERT_OK(result);
    if (!result->replayed) ++firsts;
  });
  EXPECT_EQ(firsts, 1);
  EXPECT_EQ(store_->FindEntity("events")->record_count, 1U);
}

TEST_F(StoreTest, DropAndWritersLeaveNothingBehind) {
  Open({.window_records = 16});
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      ASSERT_OK(
          store_->Commit(WriteBatch().Put("users", i % 30, std::to_string(i)), {.sync = false}));
    }
  });
  for (int i = 0; i < 5; ++i) {
    while (!store_->FindEntity("users").has_value()) std::this_thread::yield();
    ASSERT_OK(store_->Drop("users"));
  }
  stop = true;
  writer.join();
  for (const EntityInfo& info : store_->ListEntities(/*dropped=*/true)) {
    const auto named = store_->FindEntity(info.name);
    const bool dropped = !named.has_value() || named->number != info.number;
    EXPECT_TRUE(!dropped || info.record_count == 0) << info.name;
  }
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
}

}  // namespace
}  // namespace tidemark
