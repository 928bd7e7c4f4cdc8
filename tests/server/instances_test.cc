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
  int64_t WallMilliseconds() override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Now().time_since_epoch()).count();
  }
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
  std::unique_ptr<Instances> Make(size_t open_max = 64, const TellOptions& tell = {}) {
    return std::make_unique<Instances>(directory_.path(),
                                       InstancesOptions{.tell = tell, .open_max = open_max},
                                       runtime_,
                                       Executor());
  }
  /// A session that has something to hand out; its name.
  static std::string StartSession(Instance& instance) {
    WriteBatch batch;
    batch.Put("lead", RecordId(1), "{}");
    EXPECT_OK(instance.store().Commit(batch));
    const auto session = instance.source().StartSession({.device = "d"});
    EXPECT_TRUE(session.ok() && session->has_value());
    instance.conversations().NoteSession((*session)->id, "d");
    return (*session)->id;
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
  StartSession(*Get(*instances, "a"));
  clock_->Advance(minutes(14));
  instances->CloseIdle();
  EXPECT_EQ(instances->open_count(), 1U);
  clock_->Advance(minutes(2));
  instances->CloseIdle();
  EXPECT_EQ(instances->open_count(), 0U);
}

TEST_F(InstancesTest, ASessionThatIsDrainedKeepsNothingOpen) {
  const auto instances = Make(/*open_max=*/1);
  {
    const auto instance = Get(*instances, "a");
    const std::string session = StartSession(*instance);
    EXPECT_THAT(instances->Acquire("b").status(), StatusIs(ErrorCode::kBusy));
    instance->conversations().EndSession(session);
  }
  EXPECT_NE(Get(*instances, "b"), nullptr);
}

TEST_F(InstancesTest, ASessionAtRestMakesWayForOthersAfterAMinute) {
  const auto instances = Make(/*open_max=*/1);
  StartSession(*Get(*instances, "a"));
  clock_->Advance(std::chrono::seconds(59));
  EXPECT_THAT(instances->Acquire("b").status(), StatusIs(ErrorCode::kBusy));
  clock_->Advance(std::chrono::seconds(2));
  EXPECT_NE(Get(*instances, "b"), nullptr);
}

TEST_F(InstancesTest, AScopeThatSyncsKeepsItOpen) {
  const auto instances = Make();
  ASSERT_OK(Get(*instances, "a")->tracker().StartScope("nightly", {"crm", "erp"}));
  for (int i = 0; i < 10; ++i) {
    clock_->Advance(minutes(20));
    instances->CloseIdle();
  }
  ASSERT_EQ(instances->open_count(), 1U);
  {
    const auto instance = Get(*instances, "a");
    const auto begun = instance->tracker().Begin("crm", {{.entity = "customer"}});
    ASSERT_OK(begun);
    EXPECT_EQ(instance->tracker().FindScope("nightly")->syncing, 1U) << "its run is another one";
    ASSERT_OK((*begun)->Finish());
    ASSERT_OK(instance->tracker().InterruptScope("nightly"));
  }
  clock_->Advance(minutes(20));
  instances->CloseIdle();
  EXPECT_EQ(instances->open_count(), 0U);
}

TEST_F(InstancesTest, AScopeAtRestMakesWayForOthersAfterAQuarterOfAnHour) {
  const auto instances = Make(/*open_max=*/1);
  ASSERT_OK(Get(*instances, "a")->tracker().StartScope("nightly", {"crm"}));
  clock_->Advance(minutes(14));
  EXPECT_THAT(instances->Acquire("b").status(), StatusIs(ErrorCode::kBusy));
  clock_->Advance(minutes(2));
  EXPECT_NE(Get(*instances, "b"), nullptr);
}

TEST_F(InstancesTest, AnOperationKeepsItOpenUntilItsLeaseRunsOut) {
  const auto instances = Make(/*open_max=*/1);
  ASSERT_OK(Get(*instances, "a")->sync_operations().Begin("crm", {}, std::chrono::seconds(900)));
  clock_->Advance(std::chrono::seconds(900));
  instances->CloseIdle();
  EXPECT_THAT(instances->Acquire("b").status(), StatusIs(ErrorCode::kBusy));
  clock_->Advance(std::chrono::seconds(1));
  EXPECT_NE(Get(*instances, "b"), nullptr);
}

TEST_F(InstancesTest, OneThatWasOnlyOpenedMakesWayAtOnce) {
  const auto instances = Make(/*open_max=*/1);
  for (const char* name : {"a", "b", "c", "a"}) EXPECT_NE(Get(*instances, name), nullptr) << name;
  EXPECT_EQ(instances->open_count(), 1U);
}

TEST_F(InstancesTest, OneThatWasOnlyOpenedClosesWhenIdle) {
  const auto instances = Make();
  Get(*instances, "a");
  clock_->Advance(minutes(10));
  instances->CloseIdle();
  EXPECT_EQ(instances->open_count(), 0U);
}

// A start with a webhook opens instances in which nobody has an interest.
TEST_F(InstancesTest, OpenedToTellTheyLeaveRoomAndMakeWay) {
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) Get(*Make(), name);
  const auto instances =
      Make(/*open_max=*/4, {.webhook = {.url = "http://127.0.0.1:1/", .secret = "s"}});
  instances->OpenUntold();
  EXPECT_EQ(instances->open_count(), 2U);
  for (const char* name : {"f", "e", "d", "c", "b", "a"}) {
    EXPECT_NE(Get(*instances, name), nullptr) << name;
  }
  EXPECT_EQ(instances->open_count(), 4U);
}

TEST_F(InstancesTest, OnesWithNothingToTellCloseSoonAndTheNextAreOpened) {
  for (const char* name : {"a", "b", "c"}) Get(*Make(), name);
  const auto instances =
      Make(/*open_max=*/2, {.webhook = {.url = "http://127.0.0.1:1/", .secret = "s"}});
  for (const char* name : {"a", "b", "c"}) {
    instances->OpenUntold();
    ASSERT_EQ(instances->open_count(), 1U);
    EXPECT_EQ(instances->Open()[0]->name(), name);
    instances->CloseIdle();
    EXPECT_EQ(instances->open_count(), 0U);
  }
}

TEST_F(InstancesTest, MakesRoomOrSaysThatThereIsNone) {
  const auto instances = Make(/*open_max=*/2);
  auto held = Get(*instances, "a");
  auto other = Get(*instances, "b");
  EXPECT_THAT(instances->Acquire("c").status(), StatusIs(ErrorCode::kBusy));
  other.reset();
  EXPECT_NE(Get(*instances, "c"), nullptr);
  EXPECT_EQ(instances->open_count(), 2U);
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
