// Leased ids on a device: taken with the row that uses them, refilled, given back, lost never.
#include "replication/leased_ids.h"

#include <functional>
#include <set>
#include <thread>

#include "replication/id_pool.h"
#include "replication/replica.h"
#include "replication/transport.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::StatusIs;

constexpr char kPool[] = "registration";

/// A way to the source on which answers get lost.
class LossyTransport final : public IdTransport {
 public:
  explicit LossyTransport(IdPools& pools) : pools_(pools) {}

  bool offline = false;
  bool lose_answers = false;
  int calls = 0;
  std::function<void()> before_answer = [] {
  };

  Result<IdLease> LeaseIds(const IdLeaseRequest& request) override {
    return Deliver<IdLease>([&] { return pools_.Lease(request); });
  }
  Result<std::vector<VoidLease>> ReportIds(const IdReport& report) override {
    return Deliver<std::vector<VoidLease>>([&] { return pools_.Report(report); });
  }

 private:
  template <typename T>
  Result<T> Deliver(const std::function<Result<T>()>& call) {
    ++calls;
    if (offline) return {ErrorCode::kUnavailable, "no network"};
    Result<T> answer = call();
    before_answer();
    if (lose_answers) return {ErrorCode::kUnavailable, "the answer was lost"};
    return answer;
  }

  IdPools& pools_;
};

class LeasedIdsTest : public test::SourceTest {
 protected:
  LeasedIdsTest() {
    pools_ = *IdPools::Open(*store_);
    EXPECT_OK(pools_->Define(kPool, {.range = {1, 100'001}, .digits = 12}));
    transport_ = std::make_unique<LossyTransport>(*pools_);
    OpenDevice();
  }
  void TearDown() override {
    ids_.reset();
    device_.reset();
    pools_.reset();
  }

  void OpenDevice() {
    auto store = Store::Open(directory_.path() / "device", {}, runtime_);
    ASSERT_OK(store);
    device_ = std::move(*store);
    OpenIds();
  }
  void OpenIds() {
    ids_.reset();
    auto ids =
        LeasedIds::Open(*device_, {.holder = {"tablet", "nurse"}, .low_mark = 5, .fill_to = 10});
    ASSERT_OK(ids);
    ids_ = std::move(*ids);
  }
  void RestartDevice() {
    ids_.reset();
    device_.reset();
    OpenDevice();
  }
  /// Takes an id and registers someone by it.
  std::string Register(const std::string& name) {
    WriteBatch batch;
    const auto taken = ids_->Take(kPool, &batch);
    EXPECT_OK(taken);
    if (!taken.ok()) return {};
    batch.Put("individual", taken->id, name, ValueKind::kBytes, {.if_absent = true});
    EXPECT_OK(device_->Commit(batch));
    return taken->id.text();
  }
  Status Refill() { return ids_->Refill(kPool, *transport_).status(); }

  std::unique_ptr<IdPools> pools_;
  std::unique_ptr<LossyTransport> transport_;
  std::unique_ptr<Store> device_;
  std::unique_ptr<LeasedIds> ids_;
};

TEST_F(LeasedIdsTest, FromRefillToExhaustion) {
  WriteBatch batch;
  EXPECT_THAT(ids_->Take(kPool, &batch), StatusIs(ErrorCode::kIdsExhausted));
  EXPECT_TRUE(batch.empty());
  const auto refill = ids_->Refill(kPool, *transport_);
  ASSERT_OK(refill);
  EXPECT_EQ(refill->leased, 10U);
  EXPECT_EQ(refill->stock.left, 10U);
  EXPECT_FALSE(refill->stock.low);
  transport_->offline = true;
  EXPECT_EQ(Register("Ada"), "000000000001");
  for (int i = 0; i < 4; ++i) Register("more");
  EXPECT_FALSE(ids_->Find(kPool).low);
  const auto low = ids_->Take(kPool, &batch);
  EXPECT_TRUE(low->low);
  EXPECT_EQ(low->left, 4U);
  for (int i = 0; i < 4; ++i) Register("more");
  EXPECT_THAT(ids_->Take(kPool, &batch), StatusIs(ErrorCode::kIdsExhausted));
  EXPECT_THAT(Refill(), StatusIs(ErrorCode::kUnavailable));
  EXPECT_THAT(ids_->Find(kPool).refilled, StatusIs(ErrorCode::kUnavailable));
  transport_->offline = false;
  ASSERT_OK(Refill());
  EXPECT_EQ(Register("Eve"), "000000000011");
  EXPECT_EQ(pools_->Find(kPool)->used, 10U);
  EXPECT_EQ(ids_->List().size(), 1U);
  EXPECT_EQ(ids_->List().front().leases, 1U);
}

// A5: "an id used offline is handed out again".
TEST_F(LeasedIdsTest, IdpoolRefetchKeepsLocalUse) {
  ASSERT_OK(Refill());
  std::set<std::string> used;
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(used.insert(Register("offline")).second);
  // The refill's answer is lost, asked for again after a restart, and lost again.
  transport_->lose_answers = true;
  EXPECT_THAT(Refill(), StatusIs(ErrorCode::kUnavailable));
  RestartDevice();
  EXPECT_THAT(Refill(), StatusIs(ErrorCode::kUnavailable));
  EXPECT_TRUE(used.insert(Register("offline")).second);
  transport_->lose_answers = false;
  ASSERT_OK(Refill());
  RestartDevice();
  while (ids_->Find(kPool).left > 0) EXPECT_TRUE(used.insert(Register("more")).second);
  EXPECT_EQ(pools_->Find(kPool)->leases, 2U);
  ASSERT_OK(Refill());
  EXPECT_EQ(pools_->Find(kPool)->used, used.size()) << "no block was burned by a lost answer";
}

TEST_F(LeasedIdsTest, ALeaseWhoseAnswerWasLostIsAskedForAgain) {
  ASSERT_OK(Refill());
  for (int i = 0; i < 7; ++i) Register("a");
  int lost = 0;
  // Only the answer to the lease is lost: the second call.
  transport_->calls = 0;
  transport_->before_answer = [&] {
    transport_->lose_answers = transport_->calls == 2;
    lost += transport_->lose_answers ? 1 : 0;
  };
  EXPECT_THAT(Refill(), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(lost, 1);
  transport_->before_answer = [] {
  };
  transport_->lose_answers = false;
  EXPECT_EQ(pools_->Find(kPool)->leases, 2U);
  RestartDevice();
  ASSERT_OK(Refill());
  EXPECT_EQ(pools_->Find(kPool)->leases, 2U) << "the same block";
  EXPECT_EQ(ids_->Find(kPool).left, 10U);
}

// A5: "take is a plain read of the first free one; marking is a separate un-awaited update".
TEST_F(LeasedIdsTest, IdpoolTakeIsAtomic) {
  ASSERT_OK(Refill());
  WriteBatch first;
  const auto never = ids_->Take(kPool, &first);  // its batch is not committed
  const std::string second = Register("Ada");
  EXPECT_NE(never->id.text(), second);
  RestartDevice();
  EXPECT_EQ(Register("Bob"), never->id.text()) << "nothing of that batch was ever committed";
  EXPECT_NE(Register("Eve"), second);
  for (const char* name : {"Ada", "Bob", "Eve"}) {
    RecordIterator records = device_->GetView().Scan("individual", ScanOptions{});
    int found = 0;
    while (records.Next()) found += records.value() == name ? 1 : 0;
    EXPECT_EQ(found, 1) << name;
  }
}

TEST_F(LeasedIdsTest, BatchesCommitInAnyOrderOrNotAtAll) {
  ASSERT_OK(Refill());
  std::vector<WriteBatch> batches(6);
  std::vector<std::string> ids;
  for (WriteBatch& batch : batches) {
    const auto taken = ids_->Take(kPool, &batch);
    ids.push_back(taken->id.text());
    batch.Put("individual", taken->id, "x");
  }
  for (const size_t i : {5U, 2U, 4U}) ASSERT_OK(device_->Commit(batches[i]));
  RestartDevice();
  std::set<std::string> again;
  while (ids_->Find(kPool).left > 0) again.insert(Register("y"));
  EXPECT_EQ(again.size(), 7U);
  for (const size_t i : {0U, 1U, 3U}) EXPECT_TRUE(again.contains(ids[i]));
  for (const size_t i : {5U, 2U, 4U}) EXPECT_FALSE(again.contains(ids[i]));
}

TEST_F(LeasedIdsTest, ADraftThrownAwayGivesItsIdBack) {
  ASSERT_OK(Refill());
  WriteBatch draft;
  const auto taken = ids_->Take(kPool, &draft);
  EXPECT_OK(ids_->PutBack(kPool, *taken));
  EXPECT_EQ(ids_->Find(kPool).left, 10U);
  EXPECT_EQ(Register("Ada"), taken->id.text());
  EXPECT_THAT(ids_->PutBack(kPool, *taken), StatusIs(ErrorCode::kConflict)) << "it is used now";
  LeasedId wrong = *taken;
  wrong.index = 9;
  EXPECT_THAT(ids_->PutBack(kPool, wrong), StatusIs(ErrorCode::kInvalidArgument));
  ASSERT_OK(Refill());
  EXPECT_THAT(ids_->PutBack(kPool, *taken), StatusIs(ErrorCode::kConflict))
      << "also when compacted";
}

TEST_F(LeasedIdsTest, ACommitThatFailsLeavesNoTrace) {
  ASSERT_OK(Refill());
  ASSERT_OK(device_->Commit(WriteBatch().Put("individual", "taken", "x")));
  WriteBatch batch;
  const auto taken = ids_->Take(kPool, &batch);
  batch.Put("individual", "taken", "y", ValueKind::kBytes, {.if_absent = true});
  EXPECT_THAT(device_->Commit(batch), StatusIs(ErrorCode::kConditionFailed));
  EXPECT_NE(Register("Ada"), taken->id.text()) << "not in this process, unless put back";
  EXPECT_OK(ids_->PutBack(kPool, *taken));
  EXPECT_EQ(Register("Bob"), taken->id.text());
}

TEST_F(LeasedIdsTest, WhatIsLeftGoesBack) {
  ASSERT_OK(Refill());
  Register("Ada");
  transport_->offline = true;
  EXPECT_THAT(ids_->GiveBack(kPool, *transport_), StatusIs(ErrorCode::kUnavailable));
  WriteBatch batch;
  EXPECT_THAT(ids_->Take(kPool, &batch), StatusIs(ErrorCode::kIdsExhausted));
  RestartDevice();
  EXPECT_THAT(ids_->Take(kPool, &batch), StatusIs(ErrorCode::kIdsExhausted));
  transport_->offline = false;
  transport_->lose_answers = true;
  EXPECT_THAT(ids_->GiveBack(kPool, *transport_), StatusIs(ErrorCode::kUnavailable));
  transport_->lose_answers = false;
  ASSERT_OK(ids_->GiveBack(kPool, *transport_));
  const auto info = pools_->Find(kPool);
  EXPECT_EQ(info->used, 1U);
  EXPECT_EQ(info->held, 0U);
  EXPECT_EQ(ids_->Find(kPool).leases, 0U);
  ASSERT_OK(Refill());
  EXPECT_EQ(Register("Bob"), "000000000002");
}

TEST_F(LeasedIdsTest, AVoidLeaseIsUsedNoMore) {
  ASSERT_OK(Refill());
  Register("Ada");
  ASSERT_OK(Refill());  // reports the one
  ASSERT_OK(pools_->Define(kPool, {.range = {1, 100'001}, .digits = 12, .block_max = 50'000}));
  ASSERT_OK(pools_->Reclaim(*source_, {.pool = kPool, .holder = {"tablet", "nurse"}}));
  // Others get everything, what was taken back included.
  while (pools_->Find(kPool)->free > 3) {
    const uint64_t count = std::min(kIdLeaseMax, pools_->Find(kPool)->free - 3);
    ASSERT_OK(pools_->Lease({.pool = kPool, .holder = {"phone"}, .count = count}));
  }
  const std::string doubled = Register("without a network");
  // While the source is told, one more is taken.
  std::string late;
  transport_->before_answer = [&] {
    if (late.empty()) late = Register("late");
  };
  const auto refill = ids_->Refill(kPool, *transport_);
  ASSERT_OK(refill);
  ASSERT_EQ(refill->voided.size(), 1U);
  EXPECT_EQ(CountIds(refill->voided.front().conflicts), 2U);
  EXPECT_EQ(FormatLeasedId(refill->voided.front().conflicts.front().from, 12).text(), doubled);
  EXPECT_EQ(late, "000000000003");
  EXPECT_EQ(refill->leased, 3U);
  EXPECT_EQ(ids_->Find(kPool).leases, 1U);
  EXPECT_EQ(Register("Eve"), "000000000008");
}

TEST_F(LeasedIdsTest, ADeviceSetBackUsesNothingItHadThen) {
  ASSERT_OK(Refill());
  Register("Ada");
  ids_.reset();
  ASSERT_OK(device_->BeginEpoch("a backup was restored"));
  OpenIds();
  WriteBatch batch;
  EXPECT_THAT(ids_->Take(kPool, &batch), StatusIs(ErrorCode::kIdsExhausted));
  ASSERT_OK(Refill());
  EXPECT_EQ(Register("Eve"), "000000000011");
  EXPECT_EQ(pools_->Find(kPool)->used, 10U) << "who knows which";
  RestartDevice();
  EXPECT_EQ(ids_->Find(kPool).left, 9U);
}

TEST_F(LeasedIdsTest, AReplicaWritesIdRowAndOperationTogether) {
  auto replica = Replica::Open(directory_.path() / "replica", "tablet", {}, runtime_);
  ASSERT_OK(replica);
  const LeasedIdsOptions options{.holder = {"tablet"}, .low_mark = 5, .fill_to = 10};
  auto ids = LeasedIds::Open((*replica)->store(), options);
  ASSERT_OK(ids);
  ASSERT_OK((*ids)->Refill(kPool, *transport_));
  WriteBatch batch;
  const auto taken = (*ids)->Take(kPool, &batch);
  batch.Put("individual", taken->id, R"({"name":"Ada"})", ValueKind::kJson);
  ASSERT_OK((*replica)->Write(batch));
  EXPECT_THAT((*ids)->PutBack(kPool, *taken), StatusIs(ErrorCode::kConflict));
  LocalTransport to_source(*source_);
  ASSERT_OK((*replica)->Push(to_source));
  EXPECT_TRUE((*store_->Get("individual", taken->id)).has_value());
  ids = LeasedIds::Open((*replica)->store(), options);
  WriteBatch next;
  EXPECT_EQ((*ids)->Take(kPool, &next)->id.text(), "000000000002");
}

TEST_F(LeasedIdsTest, UsersOfADeviceHaveIdsOfTheirOwn) {
  auto other =
      LeasedIds::Open(*device_, {.holder = {"tablet", "driver"}, .low_mark = 5, .fill_to = 10});
  ASSERT_OK(other);
  ASSERT_OK(Refill());
  ASSERT_OK((*other)->Refill(kPool, *transport_));
  WriteBatch batch;
  EXPECT_EQ(ids_->Take(kPool, &batch)->id.text(), "000000000001");
  EXPECT_EQ((*other)->Take(kPool, &batch)->id.text(), "000000000011");
}

TEST_F(LeasedIdsTest, ASourceThatWentBackUnnoticedIsNotBelieved) {
  /// Answers as a source that forgot what it gave.
  class Forgetful final : public IdTransport {
   public:
    Result<IdLease> LeaseIds(const IdLeaseRequest& /*request*/) override { return lease; }
    Result<std::vector<VoidLease>> ReportIds(const IdReport& /*report*/) override {
      return std::vector<VoidLease>();
    }
    IdLease lease{.number = 7, .ranges = {{1, 11}}};
  } forgetful;
  ASSERT_OK(ids_->Refill("p", forgetful));
  WriteBatch batch;
  for (int i = 0; i < 8; ++i) ASSERT_OK(ids_->Take("p", &batch));
  EXPECT_THAT(ids_->Refill("p", forgetful), StatusIs(ErrorCode::kConflict));
  forgetful.lease.number = 8;
  EXPECT_THAT(ids_->Refill("p", forgetful), StatusIs(ErrorCode::kConflict)) << "the same ids";
  forgetful.lease.ranges = {{11, 21}};
  EXPECT_OK(ids_->Refill("p", forgetful));
}

TEST_F(LeasedIdsTest, LeasesHeldAreBounded) {
  ASSERT_OK(pools_->Define("tiny", {.range = {0, 10'000}, .block_max = 1}));
  auto hungry =
      LeasedIds::Open(*device_, {.holder = {"hungry"}, .low_mark = 10'000, .fill_to = 20'000});
  for (size_t i = 0; i < kLeasesHeldMax; ++i) ASSERT_OK((*hungry)->Refill("tiny", *transport_));
  EXPECT_THAT((*hungry)->Refill("tiny", *transport_), StatusIs(ErrorCode::kTooLarge));
  EXPECT_EQ((*hungry)->Find("tiny").left, kLeasesHeldMax);
}

TEST_F(LeasedIdsTest, ManyTakersAndARefillAtOnce) {
  ASSERT_OK(pools_->Define(kPool, {.range = {1, 100'001}, .digits = 12}));
  ids_.reset();
  auto opened = LeasedIds::Open(*device_, {.holder = {"tablet"}, .low_mark = 100, .fill_to = 150});
  ids_ = std::move(*opened);
  ASSERT_OK(Refill());
  std::atomic<int> registered = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        WriteBatch batch;
        const auto taken = ids_->Take(kPool, &batch);
        if (!taken.ok()) continue;
        batch.Put("individual", taken->id, "x", ValueKind::kBytes, {.if_absent = true});
        if ((i + t) % 5 == 0) {
          EXPECT_OK(ids_->PutBack(kPool, *taken));
          continue;
        }
        ASSERT_OK(device_->Commit(batch, {.sync = false}));
        ++registered;
      }
    });
  }
  for (int i = 0; i < 10; ++i) EXPECT_OK(Refill());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(device_->CountLive(device_->FindEntity("individual")->number, {}),
            static_cast<uint64_t>(registered.load()));
}

}  // namespace
}  // namespace tidemark
