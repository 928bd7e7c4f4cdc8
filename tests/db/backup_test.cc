// Backups: taken while writers write, verified, restored into a new epoch.
#include "db/backup.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "db/tuning.h"
#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;
using test::StatusIs;

class BackupTest : public test::StoreTest {
 protected:
  fs::path backups() const { return directory_.path() / "backups"; }
  fs::path target() const { return directory_.path() / "restored"; }
};

TEST_F(BackupTest, OneTakenWhileFourThreadsWriteIsWhole) {
  Open({.window_records = 64});
  ASSERT_OK(Put("users", "first", "1"));
  std::atomic<bool> stop = false;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&, writer] {
      for (int i = 0; !stop; ++i) {
        // New entities now and then: their column families come and go with the backup.
        const std::string entity = "e" + std::to_string(writer) + "." + std::to_string(i / 40 % 12);
        ASSERT_OK(store_->Commit(WriteBatch().Put(entity, i % 50, std::to_string(i))));
      }
    });
  }
  while (store_->last_sequence().value() < 50) std::this_thread::yield();
  const SequenceNumber before = store_->last_sequence();
  const auto made = CreateBackup(*store_, backups());
  stop = true;
  for (std::thread& writer : writers) writer.join();
  ASSERT_OK(made);
  EXPECT_GE(made->sequence, before);
  EXPECT_GT(made->bytes, 0U);

  ASSERT_OK(VerifyBackup(backups(), made->number));
  ASSERT_OK(RestoreBackup(backups(), 0, target(), test::SmallRuntime()));
  const auto restored = test::OpenStore(target());
  EXPECT_THAT(test::Problems(*restored), ::testing::IsEmpty());
  EXPECT_EQ(restored->identity().id, store_->identity().id);
  ASSERT_EQ(restored->identity().epochs.size(), 2U);
  const Epoch epoch = restored->identity().epochs.back();
  EXPECT_EQ(epoch.ordinal, 2U);
  EXPECT_GE(epoch.branch, before);
  EXPECT_EQ(restored->last_sequence(), epoch.branch + tuning::kEpochJump);
  EXPECT_EQ(test::ValueOf(*restored, "users", "first"), "1");
}

TEST_F(BackupTest, ListIsOldestFirstAndAnyCanBeRestored) {
  Open();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_OK(Put("users", "a", std::to_string(i)));
    ASSERT_OK(CreateBackup(*store_, backups()));
  }
  const auto list = ListBackups(backups());
  ASSERT_OK(list);
  ASSERT_EQ(list->size(), 3U);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ((*list)[i].sequence, SequenceNumber(i + 1));
  ASSERT_OK(RestoreBackup(backups(), (*list)[1].number, target(), test::SmallRuntime()));
  EXPECT_EQ(test::ValueOf(*test::OpenStore(target()), "users", "a"), "2");
}

TEST_F(BackupTest, MistakesAreNamed) {
  Open();
  EXPECT_THAT(ListBackups(backups()), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(VerifyBackup(backups(), 1), StatusIs(ErrorCode::kNotFound));
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(CreateBackup(*store_, backups()));
  EXPECT_THAT(VerifyBackup(backups(), 7), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(RestoreBackup(backups(), 7, target(), test::SmallRuntime()),
              StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(RestoreBackup(backups(), 1, path(), test::SmallRuntime()),
              StatusIs(ErrorCode::kConflict));
  EXPECT_EQ(Value("users", "a"), "1");
}

TEST_F(BackupTest, ADamagedFileIsNoticed) {
  Open();
  ASSERT_OK(Put("users", "a", std::string(1000, 'x')));
  ASSERT_OK(store_->Compact());
  const auto made = CreateBackup(*store_, backups());
  ASSERT_OK(made);
  for (const auto& file : fs::recursive_directory_iterator(backups() / "shared_checksum")) {
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(20);
    stream.put('\x55');
  }
  EXPECT_THAT(VerifyBackup(backups(), made->number), StatusIs(ErrorCode::kCorruption));
}

}  // namespace
}  // namespace tidemark
