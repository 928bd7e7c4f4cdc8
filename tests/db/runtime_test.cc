// The runtime: defaults, limits, and the seams through which tests put their own world.
#include "db/runtime.h"

#include <array>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "db/internal/rocks_status.h"
#include "db/internal/runtime_impl.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark {
namespace {

using internal::FromRocks;
using test::IsOk;
using test::StatusIs;
using ::testing::HasSubstr;

constexpr size_t kMiB = 1024 * 1024;

TEST(RuntimeTest, DefaultsAreThoseOfTheMachine) {
  auto runtime = Runtime::Create();
  ASSERT_OK(runtime);
  Clock& clock = (*runtime)->clock();
  const MonotonicTime before = clock.Now();
  EXPECT_GE(clock.Now(), before);
  EXPECT_GT(clock.WallMilliseconds(), int64_t{1'500'000'000'000});

  std::array<uint8_t, 300> first{};
  std::array<uint8_t, 300> second{};
  (*runtime)->random().Fill(first);
  (*runtime)->random().Fill(second);
  EXPECT_NE(first, second);
  (*runtime)->random().Fill({});
}

TEST(RuntimeTest, LimitsAreNamed) {
  EXPECT_THAT(Runtime::Create({.block_cache_bytes = kMiB, .write_buffer_bytes = kMiB}), IsOk());
  EXPECT_THAT(Runtime::Create({.block_cache_bytes = kMiB - 1}),
              StatusIs(ErrorCode::kInvalidArgument, HasSubstr("block_cache_bytes")));
  EXPECT_THAT(Runtime::Create({.write_buffer_bytes = kMiB - 1}),
              StatusIs(ErrorCode::kInvalidArgument, HasSubstr("write_buffer_bytes")));
  EXPECT_THAT(Runtime::Create({.background_threads = 1}), IsOk());
  for (const int threads : {-1, 0, 65}) {
    EXPECT_THAT(Runtime::Create({.background_threads = threads}),
                StatusIs(ErrorCode::kInvalidArgument, HasSubstr("background_threads")));
  }
}

class StoppedClock final : public Clock {
 public:
  MonotonicTime Now() override { return MonotonicTime(std::chrono::hours(1)); }
  int64_t WallMilliseconds() override { return 7; }
};

class NoRandom final : public Random {
 public:
  void Fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = 4;
  }
};

TEST(RuntimeTest, ClockAndRandomCanBeReplaced) {
  auto runtime = Runtime::Create(
      {.clock = std::make_shared<StoppedClock>(), .random = std::make_shared<NoRandom>()});
  ASSERT_OK(runtime);
  EXPECT_EQ((*runtime)->clock().WallMilliseconds(), 7);
  std::array<uint8_t, 2> bytes{};
  (*runtime)->random().Fill(bytes);
  EXPECT_EQ(bytes, (std::array<uint8_t, 2>{4, 4}));
}

// All memory and files of a database go through what the runtime holds.
TEST(RuntimeTest, ADatabaseLivesInItsRuntime) {
  const test::TempDirectory directory;
  auto files = std::make_shared<test::FaultFileSystem>(directory / "disk");
  auto runtime = internal::CreateRuntime({}, test::NewFaultEnv(files));
  ASSERT_OK(runtime);
  const internal::RuntimeImpl& impl = (*runtime)->impl();
  EXPECT_EQ(impl.file_system, files);

  rocksdb::Options options;
  options.env = impl.env();
  options.create_if_missing = true;
  options.write_buffer_manager = impl.write_buffer_manager;
  options.allow_fallocate = false;
  rocksdb::DB* opened = nullptr;
  ASSERT_OK(FromRocks(rocksdb::DB::Open(options, directory / "disk/db", &opened), "open"));
  const std::unique_ptr<rocksdb::DB> db(opened);
  EXPECT_GT(impl.write_buffer_manager->memory_usage(), 0U);
  EXPECT_GT(files->calls(), 5U);

  files->Arm({.at = 1, .kind = test::FaultKind::kNoSpace, .sticky = true});
  rocksdb::WriteOptions sync;
  sync.sync = true;
  EXPECT_THAT(FromRocks(db->Put(sync, "k", "v"), "put"),
              StatusIs(ErrorCode::kDiskFull, HasSubstr("put: ")));
}

TEST(RocksStatusTest, EveryOutcomeHasACode) {
  using rocksdb::Status;
  const std::pair<Status, ErrorCode> cases[] = {
      {Status::OK(), ErrorCode::kOk},
      {Status::NotFound("x"), ErrorCode::kNotFound},
      {Status::Corruption("x"), ErrorCode::kCorruption},
      {Status::IOError("x"), ErrorCode::kIoError},
      {Status::NoSpace("x"), ErrorCode::kDiskFull},
      {Status::InvalidArgument("x"), ErrorCode::kInvalidArgument},
      {Status::NotSupported("x"), ErrorCode::kUnsupported},
      {Status::Busy("x"), ErrorCode::kBusy},
      {Status::ShutdownInProgress("x"), ErrorCode::kClosed},
      {Status::Aborted("x"), ErrorCode::kInternal},
  };
  for (const auto& [rocks, code] : cases) {
    EXPECT_EQ(FromRocks(rocks, "context").code(), code) << rocks.ToString();
  }
}

}  // namespace
}  // namespace tidemark
