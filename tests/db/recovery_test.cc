// Opening what is not as it was left: lost logs, copies, missing guards, flipped bits, newer
// formats.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "db/internal/store_state.h"
#include "db/tuning.h"
#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;
using test::StatusIs;
using ::testing::HasSubstr;

class RecoveryTest : public test::StoreTest {
 protected:
  /// Ten commits; then the machine is gone: what lies in `path()` is a copy made while it ran.
  void WriteAndVanish() {
    Open();
    for (int i = 0; i < 10; ++i) ASSERT_OK(Put("users", std::to_string(i), std::string(50, 'x')));
    // Renaming keeps the guard's file the same one to the kernel, as a power cut would.
    const fs::path running = directory_.path() / "running";
    sequence_ = store_->last_sequence();
    fs::copy(path(), running, fs::copy_options::recursive);
    const std::vector<fs::path> logs = Files(running / "db", ".log");
    ASSERT_EQ(logs.size(), 1U);
    log_bytes_ = fs::file_size(logs[0]);
    ASSERT_OK(store_->Close());
    store_.reset();
    fs::remove_all(path() / "db");
    fs::rename(running / "db", path() / "db");
  }

  static std::vector<fs::path> Files(const fs::path& directory, const std::string& ending) {
    std::vector<fs::path> found;
    for (const auto& file : fs::directory_iterator(directory)) {
      const std::string name = file.path().filename();
      if (name.ends_with(ending) || name.starts_with(ending)) found.push_back(file.path());
    }
    return found;
  }
  fs::path LogFile() const { return Files(path() / "db", ".log").at(0); }

  static void FlipBit(const fs::path& file, uint64_t at) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(at));
    const int byte = stream.get();
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put(static_cast<char>(byte ^ 4));
  }

  void ExpectLossIsSaidAndCanBeAccepted() {
    const auto refused = Store::Open(path(), {}, test::SmallRuntime());
    ASSERT_THAT(refused,
                StatusIs(ErrorCode::kDataLoss, HasSubstr("tidemark recover --accept-loss")));
    Open({.accept_loss = true});
    ExpectNewEpoch(2);
    EXPECT_THAT(test::Problems(*store_), ::testing::IsEmpty());
    Reopen();
    EXPECT_EQ(store_->identity().epochs.size(), 2U);
  }

  void ExpectNewEpoch(uint64_t ordinal) {
    EXPECT_EQ(store_->identity().epochs.back().ordinal, ordinal);
    EXPECT_GE(store_->last_sequence().value(), tuning::kEpochJump);
  }

  SequenceNumber sequence_;
  uint64_t log_bytes_ = 0;
};

TEST_F(RecoveryTest, WhatVanishedWhileRunningIsAllThere) {
  WriteAndVanish();
  Open();
  EXPECT_EQ(store_->last_sequence(), sequence_);
  EXPECT_EQ(store_->identity().epochs.size(), 1U);
  EXPECT_EQ(Value("users", "9"), std::string(50, 'x'));
}

TEST_F(RecoveryTest, ADeletedLogIsNoticed) {
  WriteAndVanish();
  fs::remove(LogFile());
  ExpectLossIsSaidAndCanBeAccepted();
}

TEST_F(RecoveryTest, ALogCutShortByWholeCommitsIsNoticed) {
  WriteAndVanish();
  fs::resize_file(LogFile(), log_bytes_ * 2 / 3);
  ExpectLossIsSaidAndCanBeAccepted();
}

TEST_F(RecoveryTest, AFlippedBitInTheLogIsNoticed) {
  WriteAndVanish();
  FlipBit(LogFile(), log_bytes_ / 2);
  ExpectLossIsSaidAndCanBeAccepted();
}

TEST_F(RecoveryTest, AReaderSeesTheLossToo) {
  WriteAndVanish();
  fs::resize_file(LogFile(), log_bytes_ / 2);
  EXPECT_THAT(Store::Open(path(), {.read_only = true}, test::SmallRuntime()),
              StatusIs(ErrorCode::kDataLoss));
}

TEST_F(RecoveryTest, ACopiedDirectoryIsAnotherHistory) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(store_->Close());
  store_.reset();
  fs::copy(path(), directory_.path() / "copy", fs::copy_options::recursive);
  fs::rename(path(), directory_.path() / "original");
  fs::rename(directory_.path() / "copy", path());
  Open();
  ExpectNewEpoch(2);
  EXPECT_EQ(store_->identity().epochs.back().branch, SequenceNumber(1));
  EXPECT_EQ(Value("users", "a"), "1");
}

TEST_F(RecoveryTest, ALossInACopiedDirectoryIsNoticed) {
  WriteAndVanish();
  fs::remove(LogFile());
  fs::copy(path(), directory_.path() / "copy", fs::copy_options::recursive);
  fs::rename(path(), directory_.path() / "original");
  fs::rename(directory_.path() / "copy", path());
  EXPECT_THAT(Store::Open(path(), {.read_only = true}, test::SmallRuntime()),
              StatusIs(ErrorCode::kDataLoss));
  ExpectLossIsSaidAndCanBeAccepted();
}

// The guard is of epoch 2, the database from before that began.
TEST_F(RecoveryTest, ADatabaseOlderThanTheEpochOfItsGuardIsALoss) {
  Open();
  for (int i = 0; i < 3; ++i) ASSERT_OK(Put("users", i, "1"));
  ASSERT_OK(store_->Close());
  store_.reset();
  fs::copy(path() / "db", directory_.path() / "old", fs::copy_options::recursive);
  fs::remove(path() / "GUARD");
  Open();
  ASSERT_OK(Put("users", 3, "1"));
  const SequenceNumber lost = store_->last_sequence();
  ASSERT_OK(store_->Close());
  store_.reset();
  fs::remove_all(path() / "db");
  fs::rename(directory_.path() / "old", path() / "db");

  EXPECT_THAT(Store::Open(path(), {.read_only = true}, test::SmallRuntime()),
              StatusIs(ErrorCode::kDataLoss));
  EXPECT_THAT(Store::Open(path(), {}, test::SmallRuntime()),
              StatusIs(ErrorCode::kDataLoss, HasSubstr("in a later epoch")));
  Open({.accept_loss = true});
  ExpectNewEpoch(3);
  // Well above what the lost epoch used, which began a jump above the branch.
  EXPECT_GT(store_->last_sequence(), lost + (tuning::kEpochJump - 1000));
  Reopen();
  EXPECT_EQ(store_->identity().epochs.size(), 2U);
}

// A database that went on under epoch 1 has more commits than the guard of epoch 2, and yet lacks
// what that one acknowledged.
TEST_F(RecoveryTest, AnotherBranchOfTheHistoryIsALoss) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(store_->Close());
  store_.reset();
  fs::copy(path(), directory_.path() / "copy", fs::copy_options::recursive);
  store_ = test::OpenStore(directory_.path() / "copy");
  ExpectNewEpoch(2);
  store_.reset();
  Open();
  for (int i = 0; i < 9; ++i) ASSERT_OK(Put("users", i, "1"));
  store_.reset();
  fs::remove_all(directory_.path() / "copy" / "db");
  fs::copy(path() / "db", directory_.path() / "copy" / "db", fs::copy_options::recursive);
  EXPECT_THAT(Store::Open(directory_.path() / "copy", {}, test::SmallRuntime()),
              StatusIs(ErrorCode::kDataLoss));
}

TEST_F(RecoveryTest, AnOlderGuardBeginsANewEpoch) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(store_->Close());
  const auto read = [](const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };
  const std::string closed = read(path() / "GUARD");
  Open();
  ASSERT_OK(Put("users", "b", "1"));
  store_.reset();
  std::ofstream(path() / "GUARD", std::ios::binary | std::ios::in | std::ios::out) << closed;
  Open();
  ExpectNewEpoch(2);
}

TEST_F(RecoveryTest, AMissingGuardBeginsANewEpoch) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(store_->Close());
  store_.reset();
  fs::remove(path() / "GUARD");
  Open();
  ExpectNewEpoch(2);
}

TEST_F(RecoveryTest, AMovedDirectoryIsTheSameStore) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(store_->Close());
  store_.reset();
  fs::rename(path(), directory_.path() / "elsewhere");
  store_ = test::OpenStore(directory_.path() / "elsewhere");
  EXPECT_EQ(store_->identity().epochs.size(), 1U);
}

// What is missing is damage: no advice to look for a spelling mistake, and no store made anew over
// what is left.
TEST_F(RecoveryTest, AMissingFileIsDamage) {
  Open();
  for (int i = 0; i < 300; ++i) ASSERT_OK(Put("users", i, std::string(40, 'x')));
  ASSERT_OK(store_->Compact());
  ASSERT_OK(store_->Close());
  store_.reset();
  const fs::path whole = directory_.path() / "whole";
  fs::rename(path(), whole);
  for (const char* kind : {"CURRENT", "MANIFEST", ".sst"}) {
    for (const bool read_only : {true, false}) {
      SCOPED_TRACE(std::string(kind) + (read_only ? ", reader" : ", owner"));
      fs::copy(whole, path(), fs::copy_options::recursive);
      const fs::path missing = Files(path() / "db", kind).at(0);
      fs::remove(missing);
      const size_t left = Files(path() / "db", "").size();
      const auto opened = Store::Open(path(), {.read_only = read_only}, test::SmallRuntime());
      EXPECT_THAT(opened, StatusIs(ErrorCode::kCorruption, HasSubstr(missing.filename().string())));
      EXPECT_GE(Files(path() / "db", "").size(), left);
      fs::remove_all(path());
    }
  }
}

TEST_F(RecoveryTest, ANewerFormatIsRefused) {
  Open();
  std::string newer = internal::EncodeIdentity(store_->identity());
  newer[0] = 2;
  ASSERT_OK(store_->Close());
  store_.reset();
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const std::string database = path() / "db";
  ASSERT_TRUE(
      rocksdb::DB::Open(
          {},
          database,
          {{rocksdb::kDefaultColumnFamilyName, {}}, {"fold", {}}, {"parts", {}}, {"stage", {}}},
          &handles,
          &db)
          .ok());
  ASSERT_TRUE(db->Put({}, internal::row_key::kIdentity, newer).ok());
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  delete db;
  EXPECT_THAT(Store::Open(path(), {}, test::SmallRuntime()), StatusIs(ErrorCode::kNewerFormat));
}

// One bit anywhere at rest: an error, or a loss that is said, or the right data. Never other data.
TEST_F(RecoveryTest, AFlippedBitAtRestNeverGivesWrongData) {
  Open();
  for (int i = 0; i < 300; ++i) {
    ASSERT_OK(store_->Commit(WriteBatch().Put("users", i, std::string(40, 'x')), {.sync = false}));
  }
  ASSERT_OK(store_->Compact());
  ASSERT_OK(store_->Close());
  store_.reset();
  const fs::path whole = directory_.path() / "whole";
  fs::rename(path(), whole);
  int noticed = 0;
  for (const char* kind : {".sst", ".log", "MANIFEST"}) {
    for (const fs::path& file : Files(whole / "db", kind)) {
      for (int part = 0; part < 6 && fs::file_size(file) > 0; ++part) {
        SCOPED_TRACE(file.filename().string() + " part " + std::to_string(part));
        fs::copy(whole, path(), fs::copy_options::recursive);
        const uint64_t at = (fs::file_size(file) - 1) * static_cast<uint64_t>(part) / 5;
        FlipBit(path() / "db" / file.filename(), at);
        auto opened = Store::Open(path(), {}, test::SmallRuntime());
        if (!opened.ok()) {
          ++noticed;
          EXPECT_NE(opened.status().code(), ErrorCode::kInternal) << opened.status().ToString();
        } else {
          if (!(*opened)->Verify({}).ok()) ++noticed;
          RecordIterator records = (*opened)->GetView().Scan("users");
          while (records.Next()) EXPECT_EQ(records.value(), std::string(40, 'x'));
        }
        if (opened.ok()) opened->reset();
        fs::remove_all(path());
      }
    }
  }
  EXPECT_GT(noticed, 5);
}

}  // namespace
}  // namespace tidemark
