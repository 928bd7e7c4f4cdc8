// The power of a source, and of a device, fails at the n-th call that changes a file, while ids are
// leased and used. After that: no id was given twice, what was answered stays answered, and an id
// is used exactly if its row is there (contract 37).
//
//   TIDEMARK_TEST_LONG=1   every call instead of every 7th
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "db/internal/runtime_impl.h"
#include "replication/id_pool.h"
#include "replication/leased_ids.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark {
namespace {

using test::CrashMode;
using test::FaultFileSystem;
using test::FaultKind;

constexpr char kPool[] = "registration";
constexpr int kSteps = 24;

/// A store on a disk that may lose its power.
class Machine {
 public:
  explicit Machine(const std::filesystem::path& path)
      : path_(path), files_(std::make_shared<FaultFileSystem>(path)) {}

  Status Open() {
    auto runtime = internal::CreateRuntime(
        {.block_cache_bytes = 1024 * 1024, .background_threads = 1}, test::NewFaultEnv(files_));
    if (!runtime.ok()) return runtime.status();
    TIDEMARK_ASSIGN_OR_RETURN(
        store_, Store::Open(path_ / "store", {.window_records = 8}, std::move(*runtime)));
    return {};
  }
  void Close() { store_.reset(); }
  FaultFileSystem& files() { return *files_; }
  Store& store() { return *store_; }

 private:
  const std::filesystem::path path_;
  std::shared_ptr<FaultFileSystem> files_;
  std::unique_ptr<Store> store_;
};

class World {
 public:
  World() : source_(directory_.path() / "source"), device_(directory_.path() / "device") {}

  Machine& source() { return source_; }
  Machine& device() { return device_; }

  Status Open() {
    TIDEMARK_RETURN_IF_ERROR(source_.Open());
    TIDEMARK_RETURN_IF_ERROR(device_.Open());
    TIDEMARK_ASSIGN_OR_RETURN(pools_, IdPools::Open(source_.store()));
    TIDEMARK_ASSIGN_OR_RETURN(
        ids_,
        LeasedIds::Open(device_.store(), {.holder = {"tablet"}, .low_mark = 3, .fill_to = 5}));
    return {};
  }
  void Close() {
    ids_.reset();
    pools_.reset();
    source_.Close();
    device_.Close();
  }

  Status Step(int step) {
    if (step == 0) {
      return pools_->Define(kPool, {.range = {100, 300}, .block_max = 5}).status();
    }
    if (step % 6 == 1) return ids_->Refill(kPool, *pools_).status();
    if (step == 15) return ids_->GiveBack(kPool, *pools_);
    if (step % 6 == 3) return Lease(step);
    return Register();
  }

  /// Everything answered and used so far holds, and what comes is new.
  void Check() {
    if (!pools_->Find(kPool).ok()) return;  // the power failed before anyone was told of it
    std::set<std::string> in_rows;
    RecordIterator rows = device_.store().GetView().Scan("individual", ScanOptions{});
    while (rows.Next()) in_rows.insert(rows.id());
    ASSERT_OK(rows.status());
    for (const std::string& id : registered_) EXPECT_TRUE(in_rows.contains(id)) << id;
    used_ = in_rows;  // also what was committed without anyone being told
    for (const auto& [request, lease] : answered_) Use(lease);
    for (const auto& [request, lease] : answered_) {
      const auto again = Ask(request);
      ASSERT_OK(again);
      EXPECT_EQ(again->ranges, lease.ranges) << "asked again by " << request;
    }
    for (int i = 0; i < 3; ++i) ASSERT_OK(Lease(1000 + i));
    for (int i = 0; i < 12; ++i) {
      ASSERT_OK(ids_->Refill(kPool, *pools_));
      ASSERT_OK(Register());
    }
    const auto info = pools_->Find(kPool);
    EXPECT_EQ(info->free + info->held + info->used, 200U);
  }

 private:
  Result<IdLease> Ask(const std::string& request) {
    return pools_->Lease({.pool = kPool, .holder = {"phone"}, .count = 4, .request_id = request});
  }
  /// The phone uses all that it is leased, at once.
  Status Lease(int step) {
    const std::string request = "r" + std::to_string(step);
    TIDEMARK_ASSIGN_OR_RETURN(const IdLease lease, Ask(request));
    Use(lease);
    answered_.emplace_back(request, lease);
    return {};
  }
  void Use(const IdLease& lease) {
    for (uint64_t i = 0; i < lease.count(); ++i) {
      EXPECT_TRUE(used_.insert(std::to_string(IdAt(lease.ranges, i))).second) << "given twice";
    }
  }
  Status Register() {
    WriteBatch batch;
    const auto taken = ids_->Take(kPool, &batch);
    if (taken.status().code() == ErrorCode::kIdsExhausted) return {};
    if (!taken.ok()) return taken.status();
    batch.Put("individual", taken->id, "someone");
    TIDEMARK_RETURN_IF_ERROR(device_.store().Commit(batch).status());
    EXPECT_TRUE(used_.insert(taken->id.text()).second) << taken->id.text() << " is used twice";
    registered_.push_back(taken->id.text());
    return {};
  }

  test::TempDirectory directory_;
  Machine source_;
  Machine device_;
  std::unique_ptr<IdPools> pools_;
  std::unique_ptr<LeasedIds> ids_;
  std::set<std::string> used_;
  std::vector<std::string> registered_;
  std::vector<std::pair<std::string, IdLease>> answered_;
};

uint64_t CountCalls(Machine& (World::*which)()) {
  World world;
  EXPECT_OK(world.Open());
  (world.*which)().files().Arm({});
  for (int step = 0; step < kSteps; ++step) EXPECT_OK(world.Step(step));
  const uint64_t calls = (world.*which)().files().calls();
  world.Check();
  world.Close();
  return calls;
}

void CutAtMany(Machine& (World::*which)()) {
  const uint64_t stride = std::getenv("TIDEMARK_TEST_LONG") != nullptr ? 1 : 3;
  const uint64_t calls = CountCalls(which);
  ASSERT_GT(calls, 20U);
  for (uint64_t at = 1; at <= calls && !::testing::Test::HasFailure(); at += stride) {
    SCOPED_TRACE("power cut at call " + std::to_string(at));
    World world;
    ASSERT_OK(world.Open());
    (world.*which)().files().Arm({.at = at, .kind = FaultKind::kPowerCut});
    for (int step = 0; step < kSteps; ++step) {
      if (!world.Step(step).ok()) break;
    }
    world.Close();
    const CrashMode modes[] = {CrashMode::kDrop, CrashMode::kTorn, CrashMode::kPrefix};
    (world.*which)().files().Crash(modes[at % 3], at);
    ASSERT_OK(world.Open());
    world.Check();
    world.Close();
  }
}

TEST(IdPoolPowerCutTest, OfTheSource) {
  CutAtMany(&World::source);
}

TEST(IdPoolPowerCutTest, OfTheDevice) {
  CutAtMany(&World::device);
}

}  // namespace
}  // namespace tidemark
