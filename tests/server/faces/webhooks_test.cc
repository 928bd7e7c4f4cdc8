// Outcomes of upload syncs, told to a receiver on loopback.
#include "server/webhooks.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/listener.h"
#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

using std::chrono::milliseconds;

// Takes deliveries, or refuses them.
class Receiver final : public http::Handler {
 public:
  struct Taken {
    std::string delivery;
    std::string signature;
    std::string body;
  };

  Receiver() {
    auto listener = http::Listener::Start({.workers = 1}, *this);
    EXPECT_OK(listener);
    listener_ = std::move(*listener);
  }
  ~Receiver() override { listener_->Stop(milliseconds(0)); }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  void Handle(std::shared_ptr<const http::Request> request, http::Responder respond) override {
    const std::lock_guard lock(mutex_);
    ++attempts_;
    if (attempts_ > refusals_) {
      taken_.push_back({std::string(request->headers.Find("X-Tidemark-Delivery").value_or("-")),
                        std::string(request->headers.Find("X-Tidemark-Signature").value_or("-")),
                        request->body});
    }
    arrived_.notify_all();
    respond(EmptyReply(attempts_ > refusals_ ? 204 : 500));
  }
  http::Response Refuse(int status,
                        std::string_view /*code*/,
                        std::string_view /*message*/,
                        std::string_view /*request_id*/) override {
    return EmptyReply(status);
  }

  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(listener_->port()) + "/hook";
  }
  /// The first so many attempts are answered 500.
  void RefuseFirst(size_t attempts) { refusals_ = attempts; }
  std::vector<Taken> Wait(size_t count) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return taken_.size() >= count; });
    return taken_;
  }
  size_t WaitForAttempts(size_t count) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return attempts_ >= count; });
    return attempts_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  size_t attempts_ = 0;
  size_t refusals_ = 0;
  std::vector<Taken> taken_;
  std::unique_ptr<http::Listener> listener_;
};

class WebhooksTest : public ::testing::Test {
 protected:
  WebhooksTest() {
    StoreOptions options;
    options.durability = Durability::kOrder;
    auto store = Store::Open(directory_.path(), options);
    EXPECT_OK(store);
    store_ = std::move(*store);
    auto uploads = Uploads::Open(*store_);
    EXPECT_OK(uploads);
    uploads_ = std::move(*uploads);
  }

  std::unique_ptr<Outcomes> Open() {
    const WebhookOptions options = {.url = receiver_.url(), .secret = "s3cret"};
    auto webhooks =
        Outcomes::Open(*store_,
                       *uploads_,
                       WebhookChannel("default", options, store_->runtime().clock()),
                       {.first_pause = milliseconds(10), .longest_pause = milliseconds(20)});
    EXPECT_OK(webhooks);
    return std::move(*webhooks);
  }
  std::string Abort() {
    const auto sync = uploads_->Start();
    EXPECT_OK(sync);
    EXPECT_OK(uploads_->Abort(*sync));
    return *sync;
  }

  tidemark::test::TempDirectory directory_;
  Receiver receiver_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Uploads> uploads_;
};

TEST(SignWebhookTest, KnownVector) {
  // HMAC-SHA256 by another implementation: key "key", text "1700000000.{}".
  EXPECT_EQ(SignWebhook("key", 1'700'000'000, "{}"),
            "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae");
  EXPECT_EQ(SignWebhook(std::string(100, 'k'), 1, ""),
            "t=1,v1=f380fa061ddac7555fce09c4f9d5ba3c4d7eb9115eaa097dd2c14988a18ae793");
}

TEST_F(WebhooksTest, AnOutcomeIsToldSigned) {
  const auto webhooks = Open();
  const std::string sync = Abort();
  const auto taken = receiver_.Wait(1);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].delivery, sync + "-aborted");
  EXPECT_EQ(At(taken[0].body, {"data", "sync_id"}), sync);
  EXPECT_EQ(At(taken[0].body, {"data", "state"}), "aborted");
  EXPECT_EQ(At(taken[0].body, {"meta"}), R"({"type":"upload_sync","instance":"default"})");
  const std::string time = taken[0].signature.substr(2, taken[0].signature.find(',') - 2);
  EXPECT_EQ(taken[0].signature, SignWebhook("s3cret", std::stoll(time), taken[0].body));
}

TEST_F(WebhooksTest, WhatIsRefusedIsTriedAgainInOrder) {
  receiver_.RefuseFirst(3);
  const auto webhooks = Open();
  const std::string first = Abort();
  const std::string second = Abort();
  const auto taken = receiver_.Wait(2);
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[0].delivery, first + "-aborted");
  EXPECT_EQ(taken[1].delivery, second + "-aborted");
  EXPECT_GE(receiver_.WaitForAttempts(5), 5U);
}

TEST_F(WebhooksTest, ARestartGoesOn) {
  receiver_.RefuseFirst(1'000'000);
  auto webhooks = Open();
  const std::string first = Abort();
  receiver_.WaitForAttempts(1);
  webhooks.reset();
  const std::string second = Abort();  // while nobody is there to tell it
  receiver_.RefuseFirst(0);
  webhooks = Open();
  const auto taken = receiver_.Wait(2);
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[0].delivery, first + "-aborted");
  EXPECT_EQ(taken[1].delivery, second + "-aborted");
  // The next opening has nothing to tell.
  for (int i = 0; i < 1000 && webhooks->waiting() > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  webhooks.reset();
  webhooks = Open();
  EXPECT_EQ(webhooks->waiting(), 0U);
}

TEST_F(WebhooksTest, WhatWasOverBeforeIsNotTold) {
  Abort();
  const auto webhooks = Open();
  EXPECT_EQ(webhooks->waiting(), 0U);
  const std::string sync = Abort();
  const auto taken = receiver_.Wait(1);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].delivery, sync + "-aborted");
}

TEST_F(WebhooksTest, TheOldestGoesWhenTooManyWait) {
  std::vector<std::string> tried;
  std::mutex mutex;
  auto deliveries = Deliveries::Open(*store_, 'x', [&](const Delivery& delivery) {
    const std::lock_guard lock(mutex);
    tried.push_back(delivery.id);
    return Status(ErrorCode::kUnavailable, "not now");
  });
  ASSERT_OK(deliveries);
  for (size_t i = 0; i <= kDeliveriesMax; ++i) {
    ASSERT_OK((*deliveries)->Add({std::to_string(i), "{}", 1}));
  }
  EXPECT_LE((*deliveries)->waiting(), kDeliveriesMax);
}

}  // namespace
}  // namespace tidemark::server::test
