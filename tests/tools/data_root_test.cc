#include "tools/data_root.h"

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::tools {
namespace {

using tidemark::test::StatusIs;
using tidemark::test::TempDirectory;

TEST(InstanceFolderTest, IsNeverTheNameAsGiven) {
  EXPECT_EQ(InstanceFolder("default"), "instance-default");
  EXPECT_EQ(InstanceFolder("North.1_a"), "instance-%4Eorth%2E1%5Fa");
  EXPECT_NE(InstanceFolder("a"), InstanceFolder("A"));
}

TEST(InstanceFolderTest, RoundTrips) {
  for (const char* name : {"default", "A", "con", "a.b-c_d", "0", "Z9"}) {
    EXPECT_EQ(InstanceOfFolder(InstanceFolder(name)), name);
  }
  const std::string longest(64, 'Q');
  EXPECT_EQ(InstanceOfFolder(InstanceFolder(longest)), longest);
  EXPECT_LE(InstanceFolder(longest).size(), 255U);
}

TEST(InstanceFolderTest, OtherFoldersAreNone) {
  for (const char* folder : {"",
                             "default",
                             "instance-",
                             "instance-A",
                             "instance-%41x%",
                             "instance-%zz",
                             "instance-%61",
                             "instance-.."}) {
    EXPECT_EQ(InstanceOfFolder(folder), std::nullopt) << folder;
  }
}

TEST(InstancePathTest, ChecksRootAndName) {
  EXPECT_THAT(InstancePath("", "default"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(InstancePath("/data", "../x"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(InstancePath("/data", "_system"), StatusIs(ErrorCode::kReserved));
  EXPECT_EQ(*InstancePath("/data", "a"), std::filesystem::path("/data/instance-a"));
}

TEST(ListInstancesTest, OnlyInstances) {
  const TempDirectory root;
  for (const char* folder : {"instance-b", "instance-%41", "other", "instance-%"}) {
    std::filesystem::create_directory(root / folder);
  }
  const auto instances = ListInstances(root.path());
  ASSERT_TRUE(instances.ok());
  EXPECT_EQ(*instances, (std::vector<std::string>{"A", "b"}));
  EXPECT_THAT(ListInstances(root / "missing"), StatusIs(ErrorCode::kNotFound));
}

TEST(CreateDirectoriesTest, SaysWhy) {
  EXPECT_THAT(CreateDirectories("/dev/null/x"), StatusIs(ErrorCode::kIoError));
}

}  // namespace
}  // namespace tidemark::tools
