#include "tools/line_reader.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark::tools {
namespace {

using ::testing::HasSubstr;
using tidemark::test::StatusIs;

struct Lines {
  std::vector<std::string> texts;
  std::vector<uint64_t> numbers;
  Status status;
};

Lines Read(const std::string& text, size_t chunk = 64 * 1024, size_t line_max = 100) {
  StringSource source(text, chunk);
  LineReader reader(source, line_max);
  Lines lines;
  while (true) {
    const Result<bool> found = reader.Next();
    lines.status = found.status();
    if (!found.ok() || !*found) return lines;
    lines.texts.emplace_back(reader.line());
    lines.numbers.push_back(reader.number());
  }
}

TEST(LineReaderTest, SkipsBlankLinesAndCountsThem) {
  for (const size_t chunk : {1U, 2U, 5U, 100U}) {
    const Lines lines = Read("\xEF\xBB\xBFone\r\n\n  \ntwo\nthree", chunk);
    EXPECT_TRUE(lines.status.ok());
    EXPECT_EQ(lines.texts, (std::vector<std::string>{"one", "two", "three"}));
    EXPECT_EQ(lines.numbers, (std::vector<uint64_t>{1, 4, 5}));
  }
}

TEST(LineReaderTest, EmptyInput) {
  EXPECT_TRUE(Read("").texts.empty());
  EXPECT_TRUE(Read("\n\n").texts.empty());
}

TEST(LineReaderTest, BoundsLines) {
  EXPECT_EQ(Read(std::string(100, 'x') + "\ny").texts.size(), 2U);
  for (const char* end : {"", "\n", "\nz\n"}) {
    const Lines lines = Read("a\n" + std::string(101, 'x') + end);
    EXPECT_THAT(lines.status, StatusIs(ErrorCode::kTooLarge));
    EXPECT_THAT(lines.status.message(), HasSubstr("line 2"));
    EXPECT_EQ(lines.texts, (std::vector<std::string>{"a"}));
  }
}

TEST(LineReaderTest, LongInputInSmallMemory) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i) + "\n";
  const Lines lines = Read(text, 1000);
  ASSERT_EQ(lines.texts.size(), 50'000U);
  EXPECT_EQ(lines.texts[49'999], "49999");
}

TEST(AtPositionTest, NamesWhatIsKnown) {
  const Status status(ErrorCode::kInvalidArgument, "wrong");
  EXPECT_EQ(AtPosition(status, "f", {.line = 7, .column = 3}).message(),
            "f, line 7, column 3: wrong");
  EXPECT_EQ(AtPosition(status, "f", {.line = 7}).message(), "f, line 7: wrong");
  EXPECT_EQ(AtPosition(status, "f", {}).message(), "f: wrong");
}

}  // namespace
}  // namespace tidemark::tools
