// Random histories of devices, users and one source with its pools: answers get lost, both sides
// crash and restart, drafts are thrown away, leases go back, devices are destroyed, forgotten and
// their ids taken back, pools grow. No id is ever used twice, and every id is accounted for.
//
//   TIDEMARK_TEST_SEED=7    one history;  TIDEMARK_TEST_LONG=1   many more
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "replication/id_pool.h"
#include "replication/leased_ids.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

constexpr char kPool[] = "registration";
constexpr int kDevices = 5;
constexpr int kSteps = 250;

/// Delivers, or loses the question, or the answer.
class RandomTransport final : public IdTransport {
 public:
  RandomTransport(IdPools& pools, std::mt19937_64& random) : pools_(pools), random_(random) {}
  Result<IdLease> LeaseIds(const IdLeaseRequest& request) override {
    if (random_() % 6 == 0) return Lost();
    Result<IdLease> answer = pools_.Lease(request);
    return random_() % 4 == 0 ? Lost() : answer;
  }
  Result<std::vector<VoidLease>> ReportIds(const IdReport& report) override {
    if (random_() % 6 == 0) return Lost();
    Result<std::vector<VoidLease>> answer = pools_.Report(report);
    return random_() % 6 == 0 ? Lost() : answer;
  }

 private:
  static Status Lost() { return {ErrorCode::kUnavailable, "lost"}; }
  IdPools& pools_;
  std::mt19937_64& random_;
};

struct Tablet {
  IdHolder holder;
  std::filesystem::path path;
  std::unique_ptr<Store> store;
  std::unique_ptr<LeasedIds> ids;
  std::vector<WriteBatch> drafts;
  std::vector<LeasedId> drafted;
};

class World {
 public:
  World(uint64_t seed, std::shared_ptr<Runtime> runtime)
      : random_(seed), runtime_(std::move(runtime)) {
    OpenSource();
    EXPECT_OK(pools_->Define(kPool, {.range = {1000, end_}, .block_max = 12}));
    for (int i = 0; i < kDevices; ++i) AddTablet();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() {
    for (Tablet& tablet : tablets_) Stop(&tablet);
    CloseSource();
  }

  void Step() {
    Tablet& tablet = tablets_[random_() % tablets_.size()];
    RandomTransport transport(*pools_, random_);
    const uint64_t dice = random_() % 100;
    if (dice < 45) {
      Take(&tablet);
    } else if (dice < 55) {
      EndDraft(&tablet);
    } else if (dice < 80) {
      Refill(&tablet, transport);
    } else if (dice < 84) {
      (void)tablet.ids->GiveBack(kPool, transport);
    } else if (dice < 90) {
      Stop(&tablet);
      Start(&tablet);
    } else if (dice < 93) {
      CloseSource();
      OpenSource();
    } else if (dice < 95) {
      end_ += random_() % 40;
      EXPECT_OK(pools_->Define(kPool, {.range = {1000, end_}, .block_max = 12}));
    } else {
      Destroy(&tablet);
    }
  }

  void Check() {
    const auto info = pools_->Find(kPool);
    ASSERT_OK(info);
    EXPECT_EQ(info->free + info->held + info->used, end_ - 1000);
    uint64_t held = 0;
    uint64_t used = 0;
    const auto holders = pools_->ListHolders(kPool, {}, 10'000);
    for (const IdHolderInfo& holder : *holders) {
      held += holder.held;
      used += holder.used;
    }
    EXPECT_EQ(held, info->held);
    EXPECT_EQ(used, info->used);
  }
  size_t used() const { return used_.size(); }

 private:
  void OpenSource() {
    store_ = *Store::Open(directory_.path() / "source", {}, runtime_);
    source_ = *Source::Open(*store_);
    pools_ = *IdPools::Open(*store_);
  }
  void CloseSource() {
    pools_.reset();
    source_.reset();
    store_.reset();
  }
  void AddTablet() {
    Tablet tablet;
    const std::string name = "tablet " + std::to_string(made_++);
    tablet.holder = {name, made_ % 2 == 0 ? "nurse" : ""};
    tablet.path = directory_.path() / name;
    Start(&tablet);
    tablets_.push_back(std::move(tablet));
  }
  void Start(Tablet* tablet) {
    tablet->store = *Store::Open(tablet->path, {}, runtime_);
    tablet->ids = *LeasedIds::Open(*tablet->store, {tablet->holder, 6, 10});
  }
  static void Stop(Tablet* tablet) {
    tablet->drafts.clear();
    tablet->drafted.clear();
    tablet->ids.reset();
    tablet->store.reset();
  }

  void Take(Tablet* tablet) {
    WriteBatch batch;
    const auto taken = tablet->ids->Take(kPool, &batch);
    if (!taken.ok()) {
      EXPECT_THAT(taken, test::StatusIs(ErrorCode::kIdsExhausted));
      return;
    }
    batch.Put("individual", taken->id, tablet->holder.device);
    if (random_() % 4 == 0) {
      tablet->drafts.push_back(std::move(batch));
      tablet->drafted.push_back(*taken);
      return;
    }
    Use(tablet, batch, *taken);
  }
  void Use(Tablet* tablet, const WriteBatch& batch, const LeasedId& taken) {
    ASSERT_OK(tablet->store->Commit(batch, {.sync = false}));
    EXPECT_TRUE(used_.insert(taken.id.text()).second) << taken.id.text() << " is used twice";
  }
  void EndDraft(Tablet* tablet) {
    if (tablet->drafts.empty()) return;
    const size_t at = random_() % tablet->drafts.size();
    const auto offset = static_cast<std::ptrdiff_t>(at);
    if (random_() % 2 == 0) {
      Use(tablet, tablet->drafts[at], tablet->drafted[at]);
    } else {
      EXPECT_OK(tablet->ids->PutBack(kPool, tablet->drafted[at]));
    }
    tablet->drafts.erase(tablet->drafts.begin() + offset);
    tablet->drafted.erase(tablet->drafted.begin() + offset);
  }
  void Refill(Tablet* tablet, IdTransport& transport) {
    const auto refill = tablet->ids->Refill(kPool, transport);
    if (!refill.ok()) {
      const ErrorCode code = refill.status().code();
      EXPECT_TRUE(code == ErrorCode::kUnavailable || code == ErrorCode::kIdsExhausted)
          << refill.status().ToString();
      return;
    }
    for (const VoidLease& lease : refill->voided) EXPECT_TRUE(lease.conflicts.empty());
  }
  /// It never comes back. What it used and did not report is nowhere else, and may be used again.
  void Destroy(Tablet* tablet) {
    const uint64_t tells = random_() % 2;
    RandomTransport transport(*pools_, random_);
    if (tells == 1 && !tablet->ids->Refill(kPool, transport).ok()) return;
    if (tells == 0) {
      RecordIterator rows = tablet->store->GetView().Scan("individual", ScanOptions{});
      const auto known = UsedAsReported(*tablet);
      while (rows.Next()) {
        if (!known.contains(rows.id())) used_.erase(rows.id());
      }
    }
    Stop(tablet);
    const auto reclaimed = pools_->Reclaim(*source_, {.pool = kPool, .holder = tablet->holder});
    EXPECT_TRUE(reclaimed.ok() || reclaimed.status().code() == ErrorCode::kNotFound);
    tablets_.erase(tablets_.begin() + (tablet - tablets_.data()));
    AddTablet();
  }
  /// Ids of the tablet's open leases are used as far as reported; all others it used are.
  std::set<std::string> UsedAsReported(const Tablet& tablet) {
    std::set<std::string> known = used_;
    const auto leases = pools_->ListLeases(kPool, tablet.holder, 0, 1000);
    for (const IdLeaseInfo& lease : *leases) {
      for (const IdRange& range : SliceIds(lease.ranges, lease.used, CountIds(lease.ranges))) {
        for (uint64_t id = range.from; id < range.to; ++id) known.erase(std::to_string(id));
      }
    }
    return known;
  }

  std::mt19937_64 random_;
  const std::shared_ptr<Runtime> runtime_;
  const test::TempDirectory directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<IdPools> pools_;
  std::vector<Tablet> tablets_;
  int made_ = 0;
  uint64_t end_ = 1200;
  std::set<std::string> used_;
};

TEST(IdPoolModelTest, NoIdIsUsedTwice) {
  const auto runtime =
      *Runtime::Create({.block_cache_bytes = 4 * 1024 * 1024, .background_threads = 1});
  const char* one = std::getenv("TIDEMARK_TEST_SEED");
  const uint64_t first = one == nullptr ? 1 : std::strtoull(one, nullptr, 10);
  const uint64_t histories = std::getenv("TIDEMARK_TEST_LONG") != nullptr ? 2000 : 8;
  const uint64_t last = one == nullptr ? histories : first;
  size_t used = 0;
  for (uint64_t seed = first; seed <= last && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("TIDEMARK_TEST_SEED=" + std::to_string(seed));
    World world(seed, runtime);
    for (int step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) {
      world.Step();
      world.Check();
    }
    used += world.used();
  }
  EXPECT_GT(used, 20U);
}

}  // namespace
}  // namespace tidemark
