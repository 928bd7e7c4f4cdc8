// A disk that is really full: a small file system in memory, mounted for this process alone. Needs
// the rights to mount; skips without.
#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;
using test::StatusIs;
using ::testing::IsEmpty;

class FullDiskTest : public ::testing::Test {
 protected:
  // Before there is any other thread: a namespace of mounts is a thread's own.
  static void SetUpTestSuite() {
    may_mount_ =
        unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }
  void SetUp() override {
    if (!may_mount_) GTEST_SKIP() << "no rights to mount a small file system";
    fs::create_directory(disk());
  }

  fs::path disk() const { return directory_.path() / "disk"; }
  fs::path path() const { return disk() / "store"; }
  void Resize(int kilobytes, unsigned long flags) {
    const std::string size = "size=" + std::to_string(kilobytes) + "k";
    ASSERT_EQ(mount("tmpfs", disk().c_str(), "tmpfs", flags, size.c_str()), 0);
  }
  /// Writes until the disk is full; returns how many commits were acknowledged.
  static int Fill(Store& store) {
    const std::string value(8000, 'x');
    for (int commit = 0;; ++commit) {
      WriteBatch batch;
      for (int i = 0; i < 10; ++i) batch.Put("users", commit * 10 + i, value);
      const auto committed = store.Commit(batch);
      if (committed.ok()) continue;
      EXPECT_THAT(committed, StatusIs(ErrorCode::kDiskFull));
      EXPECT_THAT(committed.status().ToString(), ::testing::HasSubstr("No space left"));
      return commit;
    }
  }
  /// Everything that was acknowledged, and at most the one commit that was not.
  static void ExpectCommits(Store& store, int acknowledged) {
    const size_t records = test::ScanAll(store.GetView(), "users").size();
    EXPECT_GE(records, static_cast<size_t>(acknowledged) * 10);
    EXPECT_LE(records, static_cast<size_t>(acknowledged + 1) * 10);
    EXPECT_EQ(records % 10, 0U);
  }

  test::TempDirectory directory_;

 private:
  static inline bool may_mount_ = false;
};

TEST_F(FullDiskTest, IsATypedErrorAndNothingAcknowledgedIsLost) {
  for (int kilobytes = 400; kilobytes <= 12'000; kilobytes += kilobytes / 2 + 37) {
    SCOPED_TRACE(std::to_string(kilobytes) + " KiB");
    Resize(kilobytes, 0);
    const StoreOptions options{.window_records = 200};
    int acknowledged = 0;
    auto opened = Store::Open(path(), options, test::SmallRuntime());
    if (opened.ok()) {
      acknowledged = Fill(**opened);
      EXPECT_THAT((*opened)->Commit(WriteBatch().Put("users", "more", "x")),
                  StatusIs(ErrorCode::kDiskFull));
      ExpectCommits(**opened, acknowledged);
      opened->reset();
    } else {
      EXPECT_THAT(opened, StatusIs(ErrorCode::kDiskFull));
    }
    for (int attempt = 0; attempt < 3; ++attempt) {  // on the full disk
      opened = Store::Open(path(), options, test::SmallRuntime());
      if (opened.ok()) {
        ExpectCommits(**opened, acknowledged);
        opened->reset();
      } else {
        EXPECT_THAT(opened, StatusIs(ErrorCode::kDiskFull));
      }
    }
    Resize(64'000, MS_REMOUNT);
    const auto store = test::OpenStore(path(), options);
    ASSERT_NE(store, nullptr);
    ExpectCommits(*store, acknowledged);
    EXPECT_EQ(store->identity().epochs.size(), 1U);
    EXPECT_THAT(test::Problems(*store), IsEmpty());
    ASSERT_OK(store->Commit(WriteBatch().Put("users", "more", "x")));
    ASSERT_OK(store->Close());
    ASSERT_EQ(umount2(disk().c_str(), MNT_DETACH), 0);
  }
}

}  // namespace
}  // namespace tidemark
