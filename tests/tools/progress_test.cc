#include "tools/progress.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "format/json.h"

namespace tidemark::tools {
namespace {

using std::chrono::milliseconds;

class ProgressTest : public ::testing::Test {
 protected:
  Progress Make(ProgressMode mode, size_t width) {
    return {sink_, mode, width, [this] {
              return now_;
            }};
  }
  void Pass(int ms) { now_ += milliseconds(ms); }

  StringSink sink_;
  Progress::Time now_{};
};

TEST_F(ProgressTest, PlainLinesAtMostOneASecond) {
  Progress progress = Make(ProgressMode::kPlain, 80);
  progress.Begin("upload", ProgressUnit::kRecords, 4000);
  for (uint64_t i = 1; i <= 20; ++i) {
    Pass(100);
    progress.Update(i * 100);
  }
  progress.End();
  EXPECT_EQ(sink_.text(),
            "upload: 1,000 of 4,000 records, 1,000/s, 0:03 left\n"
            "upload: 2,000 of 4,000 records, 1,000/s, 0:02 left\n"
            "upload: 2,000 of 4,000 records, 1,000/s, 0:02 left\n");
}

TEST_F(ProgressTest, ShortWorkIsSilentUnlessAskedFor) {
  Progress progress = Make(ProgressMode::kAuto, 0);
  progress.Begin("upload", ProgressUnit::kRecords, 10);
  Pass(900);
  progress.Update(10);
  progress.End();
  EXPECT_EQ(sink_.text(), "");
}

TEST_F(ProgressTest, JsonLinesParse) {
  Progress progress = Make(ProgressMode::kJson, 80);
  progress.Begin("up\"load", ProgressUnit::kBytes);
  Pass(2000);
  progress.Update(10, 20);
  const auto members = ReadJsonObject(sink_.text());
  ASSERT_TRUE(members.ok()) << sink_.text();
  EXPECT_EQ(
      members->front().text,
      R"({"work":"up\"load","unit":"bytes","done":10,"total":20,"per_second":5,"seconds_left":2})");
}

TEST_F(ProgressTest, BarFitsAndDisappears) {
  Progress progress = Make(ProgressMode::kAuto, 70);
  progress.Begin("upload", ProgressUnit::kRecords, 100);
  Pass(1000);
  progress.Update(50);
  EXPECT_EQ(sink_.text().substr(0, 4), "\r\x1b[K");
  EXPECT_NE(sink_.text().find("[####"), std::string::npos);
  EXPECT_LT(sink_.text().size(), 75U);
  progress.End();
  EXPECT_EQ(sink_.text().substr(sink_.text().size() - 4), "\r\x1b[K");
}

TEST_F(ProgressTest, NoneIsSilent) {
  Progress progress = Make(ProgressMode::kNone, 80);
  progress.Begin("upload", ProgressUnit::kRecords, 100);
  Pass(5000);
  progress.Update(50);
  progress.End();
  EXPECT_EQ(sink_.text(), "");
}

}  // namespace
}  // namespace tidemark::tools
