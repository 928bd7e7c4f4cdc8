// The harness that judges durability is judged first: against plain files, whose fate is known, and
// against plain RocksDB, which keeps every synced write through a power cut at any call.
#include "tests/support/fault_file_system.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/sst_file_writer.h>

#include "tests/support/temp_directory.h"

namespace tidemark::test {
namespace {

using ::testing::AnyOf;
using ::testing::StartsWith;

constexpr CrashMode kModes[] = {CrashMode::kDrop, CrashMode::kTorn, CrashMode::kPrefix};

// Small steps over files of one tracked directory. Each returns what the file system said.
class FaultFileSystemTest : public ::testing::Test {
 protected:
  FaultFileSystemTest()
      : root_(directory_ / "disk"), files_(std::make_shared<FaultFileSystem>(root_)) {}

  std::string At(const std::string& name) const { return root_ + "/" + name; }

  std::unique_ptr<rocksdb::FSWritableFile> NewFile(const std::string& name) {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    EXPECT_TRUE(files_->NewWritableFile(At(name), {}, &file, nullptr).ok());
    return file;
  }

  // A file with this content, synced; its name is not.
  void Write(const std::string& name, const std::string& content) {
    auto file = NewFile(name);
    ASSERT_TRUE(file->Append(content, options_, nullptr).ok());
    ASSERT_TRUE(file->Sync(options_, nullptr).ok());
    ASSERT_TRUE(file->Close(options_, nullptr).ok());
  }

  rocksdb::IOStatus SyncDirectory() {
    std::unique_ptr<rocksdb::FSDirectory> directory;
    EXPECT_TRUE(files_->NewDirectory(root_, options_, &directory, nullptr).ok());
    return directory->Fsync(options_, nullptr);
  }

  // What is there: the content, or "absent".
  std::string Content(const std::string& name) {
    std::string content;
    const auto status = rocksdb::ReadFileToString(files_.get(), At(name), &content);
    return status.ok() ? content : "absent";
  }

  const rocksdb::IOOptions options_;
  TempDirectory directory_;
  std::string root_;
  std::shared_ptr<FaultFileSystem> files_;
};

TEST_F(FaultFileSystemTest, KeepsWhatWasSyncedWithItsName) {
  Write("a", "synced");
  ASSERT_TRUE(SyncDirectory().ok());
  auto file = NewFile("b");
  ASSERT_TRUE(file->Append("bytes", options_, nullptr).ok());
  ASSERT_TRUE(SyncDirectory().ok());
  ASSERT_TRUE(file->Close(options_, nullptr).ok());
  Write("c", "no name");

  files_->Crash(CrashMode::kDrop, 1);
  EXPECT_EQ(Content("a"), "synced");
  EXPECT_EQ(Content("b"), "");
  EXPECT_EQ(Content("c"), "absent");
}

TEST_F(FaultFileSystemTest, UndoesRenamesAndRemovals) {
  Write("a", "old");
  Write("b", "kept");
  ASSERT_TRUE(SyncDirectory().ok());
  Write("draft", "new");
  ASSERT_TRUE(files_->RenameFile(At("draft"), At("a"), options_, nullptr).ok());
  ASSERT_TRUE(files_->DeleteFile(At("b"), options_, nullptr).ok());
  EXPECT_EQ(Content("a"), "new");
  EXPECT_EQ(Content("b"), "absent");

  files_->Crash(CrashMode::kDrop, 1);
  EXPECT_EQ(Content("a"), "old");
  EXPECT_EQ(Content("b"), "kept");
  EXPECT_EQ(Content("draft"), "absent");
}

TEST_F(FaultFileSystemTest, KeepsRenamesAndRemovalsOnceTheDirectoryIsSynced) {
  Write("a", "old");
  Write("b", "gone");
  Write("draft", "new");
  ASSERT_TRUE(files_->RenameFile(At("draft"), At("a"), options_, nullptr).ok());
  ASSERT_TRUE(files_->DeleteFile(At("b"), options_, nullptr).ok());
  ASSERT_TRUE(SyncDirectory().ok());

  files_->Crash(CrashMode::kDrop, 1);
  EXPECT_EQ(Content("a"), "new");
  EXPECT_EQ(Content("b"), "absent");
}

TEST_F(FaultFileSystemTest, CreatingOverAFileIsUndoneToTheOldOne) {
  Write("a", "old");
  ASSERT_TRUE(SyncDirectory().ok());
  Write("a", "new");
  files_->Crash(CrashMode::kDrop, 1);
  EXPECT_EQ(Content("a"), "old");
}

TEST_F(FaultFileSystemTest, UndoesOverwrittenBytesAndTruncations) {
  Write("a", "0123456789");
  ASSERT_TRUE(SyncDirectory().ok());
  std::unique_ptr<rocksdb::FSRandomRWFile> file;
  ASSERT_TRUE(files_->NewRandomRWFile(At("a"), {}, &file, nullptr).ok());
  ASSERT_TRUE(file->Write(2, "xx", options_, nullptr).ok());
  ASSERT_TRUE(file->Sync(options_, nullptr).ok());
  ASSERT_TRUE(file->Write(0, "yyyy", options_, nullptr).ok());
  ASSERT_TRUE(file->Write(8, "zzzz", options_, nullptr).ok());
  ASSERT_TRUE(file->Close(options_, nullptr).ok());
  std::unique_ptr<rocksdb::FSWritableFile> again;
  ASSERT_TRUE(files_->ReopenWritableFile(At("a"), {}, &again, nullptr).ok());
  ASSERT_TRUE(again->Truncate(5, options_, nullptr).ok());
  ASSERT_TRUE(again->Close(options_, nullptr).ok());
  EXPECT_EQ(Content("a"), "yyyy4");

  files_->Crash(CrashMode::kDrop, 1);
  EXPECT_EQ(Content("a"), "01xx456789");
}

TEST_F(FaultFileSystemTest, HardLinksShareTheirFate) {
  Write("a", "synced");
  ASSERT_TRUE(SyncDirectory().ok());
  ASSERT_TRUE(files_->LinkFile(At("a"), At("b"), options_, nullptr).ok());
  ASSERT_TRUE(SyncDirectory().ok());
  ASSERT_TRUE(files_->LinkFile(At("a"), At("c"), options_, nullptr).ok());
  std::unique_ptr<rocksdb::FSWritableFile> file;
  ASSERT_TRUE(files_->ReopenWritableFile(At("b"), {}, &file, nullptr).ok());
  ASSERT_TRUE(file->Append(" and more", options_, nullptr).ok());
  ASSERT_TRUE(file->Close(options_, nullptr).ok());
  EXPECT_EQ(Content("a"), "synced and more");

  files_->Crash(CrashMode::kDrop, 1);
  EXPECT_EQ(Content("a"), "synced");
  EXPECT_EQ(Content("b"), "synced");
  EXPECT_EQ(Content("c"), "absent");
}

TEST_F(FaultFileSystemTest, ADirectoryWithoutASyncedNameTakesItsFilesAlong) {
  ASSERT_TRUE(files_->CreateDir(At("sub"), options_, nullptr).ok());
  Write("sub/a", "synced");
  files_->Crash(CrashMode::kDrop, 1);
  EXPECT_FALSE(std::filesystem::exists(At("sub")));
}

TEST_F(FaultFileSystemTest, TornFilesEndAnywhereAndPrefixesBetweenWrites) {
  std::vector<std::string> torn;
  std::vector<std::string> prefixes;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    for (const CrashMode mode : {CrashMode::kTorn, CrashMode::kPrefix}) {
      Write("a", "synced");
      ASSERT_TRUE(SyncDirectory().ok());
      std::unique_ptr<rocksdb::FSWritableFile> file;
      ASSERT_TRUE(files_->ReopenWritableFile(At("a"), {}, &file, nullptr).ok());
      for (const char* part : {"-one", "-two"}) {
        ASSERT_TRUE(file->Append(part, options_, nullptr).ok());
      }
      ASSERT_TRUE(file->Close(options_, nullptr).ok());
      files_->Crash(mode, seed);
      (mode == CrashMode::kTorn ? torn : prefixes).push_back(Content("a"));
    }
  }
  for (const std::string& content : torn) EXPECT_THAT("synced-one-two", StartsWith(content));
  for (const std::string& content : prefixes) {
    EXPECT_THAT(content, AnyOf("synced", "synced-one", "synced-one-two"));
  }
  std::sort(torn.begin(), torn.end());
  EXPECT_EQ(std::unique(torn.begin(), torn.end()) - torn.begin(), 9) << "not every byte was tried";
  std::sort(prefixes.begin(), prefixes.end());
  EXPECT_EQ(std::unique(prefixes.begin(), prefixes.end()) - prefixes.begin(), 3);
}

TEST_F(FaultFileSystemTest, AfterThePowerCutNothingChanges) {
  Write("a", "synced");
  ASSERT_TRUE(SyncDirectory().ok());
  auto file = NewFile("b");
  files_->Arm({.at = 2, .kind = FaultKind::kPowerCut});
  EXPECT_TRUE(file->Append("x", options_, nullptr).ok());
  EXPECT_FALSE(file->Append("y", options_, nullptr).ok());
  EXPECT_TRUE(files_->power_is_off());
  EXPECT_FALSE(file->Sync(options_, nullptr).ok());
  EXPECT_FALSE(files_->DeleteFile(At("a"), options_, nullptr).ok());
  EXPECT_FALSE(files_->CreateDir(At("sub"), options_, nullptr).ok());
  EXPECT_FALSE(SyncDirectory().ok());
  EXPECT_FALSE(file->Close(options_, nullptr).ok());
  EXPECT_EQ(Content("b"), "x");
  EXPECT_EQ(Content("a"), "synced");

  files_->Crash(CrashMode::kTorn, 1);
  EXPECT_FALSE(files_->power_is_off());
  EXPECT_TRUE(files_->DeleteFile(At("a"), options_, nullptr).ok());
}

TEST_F(FaultFileSystemTest, SingleFaultsAreSingleAndLastingOnesLast) {
  auto file = NewFile("a");
  files_->Arm({.at = 1, .kind = FaultKind::kNoSpace});
  EXPECT_TRUE(file->Append("x", options_, nullptr).IsNoSpace());
  EXPECT_TRUE(file->Append("y", options_, nullptr).ok());
  EXPECT_EQ(files_->calls(), 2U);

  files_->Arm({.at = 2, .kind = FaultKind::kIoError, .sticky = true});
  EXPECT_TRUE(file->Append("z", options_, nullptr).ok());
  EXPECT_TRUE(file->Append("1", options_, nullptr).IsIOError());
  EXPECT_TRUE(file->Append("2", options_, nullptr).IsIOError());
  EXPECT_EQ(Content("a"), "yz");
}

TEST_F(FaultFileSystemTest, AShortWriteLeavesHalf) {
  auto file = NewFile("a");
  files_->Arm({.at = 1, .kind = FaultKind::kShortWrite});
  EXPECT_TRUE(file->Append("12345678", options_, nullptr).IsIOError());
  EXPECT_EQ(Content("a"), "1234");
}

TEST_F(FaultFileSystemTest, SyncsCanFailAlone) {
  auto file = NewFile("a");
  files_->Arm({.at = 2, .syncs_only = true});
  EXPECT_TRUE(file->Append("x", options_, nullptr).ok());
  EXPECT_TRUE(file->Sync(options_, nullptr).ok());
  EXPECT_TRUE(file->Append("y", options_, nullptr).ok());
  EXPECT_TRUE(SyncDirectory().IsIOError());
  EXPECT_EQ(files_->calls(), 2U);
  EXPECT_TRUE(file->Fsync(options_, nullptr).ok());
}

// Plain RocksDB in a directory of its own, with the settings that the engine's rules ask for.
class RocksUnderFaults {
 public:
  explicit RocksUnderFaults(bool sync_is_a_lie = false)
      : files_(std::make_shared<FaultFileSystem>(directory_ / "disk")),
        env_(NewFaultEnv(files_)),
        path_(directory_ / "disk/db") {
    // RocksDB never syncs the directory above its own; whoever makes the store does.
    EXPECT_TRUE(files_->CreateDir(path_, {}, nullptr).ok());
    std::unique_ptr<rocksdb::FSDirectory> parent;
    EXPECT_TRUE(files_->NewDirectory(directory_ / "disk", {}, &parent, nullptr).ok());
    EXPECT_TRUE(parent->Fsync({}, nullptr).ok());
    files_->set_sync_is_a_lie(sync_is_a_lie);
  }

  FaultFileSystem& files() { return *files_; }

  rocksdb::Status Open() {
    rocksdb::Options options;
    options.env = env_.get();
    options.create_if_missing = true;
    options.max_bgerror_resume_count = 0;
    options.info_log = std::make_shared<Silence>();
    options.allow_fallocate = false;  // it would fill 70 MiB of memory for each log
    rocksdb::DB* db = nullptr;
    rocksdb::Status status = rocksdb::DB::Open(options, path_, &db);
    db_.reset(db);
    return status;
  }

  void Close() { db_.reset(); }

  rocksdb::Status Put(int number) {
    rocksdb::WriteOptions options;
    options.sync = true;
    return db_->Put(options, Key(number), std::string(100, 'v'));
  }

  // Writes 0, 1, ... and returns how many were acknowledged before the first failure. Flushes on
  // the way, so that table files, the manifest and the removal of logs meet the fault as well.
  int PutUntilFailure(int count) {
    for (int number = 0; number < count; ++number) {
      if (!Put(number).ok()) return number;
      if (number % 40 == 39 && !db_->Flush({}).ok()) return number + 1;
    }
    return count;
  }

  // The n of the keys 0 to n - 1; -1 if there is a hole.
  int CountPrefix() {
    int count = 0;
    const std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator({}));
    for (rows->SeekToFirst(); rows->Valid(); rows->Next(), ++count) {
      if (rows->key() != Key(count)) return -1;
    }
    return rows->status().ok() ? count : -1;
  }

  // Ingests one file with the key `number`, moving it.
  rocksdb::Status Ingest(int number) {
    const std::string path = directory_ / "disk/db/draft.sst";
    rocksdb::Options options;
    options.env = env_.get();
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options);
    rocksdb::Status status = writer.Open(path);
    if (status.ok()) status = writer.Put(Key(number), "v");
    if (status.ok()) status = writer.Finish();
    if (!status.ok()) return status;
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    return db_->IngestExternalFile({path}, ingest);
  }

 private:
  class Silence final : public rocksdb::Logger {
   public:
    using Logger::Logv;
    void Logv(const char* /*format*/, va_list /*arguments*/) override {}
  };

  static std::string Key(int number) {
    const std::string digits = std::to_string(number);
    return std::string(4 - digits.size(), '0') + digits;
  }

  TempDirectory directory_;
  std::shared_ptr<FaultFileSystem> files_;
  std::unique_ptr<rocksdb::Env> env_;
  std::string path_;
  std::unique_ptr<rocksdb::DB> db_;
};

constexpr int kWrites = 100;

struct CutResult {
  bool power_was_cut = false;
  int acknowledged = 0;
  bool opened = false;
  int found = 0;
};

CutResult CutAt(uint64_t call, CrashMode mode, bool sync_is_a_lie = false) {
  RocksUnderFaults rocks(sync_is_a_lie);
  rocks.files().Arm({.at = call, .kind = FaultKind::kPowerCut});
  CutResult result;
  if (rocks.Open().ok()) result.acknowledged = rocks.PutUntilFailure(kWrites);
  rocks.Close();
  result.power_was_cut = rocks.files().power_is_off();
  rocks.files().Crash(mode, call);
  result.opened = rocks.Open().ok();
  if (result.opened) result.found = rocks.CountPrefix();
  return result;
}

TEST(RocksPowerCutTest, NoAcknowledgedWriteIsLost) {
  for (const CrashMode mode : kModes) {
    int cuts = 0;
    for (uint64_t call = 1;; call += 3) {
      const CutResult result = CutAt(call, mode);
      SCOPED_TRACE(::testing::Message()
                   << "cut at " << call << ", mode " << static_cast<int>(mode));
      EXPECT_TRUE(result.opened);
      EXPECT_GE(result.found, result.acknowledged);
      EXPECT_LE(result.found, result.acknowledged + 1);
      if (!result.power_was_cut) break;
      ++cuts;
    }
    EXPECT_GT(cuts, 70);
  }
}

// The control: a harness that cannot see this loss would prove nothing above.
TEST(RocksPowerCutTest, SyncsThatLieAreFoundOut) {
  int lost = 0;
  for (const CrashMode mode : kModes) {
    for (uint64_t call = 60; call < 240; call += 30) {
      const CutResult result = CutAt(call, mode, /*sync_is_a_lie=*/true);
      if (!result.opened || result.found < result.acknowledged) ++lost;
    }
  }
  EXPECT_GT(lost, 9);
}

TEST(RocksPowerCutTest, AnIngestedFileIsThereOrNot) {
  for (const CrashMode mode : kModes) {
    bool power_was_cut = true;
    for (uint64_t call = 1; power_was_cut; ++call) {
      SCOPED_TRACE(::testing::Message()
                   << "cut at " << call << ", mode " << static_cast<int>(mode));
      RocksUnderFaults rocks;
      ASSERT_TRUE(rocks.Open().ok());
      ASSERT_TRUE(rocks.Put(0).ok());
      rocks.files().Arm({.at = call, .kind = FaultKind::kPowerCut});
      const bool acknowledged = rocks.Ingest(1).ok();
      rocks.Close();
      power_was_cut = rocks.files().power_is_off();
      rocks.files().Crash(mode, call);
      ASSERT_TRUE(rocks.Open().ok());
      const int found = rocks.CountPrefix();
      EXPECT_GE(found, acknowledged ? 2 : 1);
    }
  }
}

TEST(RocksFaultTest, ASingleFaultLosesNothingThatWasAcknowledged) {
  for (const FaultKind kind : {FaultKind::kIoError, FaultKind::kNoSpace, FaultKind::kShortWrite}) {
    for (uint64_t call = 1; call < 300; call += 17) {
      SCOPED_TRACE(::testing::Message() << "call " << call << ", kind " << static_cast<int>(kind));
      RocksUnderFaults rocks;
      rocks.files().Arm({.at = call, .kind = kind});
      int acknowledged = 0;
      if (rocks.Open().ok()) acknowledged = rocks.PutUntilFailure(kWrites);
      rocks.Close();
      rocks.files().Crash(CrashMode::kTorn, call);
      ASSERT_TRUE(rocks.Open().ok());
      EXPECT_GE(rocks.CountPrefix(), acknowledged);
    }
  }
}

}  // namespace
}  // namespace tidemark::test
