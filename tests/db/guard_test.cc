// The guard promises three things: it is never ahead of what it was told, it never forgets what
// `Cover` returned for, and it says nothing rather than something wrong. The first two are tried
// with a power cut and a fault at every call, the third by damage of every kind.
#include "db/internal/guard.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/checksum.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::internal {
namespace {

using test::CrashMode;
using test::FaultKind;
using test::StatusIs;

constexpr size_t kSlotBytes = 4096;
constexpr CrashMode kModes[] = {CrashMode::kDrop, CrashMode::kTorn, CrashMode::kPrefix};

GuardState StateOf(char store, uint64_t durable) {
  GuardState state;
  state.store.fill(static_cast<uint8_t>(store));
  state.epoch.fill(7);
  state.epoch_ordinal = 3;
  state.durable = SequenceNumber(durable);
  return state;
}

std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// In place, so that the inode stays.
void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class GuardTest : public ::testing::Test {
 protected:
  GuardTest()
      : files_(std::make_shared<test::FaultFileSystem>(directory_ / "disk")),
        path_(directory_ / "disk/guard") {}

  std::optional<GuardState> Read() {
    auto state = Guard::Read(*files_, path_);
    EXPECT_OK(state);
    return state.ok() ? *state : std::nullopt;
  }

  // Sequence that the guard on disk names, or nothing.
  std::optional<uint64_t> Durable() {
    const auto state = Read();
    if (!state) return std::nullopt;
    return state->durable.value();
  }

  std::unique_ptr<GuardWriter> OpenWriter() {
    const auto state = Read();
    EXPECT_TRUE(state.has_value());
    auto writer = GuardWriter::Open(files_, path_, *state);
    EXPECT_OK(writer);
    return writer.ok() ? std::move(writer).value() : nullptr;
  }

  // A guard at 100 whose slots say 100 (slot 1) and 200 (slot 0).
  void CreateWithTwoSteps() {
    ASSERT_OK(Guard::Create(*files_, path_, StateOf('s', 100)));
    auto writer = OpenWriter();
    writer->Advance(SequenceNumber(200));
    ASSERT_OK(writer->Close(/*clean=*/false));
    ASSERT_EQ(Durable(), 200U);
  }

  test::TempDirectory directory_;
  std::shared_ptr<test::FaultFileSystem> files_;
  std::string path_;
};

TEST_F(GuardTest, IsNothingWhereThereIsNone) {
  EXPECT_EQ(Read(), std::nullopt);
}

TEST_F(GuardTest, SaysWhatItWasCreatedWith) {
  GuardState state = StateOf('s', 42);
  state.clean = true;
  ASSERT_OK(Guard::Create(*files_, path_, state));
  const auto read = Read();
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->store, state.store);
  EXPECT_EQ(read->epoch, state.epoch);
  EXPECT_EQ(read->epoch_ordinal, 3U);
  EXPECT_EQ(read->durable, SequenceNumber(42));
  EXPECT_TRUE(read->clean);
  EXPECT_FALSE(read->moved);
}

TEST_F(GuardTest, OpeningWithdrawsTheCleanFlagAndClosingSetsIt) {
  GuardState state = StateOf('s', 42);
  state.clean = true;
  ASSERT_OK(Guard::Create(*files_, path_, state));
  auto writer = OpenWriter();
  EXPECT_FALSE(Read()->clean);
  writer->Advance(SequenceNumber(50));
  ASSERT_OK(writer->Close(/*clean=*/true));
  EXPECT_TRUE(Read()->clean);
  EXPECT_EQ(Durable(), 50U);

  OpenWriter().reset();
  EXPECT_FALSE(Read()->clean);
  EXPECT_EQ(Durable(), 50U);
}

TEST_F(GuardTest, CoverWaitsForTheDiskAndStepsBackAreIgnored) {
  ASSERT_OK(Guard::Create(*files_, path_, StateOf('s', 0)));
  auto writer = OpenWriter();
  for (uint64_t sequence = 1; sequence <= 200; ++sequence) {
    writer->Advance(SequenceNumber(sequence));
    if (sequence % 7 == 0) {
      ASSERT_OK(writer->Cover(SequenceNumber(sequence)));
      ASSERT_EQ(Durable(), sequence);
    }
  }
  writer->Advance(SequenceNumber(5));
  ASSERT_OK(writer->Close(/*clean=*/false));
  EXPECT_EQ(Durable(), 200U);
}

TEST_F(GuardTest, IsExactSoonAfterTheLastStepWithoutBeingAsked) {
  ASSERT_OK(Guard::Create(*files_, path_, StateOf('s', 0)));
  auto writer = OpenWriter();
  writer->Advance(SequenceNumber(9));
  // 10 ms on a quiet machine; a busy one gets 5 s.
  for (int i = 0; i < 5000 && Durable() != 9U; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(Durable(), 9U);
}

TEST_F(GuardTest, ManyThreadsAdvanceAndCover) {
  ASSERT_OK(Guard::Create(*files_, path_, StateOf('s', 0)));
  auto writer = OpenWriter();
  std::vector<std::thread> threads;
  for (uint64_t first = 1; first <= 4; ++first) {
    threads.emplace_back([&writer, first] {
      for (uint64_t sequence = first; sequence <= 400; sequence += 4) {
        writer->Advance(SequenceNumber(sequence));
        EXPECT_OK(writer->Cover(SequenceNumber(sequence)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Durable(), 400U);
  ASSERT_OK(writer->Close(/*clean=*/true));
}

// Groups of 10 changes, each acknowledged only after the one before it is covered, as a committer
// would. Returns the last sequence that was told and the last that was covered.
struct Progress {
  uint64_t told = 0;
  uint64_t covered = 0;
};
Progress CommitGroups(GuardWriter& writer, uint64_t first) {
  Progress progress{.told = first, .covered = first};
  for (uint64_t sequence = first + 10; sequence <= first + 80; sequence += 10) {
    const uint64_t previous = progress.told;
    writer.Advance(SequenceNumber(sequence));
    progress.told = sequence;
    if (!writer.Cover(SequenceNumber(previous)).ok()) break;
    progress.covered = previous;
  }
  if (writer.Close(/*clean=*/true).ok()) progress.covered = progress.told;
  return progress;
}

TEST_F(GuardTest, APowerCutAtAnyCallNeitherForgetsNorInvents) {
  for (const CrashMode mode : kModes) {
    bool power_was_cut = true;
    int cuts = 0;
    for (uint64_t call = 1; power_was_cut; ++call, ++cuts) {
      SCOPED_TRACE(::testing::Message()
                   << "cut at " << call << ", mode " << static_cast<int>(mode));
      GuardState state = StateOf('s', 1000);
      state.clean = true;
      ASSERT_OK(Guard::Create(*files_, path_, state));
      files_->Arm({.at = call, .kind = FaultKind::kPowerCut});
      Progress progress{.told = 1000, .covered = 1000};
      if (auto writer = GuardWriter::Open(files_, path_, *Read()); writer.ok()) {
        progress = CommitGroups(**writer, 1000);
      }
      power_was_cut = files_->power_is_off();
      files_->Crash(mode, call);

      const auto read = Read();
      ASSERT_TRUE(read.has_value());
      EXPECT_GE(read->durable.value(), progress.covered);
      EXPECT_LE(read->durable.value(), progress.told);
      EXPECT_FALSE(read->moved);
      // Clean only where nothing more had been told.
      EXPECT_TRUE(!read->clean || read->durable.value() == progress.told);
      // What a cut left can be gone on from.
      auto writer = OpenWriter();
      writer->Advance(SequenceNumber(5000));
      ASSERT_OK(writer->Close(/*clean=*/true));
      ASSERT_EQ(Durable(), 5000U);
    }
    EXPECT_GT(cuts, 6);
  }
}

TEST_F(GuardTest, APowerCutDuringCreateLeavesTheOldGuardOrTheNew) {
  for (const CrashMode mode : kModes) {
    bool power_was_cut = true;
    for (uint64_t call = 1; power_was_cut; ++call) {
      SCOPED_TRACE(::testing::Message()
                   << "cut at " << call << ", mode " << static_cast<int>(mode));
      ASSERT_OK(Guard::Create(*files_, path_, StateOf('s', 1)));
      files_->Arm({.at = call, .kind = FaultKind::kPowerCut});
      const bool created = Guard::Create(*files_, path_, StateOf('s', 2)).ok();
      power_was_cut = files_->power_is_off();
      files_->Crash(mode, call);
      EXPECT_GE(Durable(), created ? 2U : 1U);
      EXPECT_LE(Durable(), 2U);
      EXPECT_FALSE(Read()->moved);
    }
  }
}

TEST_F(GuardTest, TheFirstFailureIsTheLastWrite) {
  for (const FaultKind kind : {FaultKind::kIoError, FaultKind::kNoSpace, FaultKind::kShortWrite}) {
    for (uint64_t call = 1; call <= 6; ++call) {
      SCOPED_TRACE(::testing::Message() << "call " << call << ", kind " << static_cast<int>(kind));
      ASSERT_OK(Guard::Create(*files_, path_, StateOf('s', 0)));
      auto writer = OpenWriter();
      files_->Arm({.at = call, .kind = kind});
      Status status;
      uint64_t sequence = 0;
      for (; status.ok() && sequence < 100; sequence += 10) {
        writer->Advance(SequenceNumber(sequence + 10));
        status = writer->Cover(SequenceNumber(sequence + 10));
      }
      const auto expected =
          kind == FaultKind::kNoSpace ? ErrorCode::kDiskFull : ErrorCode::kIoError;
      EXPECT_THAT(status, StatusIs(expected));
      EXPECT_EQ(files_->calls(), call) << "something was tried again";

      writer->Advance(SequenceNumber(999));
      EXPECT_THAT(writer->Cover(SequenceNumber(999)), StatusIs(expected));
      EXPECT_THAT(writer->status(), StatusIs(expected));
      EXPECT_THAT(writer->Close(/*clean=*/true), StatusIs(expected));
      EXPECT_LE(*Durable(), sequence);
      EXPECT_FALSE(Read()->clean);
    }
  }
}

TEST_F(GuardTest, AFailedSyncIsSticky) {
  ASSERT_OK(Guard::Create(*files_, path_, StateOf('s', 0)));
  auto writer = OpenWriter();
  files_->Arm({.at = 1, .syncs_only = true});
  writer->Advance(SequenceNumber(1));
  EXPECT_THAT(writer->Cover(SequenceNumber(1)), StatusIs(ErrorCode::kIoError));
  EXPECT_THAT(writer->Close(/*clean=*/true), StatusIs(ErrorCode::kIoError));
  EXPECT_EQ(files_->calls(), 1U);
}

TEST_F(GuardTest, ATornSlotFallsBackToTheOther) {
  CreateWithTwoSteps();
  const std::string whole = ReadBytes(path_);
  ASSERT_EQ(whole.size(), 2 * kSlotBytes);
  for (size_t byte = 0; byte < kSlotBytes; byte += byte < 128 ? 1 : 61) {
    std::string bytes = whole;
    bytes[byte] = static_cast<char>(bytes[byte] ^ 0x10);
    WriteBytes(path_, bytes);
    EXPECT_EQ(Durable(), 100U) << "byte " << byte;
    bytes = whole;
    bytes[kSlotBytes + byte] = static_cast<char>(bytes[kSlotBytes + byte] ^ 0x10);
    WriteBytes(path_, bytes);
    EXPECT_EQ(Durable(), 200U) << "byte " << byte;
  }
}

TEST_F(GuardTest, GoesOnInTheTornSlot) {
  CreateWithTwoSteps();
  std::string bytes = ReadBytes(path_);
  bytes[100] = 'x';
  WriteBytes(path_, bytes);
  auto writer = OpenWriter();
  writer->Advance(SequenceNumber(150));
  ASSERT_OK(writer->Close(/*clean=*/false));
  EXPECT_EQ(Durable(), 150U);
}

TEST_F(GuardTest, ShortFilesSayWhatTheyStillCan) {
  CreateWithTwoSteps();
  const std::string whole = ReadBytes(path_);
  WriteBytes(path_, whole.substr(0, 2 * kSlotBytes - 1));
  EXPECT_EQ(Durable(), 200U);
  for (const size_t size : {kSlotBytes - 1, size_t{4}, size_t{0}}) {
    WriteBytes(path_, whole.substr(0, size));
    EXPECT_EQ(Durable(), std::nullopt);
  }
}

TEST_F(GuardTest, SwappedSlotsAreRefused) {
  CreateWithTwoSteps();
  const std::string whole = ReadBytes(path_);
  WriteBytes(path_, whole.substr(kSlotBytes) + whole.substr(0, kSlotBytes));
  EXPECT_EQ(Durable(), std::nullopt);
}

TEST_F(GuardTest, SlotsOfTwoStoresAreRefused) {
  CreateWithTwoSteps();
  const std::string ours = ReadBytes(path_);
  const std::string other = directory_ / "disk/other";
  ASSERT_OK(Guard::Create(*files_, other, StateOf('t', 900)));
  const std::string theirs = ReadBytes(other);
  WriteBytes(path_, ours.substr(0, kSlotBytes) + theirs.substr(kSlotBytes));
  EXPECT_EQ(Durable(), std::nullopt);
  WriteBytes(path_, theirs.substr(0, kSlotBytes) + ours.substr(kSlotBytes));
  EXPECT_EQ(Durable(), std::nullopt);
}

TEST_F(GuardTest, ACopyIsKnownForOne) {
  CreateWithTwoSteps();
  const std::string copy = directory_ / "disk/copy";
  std::filesystem::copy_file(path_, copy);
  path_ = copy;
  const auto read = Read();
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->moved);
  EXPECT_EQ(read->durable, SequenceNumber(200));
}

TEST_F(GuardTest, AnotherVersionIsNotGuessedAt) {
  CreateWithTwoSteps();
  std::string bytes = ReadBytes(path_);
  bytes[7] = 2;  // the version, after the magic
  std::string hash;
  AppendHash(&hash, Checksum128(std::string_view(bytes).substr(0, kSlotBytes - 16)));
  bytes.replace(kSlotBytes - 16, 16, hash);
  WriteBytes(path_, bytes);
  EXPECT_THAT(Guard::Read(*files_, path_), StatusIs(ErrorCode::kNewerFormat));
}

}  // namespace
}  // namespace tidemark::internal
