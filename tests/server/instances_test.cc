#include "server/instances.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server {
namespace {

using std::chrono::minutes;
using tidemark::test::StatusIs;

class ManualClock final : public Clock {
 public:
  MonotonicTime Now() override { return MonotonicTime(MonotonicTime::duration(now_.load())); }
  int64_t WallMilliseconds() override { return 0; }
  void Advance(MonotonicTime::duration time) { now_ += time.count(); }

 private:
  std::atomic<MonotonicTime::rep> now_ =
      std::chrono::duration_cast<MonotonicTime::duration>(std::chrono::hours(1)).count();
};

class InstancesTest : public testing::Test {
 protected:
  void SetUp() override {
    auto runtime = Runtime::Create({.clock = clock_});
    ASSERT_TRUE(runtime.ok());
    runtime_ = *runtime;
  }
  std::unique_ptr<Instances> Make(size_t open_max = 64) {
    return std::make_unique<Instances>(
        directory_.path(), InstancesOptions{.open_max = open_max}, runtime_, Executor());
  }
  static std::shared_ptr<Instance> Get(Instances& instances, const std::string& name) {
    auto instance = instances.Acquire(name);
    EXPECT_TRUE(instance.ok()) << instance.status().ToString();
    return instance.ok() ? *instance : nullptr;
  }

  test::TempDirectory directory_;
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  std::shared_ptr<Runtime> runtime_;
};

TEST_F(InstancesTest, FirstUsesAtTheSameTimeOpenOnce) {
  const auto instances = Make();
  std::vector<std::shared_ptr<Instance>> got(8);
  std::vector<std::thread> threads;
  for (auto& slot : got) {
    threads.emplace_back([&instances, &slot] { slot = Get(*instances, "a"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::shared_ptr<Instance>>(got.begin(), got.end()).size(), 1U);
  EXPECT_EQ(instances->open_count(), 1U);
}

TEST_F(InstancesTest, ClosesWhatIsUnusedAndOpensItAgain) {
  const auto instances = Make();
  auto held = Get(*instances, "held");
  Get(*instances, "idle");
  clock_->Advance(minutes(9));
  instances->CloseIdle();
  EXPECT_EQ(instances->open_count(), 2U);
  clock_->Advance(minutes(7));
  instances->CloseIdle();
  ASSERT_EQ(instances->open_count(), 1U);
  EXPECT_EQ(instances->Open()[0]->name(), "held");
  EXPECT_NE(Get(*instances, "idle"), nullptr);
}

TEST_F(InstancesTest, AYoungSessionKeepsItOpen) {
  const auto instances = Make();
  Get(*instances, "a");
  clock_->Advance(minutes(20));
  Get(*instances, "a")->conversations().NoteSession("session", "device");
  clock_->Advance(minutes(14));
  instances->CloseIdle();
  EXPECT_EQ(instances->open_count(), 1U);
  clock_->Advance(minutes(2));
  instances->CloseIdle();
  EXPECT_EQ(instances->open_count(), 0U);
}

TEST_F(InstancesTest, MakesRoomOrSaysThatThereIsNone) {
  const auto instances = Make(/*open_max=*/2);
  auto held = Get(*instances, "a");
  Get(*instances, "b");
  EXPECT_THAT(instances->Acquire("c").status(), StatusIs(ErrorCode::kBusy));
  clock_->Advance(minutes(16));
  EXPECT_NE(Get(*instances, "c"), nullptr);
  EXPECT_EQ(instances->open_count(), 2U);
  EXPECT_THAT(instances->Acquire("b").status(), StatusIs(ErrorCode::kBusy));
}

TEST_F(InstancesTest, NamesThatAreNone) {
  const auto instances = Make();
  for (const char* name : {"", "..", "a/b", "_a", "a b"}) {
    EXPECT_FALSE(instances->Acquire(name).ok()) << name;
  }
}

TEST_F(InstancesTest, WaitersAreLetGoWhenItStops) {
  const auto instances = Make();
  auto instance = Get(*instances, "a");
  std::atomic<int> woken = 0;
  instance->waiters().Wait(instance->store().last_sequence(), minutes(1), [&] { ++woken; });
  instances->StopWaiting();
  Get(*instances, "b")->waiters().Wait(SequenceNumber(0), minutes(1), [&] { ++woken; });
  instance.reset();
  instances->CloseAll();
  EXPECT_EQ(woken, 2);
}

}  // namespace
}  // namespace tidemark::server
