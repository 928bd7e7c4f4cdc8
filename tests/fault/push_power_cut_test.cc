// The power of a device, or of its source, fails at the n-th call that changes a file, for many n,
// while the device writes, pushes and pulls. After that: whatever the device was told is written is
// at the source in the end, once; nothing is there that was never written; both are equal, without
// a reset (contract 34 to 36, case 24).
//
//   TIDEMARK_TEST_LONG=1   every call instead of every 7th
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "db/internal/runtime_impl.h"
#include "replication/replica.h"
#include "replication/transport.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark {
namespace {

using test::CrashMode;
using test::FaultFileSystem;
using test::FaultKind;

constexpr int kSteps = 36;
constexpr int kIds = 5;
const char kDeviceId[] = "tablet";

using Contents = std::map<std::string, std::string>;

Contents ContentsOf(const Store& store) {
  Contents contents;
  const View view = store.GetView();
  for (const EntityInfo& info : store.ListEntities()) {
    RecordIterator records = view.Scan(info.name, ScanOptions{});
    while (records.Next()) contents[info.name + "/" + records.id()] = records.value();
    EXPECT_OK(records.status());
  }
  return contents;
}

/// A device and its source, each on a disk of its own.
class World {
 public:
  World()
      : source_files_(std::make_shared<FaultFileSystem>(directory_ / "source")),
        device_files_(std::make_shared<FaultFileSystem>(directory_ / "device")) {}

  FaultFileSystem& source_files() { return *source_files_; }
  FaultFileSystem& device_files() { return *device_files_; }

  Status OpenSource() {
    TIDEMARK_ASSIGN_OR_RETURN(auto runtime, NewRuntime(source_files_));
    TIDEMARK_ASSIGN_OR_RETURN(
        store_,
        Store::Open(directory_.path() / "source" / "store", {.window_records = 8}, runtime));
    TIDEMARK_ASSIGN_OR_RETURN(source_, Source::Open(*store_));
    return {};
  }
  Status OpenDevice() {
    TIDEMARK_ASSIGN_OR_RETURN(auto runtime, NewRuntime(device_files_));
    ReplicaOptions options;
    options.page.records_max = 3;
    options.store.window_records = 8;
    TIDEMARK_ASSIGN_OR_RETURN(
        replica_,
        Replica::Open(directory_.path() / "device" / "store", kDeviceId, options, runtime));
    return {};
  }
  void CloseSource() {
    source_.reset();
    store_.reset();
  }
  void CloseDevice() { replica_.reset(); }

  /// One step of the script; an error ends it.
  Status Step(int step);
  /// Syncs until nothing is left, and compares.
  void ConvergeAndCheck();

 private:
  static Result<std::shared_ptr<Runtime>> NewRuntime(
      const std::shared_ptr<FaultFileSystem>& files) {
    return internal::CreateRuntime({.block_cache_bytes = 1024 * 1024, .background_threads = 1},
                                   test::NewFaultEnv(files));
  }
  Status Write(int step);
  Status WriteEvent(int step);
  Status Push() {
    LocalTransport transport(*source_);
    return replica_->Push(transport).status();
  }
  Status Pull() {
    LocalTransport transport(*source_);
    const auto pulled = replica_->Pull(transport);
    if (!pulled.ok()) return pulled.status();
    EXPECT_FALSE(pulled->reset) << "nothing calls for a reset";
    return {};
  }
  Status WriteAtSource(int step) {
    WriteBatch batch;
    batch.Put("plans", "p" + std::to_string(step % 3), "plan " + std::to_string(step));
    return store_->Commit(batch).status();
  }

  test::TempDirectory directory_;
  std::shared_ptr<FaultFileSystem> source_files_;
  std::shared_ptr<FaultFileSystem> device_files_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<Replica> replica_;

  // What the device wrote; an empty text is a deletion.
  Contents certain_;
  Contents possible_;  // a write that was not answered
};

Status World::Write(int step) {
  const std::string first = "u" + std::to_string(step % kIds);
  const std::string second = "u" + std::to_string((step + 2) % kIds);
  WriteBatch batch;
  batch.Put("users", first, "user " + std::to_string(step));
  batch.Delete("users", second);
  possible_ = {{"users/" + first, "user " + std::to_string(step)}, {"users/" + second, ""}};
  const auto written = replica_->Write(batch, {.replace = step % 8 == 0});
  if (!written.ok()) return written.status();
  for (const auto& [key, value] : possible_) certain_[key] = value;
  possible_.clear();
  return {};
}

Status World::WriteEvent(int step) {
  const std::string id = "e" + std::to_string(step);
  possible_ = {{"visits/" + id, "visit"}};
  const auto written = replica_->Write(WriteBatch().Append("visits", RecordId(id), "visit"));
  if (!written.ok()) return written.status();
  certain_.merge(possible_);
  possible_.clear();
  return {};
}

Status World::Step(int step) {
  switch (step % 6) {
    case 0:
    case 4:
      return Write(step);
    case 1:
      return WriteEvent(step);
    case 2:
      return WriteAtSource(step);
    case 3:
      return Push();
    default:
      return step % 4 == 1 ? Pull() : Status();
  }
}

void World::ConvergeAndCheck() {
  for (int round = 0; round < 3; ++round) {
    ASSERT_OK(Push());
    ASSERT_OK(Pull());
  }
  const OutboxStatus outbox = replica_->outbox();
  EXPECT_EQ(outbox.pending, 0U);
  EXPECT_EQ(outbox.failed, 0U) << "nobody else wrote these records";
  EXPECT_EQ(outbox.records, 0U);
  const Contents there = ContentsOf(*store_);
  EXPECT_EQ(ContentsOf(replica_->store()), there);
  std::set<std::string> keys;
  for (const auto& [key, value] : certain_) keys.insert(key);
  for (const auto& [key, value] : possible_) keys.insert(key);
  for (const auto& [key, value] : there) {
    if (!key.starts_with("plans/")) keys.insert(key);
  }
  for (const std::string& key : keys) {
    const auto found = there.find(key);
    const std::string value = found == there.end() ? "" : found->second;
    const auto certain = certain_.find(key);
    const auto possible = possible_.find(key);
    const bool right = value == (certain == certain_.end() ? "" : certain->second) ||
                       (possible != possible_.end() && value == possible->second);
    EXPECT_TRUE(right) << key << " is \"" << value << "\"";
  }
}

enum class Side : uint8_t { kDevice, kSource };

FaultFileSystem& FilesOf(World& world, Side side) {
  return side == Side::kDevice ? world.device_files() : world.source_files();
}

/// The number of calls that the whole script makes on one side.
uint64_t CountCalls(Side side) {
  World world;
  EXPECT_OK(world.OpenSource());
  EXPECT_OK(world.OpenDevice());
  FilesOf(world, side).Arm({});
  for (int step = 0; step < kSteps; ++step) EXPECT_OK(world.Step(step));
  const uint64_t calls = FilesOf(world, side).calls();
  world.ConvergeAndCheck();
  return calls;
}

class PushPowerCutTest : public testing::TestWithParam<Side> {};

TEST_P(PushPowerCutTest, PowerCutAtManyCalls) {
  const uint64_t stride = std::getenv("TIDEMARK_TEST_LONG") != nullptr ? 1 : 7;
  const uint64_t calls = CountCalls(GetParam());
  ASSERT_GT(calls, 50U);
  for (uint64_t at = 1; at <= calls && !HasFailure(); at += stride) {
    SCOPED_TRACE("power cut at call " + std::to_string(at));
    World world;
    ASSERT_OK(world.OpenSource());
    ASSERT_OK(world.OpenDevice());
    FaultFileSystem& files = FilesOf(world, GetParam());
    files.Arm({.at = at, .kind = FaultKind::kPowerCut});
    for (int step = 0; step < kSteps; ++step) {
      if (!world.Step(step).ok()) break;
    }
    const CrashMode modes[] = {CrashMode::kDrop, CrashMode::kTorn, CrashMode::kPrefix};
    if (GetParam() == Side::kDevice) {
      world.CloseDevice();
      files.Crash(modes[at % 3], at);
      ASSERT_OK(world.OpenDevice());
    } else {
      world.CloseSource();
      files.Crash(modes[at % 3], at);
      ASSERT_OK(world.OpenSource());
    }
    world.ConvergeAndCheck();
  }
}

INSTANTIATE_TEST_SUITE_P(Sides,
                         PushPowerCutTest,
                         testing::Values(Side::kDevice, Side::kSource),
                         [](const auto& side) {
                           return side.param == Side::kDevice ? "Device" : "Source";
                         });

}  // namespace
}  // namespace tidemark
