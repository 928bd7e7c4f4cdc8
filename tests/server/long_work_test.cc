#include "server/long_work.h"

#include <atomic>
#include <future>
#include <thread>

#include <gtest/gtest.h>

namespace tidemark::server {
namespace {

TEST(LongWorkTest, SixteenPiecesRunAtOnceAndNotOneMore) {
  std::promise<void> end;
  const std::shared_future<void> ended = end.get_future().share();
  std::atomic<int> ran = 0;
  LongWork work;
  for (size_t i = 0; i < kLongWorkMax; ++i) {
    EXPECT_TRUE(work.Run([&ran, ended] {
      ended.wait();
      ++ran;
    }));
  }
  EXPECT_FALSE(work.Run([&ran] { ++ran; }));
  end.set_value();
  while (ran < static_cast<int>(kLongWorkMax)) std::this_thread::yield();
  EXPECT_EQ(ran, static_cast<int>(kLongWorkMax)) << "what was refused never runs";
  while (!work.Run([&ran] { ++ran; })) std::this_thread::yield();
}

}  // namespace
}  // namespace tidemark::server
