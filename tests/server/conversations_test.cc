// Which of a device's starts is its newest, while several ask at once.
#include "server/conversations.h"

#include <atomic>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server {
namespace {

class ConversationsTest : public ::testing::Test {
 protected:
  ConversationsTest() {
    auto store = Store::Open(directory_.path());
    EXPECT_OK(store);
    store_ = std::move(*store);
    conversations_ = std::make_unique<Conversations>(*store_);
  }

  test::TempDirectory directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Conversations> conversations_;
};

TEST_F(ConversationsTest, OnlyTheNewestStartGoesOn) {
  const uint64_t older = conversations_->BeginStart("d");
  const uint64_t newer = conversations_->BeginStart("d");
  int older_ran = 0;
  int newer_ran = 0;
  conversations_->IfNewestStart("d", older, [&] { ++older_ran; });
  conversations_->IfNewestStart("d", newer, [&] { ++newer_ran; });
  conversations_->EndStart("d", older);
  conversations_->IfNewestStart("d", newer, [&] { ++newer_ran; });
  conversations_->EndStart("d", newer);
  conversations_->IfNewestStart("d", newer, [&] { ++newer_ran; });
  EXPECT_EQ(older_ran, 0);
  EXPECT_EQ(newer_ran, 2);
}

// Were it not so, the session that the older one is just opening would fence the newer one's.
TEST_F(ConversationsTest, ANewerStartBeginsAfterTheOlderOneIsThrough) {
  for (int round = 0; round < 200; ++round) {
    const uint64_t older = conversations_->BeginStart("d");
    std::atomic<bool> working = false;
    std::atomic<bool> overlapped = false;
    std::thread woken([&] {
      conversations_->IfNewestStart("d", older, [&] {
        working = true;
        std::this_thread::yield();
        working = false;
      });
    });
    const uint64_t newer = conversations_->BeginStart("d");
    overlapped = working.load();
    conversations_->EndStart("d", newer);
    woken.join();
    ASSERT_FALSE(overlapped);
  }
}

}  // namespace
}  // namespace tidemark::server
