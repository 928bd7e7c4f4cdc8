// Random histories of a device that syncs by files and by a network in turn, with files that are
// lost, applied twice, late, and in any order, a source and others that write, kills and resets.
// After each quiescence the device holds what its source holds, and every write had one outcome.
//
//   TIDEMARK_TEST_SEED=n   replays one history;  TIDEMARK_TEST_LONG=1   many
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/replication/bundle_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

using test::BundleTest;

constexpr int kIds = 6;
constexpr int kSteps = 120;
constexpr size_t kFilesKept = 6;

class BundleHistoryTest : public BundleTest {
 protected:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  std::string AnyId() { return std::to_string(Below(kIds)); }

  void WriteAtSource() {
    if (Below(3) == 0) {
      Delete("visits", AnyId());
    } else {
      Put("visits", AnyId(), "s" + std::to_string(++writes_));
    }
  }
  void WriteAtDevice() {
    if (Below(3) == 0) {
      DeleteHere(AnyId());
    } else {
      WriteHere(AnyId(), "d" + std::to_string(++writes_));
    }
  }
  std::string NewFile() {
    const std::string name = "file" + std::to_string(++files_made_);
    files_.push_back(name);
    if (files_.size() > kFilesKept) {
      fs::remove(File(files_.front()));
      files_.erase(files_.begin());
    }
    return name;
  }
  /// Any file to any side: what is refused changes nothing, and what is taken is right.
  void ApplyAnyFile() {
    if (files_.empty()) return;
    const fs::path file = File(files_[Below(files_.size())]);
    if (!fs::exists(file)) return;
    const bool here = Below(2) == 0;
    const Status status = here ? tablet_.replica->ApplyBundle(file).status()
                               : source_->ApplyBundle(file, File(NewFile())).status();
    trace_ += (here ? " here:" : " source:") + status.ToString().substr(0, 14);
    if (status.ok()) ++taken_;
  }
  /// A replica that its source takes for another one has to be online once.
  void SyncByFilesIfKnown() {
    PackHere("up");
    if (fs::exists(File("up")) && source_->ApplyBundle(File("up"), File("answers")).ok() &&
        fs::exists(File("answers"))) {
      ApplyHere("answers");
    }
    fs::remove(File("up"));
    fs::remove(File("answers"));
    if (PackAtSource("down").nothing) return;
    const Status applied = tablet_.replica->ApplyBundle(File("down")).status();
    trace_ += " down:" + applied.ToString().substr(0, 14);
    if (applied.ok()) {
      ++taken_;
    } else {
      EXPECT_THAT(applied, test::StatusIs(ErrorCode::kWrongDevice));
      Pull();
    }
  }
  void Step() {
    const uint64_t what = Below(40);
    trace_ += " " + std::to_string(what);
    if (what < 9) {
      WriteAtSource();
    } else if (what < 16) {
      WriteAtDevice();
    } else if (what < 20) {
      PackAtSource(NewFile(), {.page_records = 1 + Below(3)});
    } else if (what < 23) {
      PackHere(NewFile());
    } else if (what < 33) {
      ApplyAnyFile();
    } else if (what < 34) {
      Pull();
    } else if (what < 35) {
      Push();
    } else if (what < 36) {
      SyncByFilesIfKnown();
    } else if (what < 37) {
      Open(&tablet_);
    } else if (what < 38) {
      Reopen();
    } else if (what < 39) {
      ASSERT_OK(source_->Upkeep());
    } else if (Below(4) == 0) {
      static_cast<void>(source_->Reset("tablet").ok());  // it may not know the device yet
    }
  }
  void Quiesce(bool by_files) {
    for (int i = 0; i < 4; ++i) {
      if (by_files) {
        SyncByFilesIfKnown();
      } else {
        Push();
        Pull();
      }
    }
    EXPECT_EQ(tablet_.replica->outbox().pending, 0U);
    EXPECT_EQ(Held(), Live());
    Pull();
    EXPECT_EQ(Held(), Live());
    EXPECT_TRUE(Pull().nothing_owed);
  }
  void Run(uint64_t seed) {
    SCOPED_TRACE("TIDEMARK_TEST_SEED=" + std::to_string(seed));
    random_.seed(seed);
    for (int step = 1; step <= kSteps && !HasFailure(); ++step) {
      Step();
      if (step % 40 == 0) Quiesce(Below(2) == 0);
    }
    EXPECT_FALSE(HasFailure()) << trace_;
  }

  std::mt19937_64 random_;
  std::vector<std::string> files_;
  uint64_t files_made_ = 0;
  uint64_t writes_ = 0;
  uint64_t taken_ = 0;
  std::string trace_;
};

class BundleHistories : public BundleHistoryTest, public ::testing::WithParamInterface<uint64_t> {};

TEST_P(BundleHistories, ConvergeWithTheirSource) {
  const char* const seed = std::getenv("TIDEMARK_TEST_SEED");
  Run(seed != nullptr ? std::stoul(seed) : GetParam());
  EXPECT_GT(taken_, 0U);
}

uint64_t Histories() {
  return std::getenv("TIDEMARK_TEST_LONG") != nullptr ? 2000 : 40;
}
INSTANTIATE_TEST_SUITE_P(Random, BundleHistories, ::testing::Range(uint64_t{1}, 1 + Histories()));

}  // namespace
}  // namespace tidemark
