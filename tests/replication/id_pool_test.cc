// Id pools at the source: leases, quotas, releases, reclaims, histories that branch.
#include "replication/id_pool.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include "replication/internal/id_pool_rows.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::StatusIs;
using Ranges = std::vector<IdRange>;

constexpr char kPool[] = "registration";

class IdPoolTest : public test::SourceTest {
 protected:
  IdPoolTest() { OpenPools(); }
  void TearDown() override { pools_.reset(); }

  void OpenPools() {
    auto pools = IdPools::Open(*store_);
    ASSERT_OK(pools);
    pools_ = std::move(*pools);
  }
  void ReopenAll() {
    pools_.reset();
    Reopen();
    OpenPools();
  }
  void Define(const IdPoolDefinition& definition) { ASSERT_OK(pools_->Define(kPool, definition)); }
  Result<IdLease> Lease(uint64_t count,
                        const IdHolder& holder = {"tablet"},
                        const std::string& request = {}) {
    return pools_->Lease({.pool = kPool, .holder = holder, .count = count, .request_id = request});
  }
  Result<std::vector<VoidLease>> Report(uint64_t lease,
                                        uint64_t used,
                                        bool release = false,
                                        const IdHolder& holder = {"tablet"}) {
    return pools_->Report(
        {.pool = kPool, .holder = holder, .leases = {{lease, used}}, .release = release});
  }
  IdPoolInfo Info() const { return *pools_->Find(kPool); }
  void ExpectWhole() const {
    const IdPoolInfo info = Info();
    EXPECT_EQ(info.free + info.held + info.used + info.lost, info.definition.range.size());
  }

  std::unique_ptr<IdPools> pools_;
};

TEST_F(IdPoolTest, BlocksComeOneAfterTheOther) {
  Define({.range = {1, 1001}, .digits = 12});
  const auto first = Lease(10);
  ASSERT_OK(first);
  EXPECT_EQ(first->ranges, (Ranges{{1, 11}}));
  EXPECT_EQ(first->digits, 12U);
  EXPECT_EQ(FormatLeasedId(IdAt(first->ranges, 4), first->digits).text(), "000000000005");
  const auto second = Lease(10, {"phone", "nurse"});
  ASSERT_OK(second);
  EXPECT_EQ(second->ranges, (Ranges{{11, 21}}));
  EXPECT_GT(second->number, first->number);
  EXPECT_EQ(Info().held, 20U);
  EXPECT_EQ(Info().leases, 2U);
  ExpectWhole();
  ReopenAll();
  EXPECT_EQ(Info().held, 20U);
  EXPECT_EQ(Lease(1)->ranges, (Ranges{{21, 22}}));
  ExpectWhole();
}

TEST_F(IdPoolTest, ALostReplyBurnsNoBlock) {
  Define({.range = {1, 101}});
  const auto first = Lease(10, {"tablet"}, "r1");
  ASSERT_OK(first);
  const auto again = Lease(10, {"tablet"}, "r1");
  ASSERT_OK(again);
  EXPECT_EQ(again->number, first->number);
  EXPECT_EQ(again->ranges, first->ranges);
  ReopenAll();
  EXPECT_EQ(Lease(10, {"tablet"}, "r1")->ranges, first->ranges);
  EXPECT_EQ(Info().held, 10U);
  EXPECT_EQ(Lease(10, {"tablet", "nurse"}, "r1")->ranges, (Ranges{{11, 21}}))
      << "request ids belong to a device and user";
  ASSERT_OK(Report(first->number, 10));
  EXPECT_THAT(Lease(10, {"tablet"}, "r1"), StatusIs(ErrorCode::kLeaseVoid));
}

TEST_F(IdPoolTest, TheNewest32RequestsAreKept) {
  Define({.range = {1, 1001}});
  for (size_t i = 0; i <= kIdRequestsKept; ++i) {
    ASSERT_OK(Lease(1, {"tablet"}, "r" + std::to_string(i)));
  }
  EXPECT_EQ(Lease(1, {"tablet"}, "r1")->ranges, (Ranges{{2, 3}}));
  EXPECT_EQ(Lease(1, {"tablet"}, "r0")->ranges, (Ranges{{34, 35}})) << "forgotten: a new lease";
}

TEST_F(IdPoolTest, FewerAreGivenWhenThereAreFewer) {
  Define({.range = {0, 25}, .block_max = 20});
  EXPECT_EQ(Lease(50)->count(), 20U);
  const auto rest = Lease(50);
  EXPECT_EQ(rest->count(), 5U);
  EXPECT_TRUE(rest->low);
  EXPECT_THAT(Lease(1), StatusIs(ErrorCode::kIdsExhausted));
  ASSERT_OK(pools_->Define(kPool, {.range = {0, 30}}));
  EXPECT_EQ(Lease(50)->ranges, (Ranges{{25, 30}}));
}

TEST_F(IdPoolTest, QuotasOfADayAndAltogether) {
  Define({.range = {0, 10'000}, .per_day = 100, .per_holder = 250});
  EXPECT_EQ(Lease(60)->count(), 60U);
  EXPECT_EQ(Lease(60)->count(), 40U);
  EXPECT_THAT(Lease(1), StatusIs(ErrorCode::kQuotaExceeded));
  EXPECT_EQ(Lease(60, {"tablet", "other user"})->count(), 60U);
  constexpr int64_t kDay = 24 * 3600 * 1000;
  clock_->SetWall(clock_->WallMilliseconds() + kDay);
  EXPECT_EQ(Lease(100)->count(), 100U);
  clock_->SetWall(clock_->WallMilliseconds() - 3 * kDay);
  EXPECT_THAT(Lease(1), StatusIs(ErrorCode::kQuotaExceeded)) << "a day does not come twice";
  clock_->SetWall(clock_->WallMilliseconds() + 4 * kDay);
  const auto last = Lease(100);
  EXPECT_EQ(last->count(), 50U);
  EXPECT_THAT(Lease(1), StatusIs(ErrorCode::kQuotaExceeded));
  ASSERT_OK(Report(last->number, 20, /*release=*/true));
  EXPECT_EQ(Lease(100)->count(), 30U) << "released ones do not count";
  ExpectWhole();
}

TEST_F(IdPoolTest, ReportsAndReleases) {
  Define({.range = {1, 101}});
  const auto lease = Lease(20);
  ASSERT_OK(Report(lease->number, 7));
  EXPECT_EQ(Info().used, 7U);
  ASSERT_OK(Report(lease->number, 5));
  EXPECT_EQ(Info().used, 7U) << "an older report arrives late";
  EXPECT_THAT(Report(lease->number, 21), StatusIs(ErrorCode::kInvalidArgument));
  ASSERT_OK(Report(lease->number, 5, /*release=*/true));
  EXPECT_EQ(Info().used, 7U);
  EXPECT_EQ(Info().held, 0U);
  EXPECT_EQ(Info().leases, 0U);
  EXPECT_EQ(Lease(1)->ranges, (Ranges{{8, 9}})) << "nobody has it any more";
  const auto after = Report(lease->number, 9);
  ASSERT_OK(after);
  ASSERT_EQ(after->size(), 1U);
  EXPECT_EQ(after->front().lease, lease->number);
  ExpectWhole();
}

TEST_F(IdPoolTest, OfAnothersLeaseNothingIsTakenBack) {
  Define({.range = {1, 101}});
  const auto lease = Lease(20);
  const auto foreign = Report(lease->number, 0, /*release=*/true, {"phone"});
  ASSERT_OK(foreign);
  EXPECT_EQ(foreign->size(), 1U);
  EXPECT_EQ(Info().held, 20U);
}

TEST_F(IdPoolTest, APoolOnlyGrows) {
  Define({.range = {100, 200}, .digits = 6});
  EXPECT_THAT(pools_->Define(kPool, {.range = {101, 200}, .digits = 6}),
              StatusIs(ErrorCode::kConflict));
  EXPECT_THAT(pools_->Define(kPool, {.range = {100, 199}, .digits = 6}),
              StatusIs(ErrorCode::kConflict));
  EXPECT_THAT(pools_->Define(kPool, {.range = {100, 200}}), StatusIs(ErrorCode::kConflict));
  EXPECT_OK(pools_->Define(kPool, {.range = {50, 300}, .digits = 6, .block_max = 3}));
  EXPECT_EQ(Info().free, 250U);
  EXPECT_EQ(Lease(5)->ranges, (Ranges{{50, 53}}));
  ExpectWhole();
}

TEST_F(IdPoolTest, DefinitionsAreChecked) {
  for (const IdPoolDefinition& wrong :
       {IdPoolDefinition{.range = {5, 5}},
        IdPoolDefinition{.range = {6, 5}},
        IdPoolDefinition{.range = {0, 1ULL << 63}},
        IdPoolDefinition{.range = {0, 1001}, .digits = 3},
        IdPoolDefinition{.range = {0, 10}, .digits = 19},
        IdPoolDefinition{.range = {0, 10}, .block_max = 0},
        IdPoolDefinition{.range = {0, 10}, .block_max = kIdLeaseMax + 1},
        IdPoolDefinition{.range = {0, 10}, .expires_after_s = ~uint64_t{0}}}) {
    EXPECT_THAT(pools_->Define("p", wrong), StatusIs(ErrorCode::kInvalidArgument));
  }
  EXPECT_OK(pools_->Define("p", {.range = {0, 1000}, .digits = 3, .block_max = kIdLeaseMax}));
  EXPECT_OK(pools_->Define("q", {.range = {0, (1ULL << 63) - 1}}));
  EXPECT_THAT(pools_->Define("_p", {.range = {0, 10}}), StatusIs(ErrorCode::kReserved));
  EXPECT_THAT(pools_->Find("none"), StatusIs(ErrorCode::kNotFound));
}

TEST_F(IdPoolTest, LimitsHoldAtNAndRefuseAtNPlusOne) {
  Define({.range = {0, 1'000'000}, .block_max = kIdLeaseMax});
  EXPECT_EQ(Lease(kIdLeaseMax)->count(), kIdLeaseMax);
  EXPECT_THAT(Lease(kIdLeaseMax + 1), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(Lease(0), StatusIs(ErrorCode::kInvalidArgument));
  const std::string user(kIdUserBytesMax, 'u');
  EXPECT_OK(Lease(1, {"tablet", user}));
  EXPECT_THAT(Lease(1, {"tablet", user + "u"}), StatusIs(ErrorCode::kTooLarge));
  const std::string request(kIdRequestBytesMax, 'r');
  EXPECT_OK(Lease(1, {"tablet"}, request));
  EXPECT_THAT(Lease(1, {"tablet"}, request + "r"), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(Lease(1, {""}), StatusIs(ErrorCode::kInvalidArgument));
  IdReport report{.pool = kPool, .holder = {"tablet"}, .leases = {}};
  for (size_t i = 0; i < kIdLeasesInReportMax; ++i) report.leases.push_back({i + 1, 0});
  EXPECT_EQ(pools_->Report(report)->size(), kIdLeasesInReportMax);
  report.leases.push_back({kIdLeasesInReportMax + 1, 0});
  EXPECT_THAT(pools_->Report(report), StatusIs(ErrorCode::kTooLarge));
  report.leases.assign(2, {1, 0});
  EXPECT_THAT(pools_->Report(report), StatusIs(ErrorCode::kInvalidArgument));
}

TEST_F(IdPoolTest, PoolsAreBounded) {
  for (size_t i = 0; i < kIdPoolsMax; ++i) {
    ASSERT_OK(pools_->Define("p" + std::to_string(i), {.range = {0, 10}}));
  }
  EXPECT_THAT(pools_->Define("more", {.range = {0, 10}}), StatusIs(ErrorCode::kTooLarge));
  EXPECT_OK(pools_->Define("p0", {.range = {0, 20}}));
  EXPECT_EQ(pools_->List().size(), kIdPoolsMax);
}

// A lease is in at most 64 pieces; what is free, in as many as are bounded.
TEST_F(IdPoolTest, PiecesAreBounded) {
  Define({.range = {0, 1'000'000}, .block_max = kIdLeaseMax});
  std::vector<HeldLease> odd;
  for (int i = 0; i < 400; ++i) {
    const auto lease = Lease(1);
    ASSERT_OK(lease);
    if (i % 2 == 1) odd.push_back({lease->number, 0});
  }
  ASSERT_OK(pools_->Report({.pool = kPool, .holder = {"tablet"}, .leases = odd, .release = true}));
  EXPECT_EQ(Lease(1000)->ranges.size(), kIdLeaseRangesMax);
  EXPECT_EQ(Lease(1000)->ranges.size(), kIdLeaseRangesMax);
  EXPECT_EQ(Lease(1000)->ranges.size(), kIdLeaseRangesMax);
  EXPECT_EQ(Lease(1000)->ranges.size(), 8U) << "the last seven, the last one with what follows";
  ExpectWhole();
}

TEST_F(IdPoolTest, FreeIdsAreInABoundedNumberOfPieces) {
  constexpr uint64_t kEnd = 1'000'000;
  Define({.range = {0, kEnd}});
  const auto first = Lease(10);
  ASSERT_OK(Report(first->number, 1));
  const auto second = Lease(10);
  ASSERT_OK(Report(second->number, 1));
  pools_.reset();
  // As many leases and releases as it takes would take long.
  WriteBatch rows;
  rows.DeleteRow(internal::FreeIdsKey(internal::kFreeIdsPrefix, kPool, 20));
  for (size_t i = 0; i + 1 < kIdFreeRangesMax; ++i) {
    rows.SetRow(internal::FreeIdsKey(internal::kFreeIdsPrefix, kPool, 100 + 2 * i), "\x01");
  }
  ASSERT_OK(store_->Commit(rows));
  OpenPools();
  EXPECT_EQ(Info().free, kIdFreeRangesMax - 1);
  ASSERT_OK(Report(first->number, 1, /*release=*/true));
  EXPECT_THAT(Report(second->number, 1, /*release=*/true), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(pools_->Reclaim(*source_, {.pool = kPool, .holder = {"tablet"}}),
              StatusIs(ErrorCode::kTooLarge));
  ASSERT_OK(Lease(9, {"phone"}));
  EXPECT_OK(Report(second->number, 1, /*release=*/true));
}

// --- Taking back ---

TEST_F(IdPoolTest, OnlyFromDevicesThatAreGone) {
  Define({.range = {1, 101}});
  auto device = Device("tablet");
  Put("users", "1", "Ada");
  device.Sync();
  const auto lease = Lease(20);
  ASSERT_OK(Report(lease->number, 5));
  const IdReclaim reclaim{.pool = kPool, .holder = {"tablet"}};
  EXPECT_THAT(pools_->Reclaim(*source_, reclaim), StatusIs(ErrorCode::kConflict));
  EXPECT_EQ(Info().held, 15U);
  ASSERT_OK(source_->Forget("tablet"));
  EXPECT_EQ(Info().held, 15U) << "forgetting alone takes nothing back";
  const auto reclaimed = pools_->Reclaim(*source_, reclaim);
  ASSERT_OK(reclaimed);
  EXPECT_EQ(*reclaimed, 15U);
  EXPECT_EQ(Info().reclaimed, 15U);
  EXPECT_EQ(Info().held, 0U);
  EXPECT_THAT(pools_->Reclaim(*source_, reclaim), StatusIs(ErrorCode::kNotFound));
  EXPECT_EQ(Lease(80, {"phone"})->ranges, (Ranges{{21, 101}})) << "those never given come first";
  EXPECT_EQ(Lease(10, {"phone"})->ranges, (Ranges{{6, 16}}));
  ExpectWhole();
}

TEST_F(IdPoolTest, ADeviceThatReturnsLearnsThatItsLeaseIsVoid) {
  Define({.range = {1, 41}});
  const auto lease = Lease(20, {"tablet"}, "r1");
  ASSERT_OK(Report(lease->number, 5));
  ASSERT_OK(pools_->Reclaim(*source_, {.pool = kPool, .holder = {"tablet"}}));
  EXPECT_EQ(Lease(20, {"phone"})->ranges, (Ranges{{21, 41}}));
  EXPECT_EQ(Lease(3, {"phone"})->ranges, (Ranges{{6, 9}}));
  EXPECT_THAT(Lease(20, {"tablet"}, "r1"), StatusIs(ErrorCode::kLeaseVoid));
  // It used 5 more without a network: 6 to 8 were given to another meanwhile, 9 and 10 were not.
  for (const bool release : {false, true}) {
    const auto told = Report(lease->number, 10, release);
    ASSERT_OK(told);
    ASSERT_EQ(told->size(), 1U);
    EXPECT_EQ(told->front().conflicts, (Ranges{{6, 9}}));
  }
  EXPECT_EQ(Lease(100, {"phone"})->ranges, (Ranges{{11, 21}})) << "9 and 10 are saved";
  ExpectWhole();
  ReopenAll();
  ExpectWhole();
}

TEST_F(IdPoolTest, ExpiredLeasesAreTakenBackOneByOne) {
  Define({.range = {1, 101}, .expires_after_s = 3600});
  Put("users", "1", "Ada");
  Device("tablet").Sync();
  const auto first = Lease(10);
  ASSERT_TRUE(first->expires_at.has_value());
  clock_->SetWall(*first->expires_at);
  const auto second = Lease(10);
  EXPECT_THAT(
      pools_->Reclaim(*source_, {.pool = kPool, .holder = {"tablet"}, .lease = second->number}),
      StatusIs(ErrorCode::kConflict));
  EXPECT_EQ(*pools_->Reclaim(*source_, {.pool = kPool, .holder = {"tablet"}}), 10U);
  const auto leases = pools_->ListLeases(kPool, {"tablet"}, 0, 10);
  ASSERT_EQ(leases->size(), 2U);
  EXPECT_TRUE((*leases)[0].voided);
  EXPECT_FALSE((*leases)[1].voided);
  ExpectWhole();
}

TEST_F(IdPoolTest, HoldersAreListed) {
  Define({.range = {1, 1001}});
  for (const char* device : {"b", "a", "c"}) {
    ASSERT_OK(Lease(10, {device, "x"}));
    ASSERT_OK(Lease(5, {device, "y"}));
  }
  const auto first = pools_->ListHolders(kPool, {}, 4);
  ASSERT_EQ(first->size(), 4U);
  EXPECT_EQ((*first)[0].holder, (IdHolder{"a", "x"}));
  EXPECT_EQ((*first)[0].held, 10U);
  EXPECT_EQ((*first)[0].leased_today, 10U);
  const auto rest = pools_->ListHolders(kPool, (*first)[3].holder, 4);
  ASSERT_EQ(rest->size(), 2U);
  EXPECT_EQ((*rest)[1].holder, (IdHolder{"c", "y"}));
}

// --- Other histories ---

TEST_F(IdPoolTest, AStoreThatWentBackLeasesNothingUntilItIsTold) {
  Define({.range = {1, 1001}});
  const auto before = Lease(10, {"tablet"}, "r1");
  pools_.reset();
  source_.reset();
  ASSERT_OK(store_->BeginEpoch("a backup was restored"));
  OpenSource();
  OpenPools();
  EXPECT_TRUE(Info().suspended);
  EXPECT_THAT(Lease(10), StatusIs(ErrorCode::kPoolSuspended));
  EXPECT_EQ(Lease(10, {"tablet"}, "r1")->ranges, before->ranges) << "what is known stays so";
  EXPECT_THAT(pools_->Resume(kPool, 0), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(pools_->Resume(kPool, 1002), StatusIs(ErrorCode::kInvalidArgument));
  ASSERT_OK(pools_->Resume(kPool, 500));
  EXPECT_THAT(pools_->Resume(kPool, 600), StatusIs(ErrorCode::kConflict));
  const auto after = Lease(10);
  EXPECT_EQ(after->ranges, (Ranges{{500, 510}}));
  EXPECT_GT(after->number, before->number + 1'000'000) << "no number of the lost history";
  EXPECT_EQ(Info().lost, 489U);
  ExpectWhole();
}

// --- Many at once ---

TEST_F(IdPoolTest, FiftyThreadsAtOnce) {
  constexpr int kThreads = 50;
  constexpr int kRounds = 8;
  Define({.range = {0, 1'000'000}});
  std::mutex mutex;
  std::set<uint64_t> given;
  uint64_t total = 0;
  const uint64_t syncs = store_->Statistics().wal_syncs;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const IdHolder holder{"device " + std::to_string(t % 25), t % 2 == 0 ? "" : "nurse"};
      for (int round = 0; round < kRounds; ++round) {
        const auto lease = Lease(7, holder, std::to_string(t) + "/" + std::to_string(round));
        ASSERT_OK(lease);
        const auto again = Lease(7, holder, std::to_string(t) + "/" + std::to_string(round));
        ASSERT_OK(again);
        EXPECT_EQ(again->number, lease->number);
        uint64_t used = 7;
        if (round % 3 == 0) {
          used = 2;
          ASSERT_OK(Report(lease->number, used, /*release=*/true, holder));
        }
        const std::lock_guard lock(mutex);
        for (uint64_t i = 0; i < used; ++i) given.insert(IdAt(lease->ranges, i));
        total += used;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(given.size(), total) << "an id was given twice";
  EXPECT_LT(store_->Statistics().wal_syncs - syncs, uint64_t{kThreads} * kRounds)
      << "calls share syncs";
  ExpectWhole();
  ReopenAll();
  ExpectWhole();
}

}  // namespace
}  // namespace tidemark
