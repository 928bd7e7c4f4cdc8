#include "tools/csv.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark::tools {
namespace {

using ::testing::HasSubstr;
using tidemark::test::StatusIs;
using Row = std::vector<std::string>;

struct Parsed {
  Row header;
  std::vector<Row> rows;
  std::vector<uint64_t> lines;
  Status status;
};

Parsed Parse(const std::string& text, size_t chunk = 64 * 1024, size_t row_max = 1000) {
  StringSource source(text, chunk);
  CsvReader reader(source, row_max);
  Parsed parsed;
  parsed.status = reader.ReadHeader();
  parsed.header = reader.header();
  while (parsed.status.ok()) {
    const Result<bool> found = reader.Next();
    parsed.status = found.status();
    if (!found.ok() || !*found) break;
    parsed.rows.push_back(reader.row());
    parsed.lines.push_back(reader.line());
  }
  return parsed;
}

TEST(CsvTest, ReadsRows) {
  const Parsed parsed = Parse("id,name\r\n1,Ada\n2,\"Grace, H.\"\n");
  EXPECT_TRUE(parsed.status.ok()) << parsed.status.ToString();
  EXPECT_EQ(parsed.header, (Row{"id", "name"}));
  EXPECT_EQ(parsed.rows, (std::vector<Row>{{"1", "Ada"}, {"2", "Grace, H."}}));
}

TEST(CsvTest, QuotesLineEndsAndEmptyCells) {
  const std::string text =
      "\xEF\xBB\xBF\"a\",b,c\r\n\"x \"\"y\"\"\",,\"two\r\nlines\"\r\n\"\",\" \",z\n,,\n";
  for (const size_t chunk : {1U, 2U, 3U, 7U, 1000U}) {
    const Parsed parsed = Parse(text, chunk);
    ASSERT_TRUE(parsed.status.ok()) << parsed.status.ToString();
    EXPECT_EQ(parsed.header, (Row{"a", "b", "c"}));
    EXPECT_EQ(parsed.rows,
              (std::vector<Row>{{"x \"y\"", "", "two\r\nlines"}, {"", " ", "z"}, {"", "", ""}}));
    EXPECT_EQ(parsed.lines, (std::vector<uint64_t>{2, 4, 5}));
  }
}

TEST(CsvTest, LastLineMayLackItsEnd) {
  EXPECT_EQ(Parse("a\n1").rows, (std::vector<Row>{{"1"}}));
  EXPECT_EQ(Parse("a,b\n1,").rows, (std::vector<Row>{{"1", ""}}));
  EXPECT_EQ(Parse("a\n\"1\"").rows, (std::vector<Row>{{"1"}}));
}

TEST(CsvTest, ColumnsAreBounded) {
  const auto header = [](size_t columns) {
    std::string text;
    for (size_t i = 0; i < columns; ++i) text += (i == 0 ? "c" : ",c") + std::to_string(i);
    return Parse(text + "\n", 64 * 1024, 64 * 1024);
  };
  EXPECT_EQ(header(kCsvColumnsMax).header.size(), kCsvColumnsMax);
  EXPECT_THAT(header(kCsvColumnsMax + 1).status, StatusIs(ErrorCode::kInvalidArgument));
}

TEST(CsvTest, BlankLines) {
  EXPECT_EQ(Parse("a,b\n\n1,2\n\n").rows, (std::vector<Row>{{"1", "2"}}));
  // With one column, a blank line is a row with an empty cell.
  EXPECT_EQ(Parse("a\n\n1\n").rows, (std::vector<Row>{{""}, {"1"}}));
}

struct BadCase {
  const char* text;
  const char* place;
  const char* reason;
};

TEST(CsvTest, NamesLineAndColumn) {
  const BadCase cases[] = {
      {"", "line 1", "header row"},
      {"a,,c\n", "line 1, column 3", "no name"},
      {"a,b,a\n", "line 1, column 5", "stands twice"},
      {"a,b\n1\n", "line 2", "the row has 1 cells, the header 2"},
      {"a,b\n1,2\n1,2,3\n", "line 3", "the row has 3 cells"},
      {"a,b\n1,2\"3\n", "line 2, column 4", "a quote inside"},
      {"a,b\n1,\"2\"3\n", "line 2, column 6", "text after the closing quote"},
      {"a,b\n1,\"2\n3,4\n", "line 2, column 3", "no closing quote"},
      {"a,b\n1,2\r3,4\n", "line 2, column 5", "carriage return"},
      {"a,b\n1,2\r", "line 2", "carriage return"},
      {"a\n\"x\ny\",\n", "line 2", "the row has 2 cells"},
  };
  for (const BadCase& bad : cases) {
    const Status status = Parse(bad.text).status;
    EXPECT_THAT(status, StatusIs(ErrorCode::kInvalidArgument)) << bad.text;
    EXPECT_THAT(status.message(), HasSubstr(bad.place)) << bad.text;
    EXPECT_THAT(status.message(), HasSubstr(bad.reason)) << bad.text;
  }
}

TEST(CsvTest, BoundsRows) {
  EXPECT_TRUE(Parse("a\n" + std::string(999, 'x') + "\n").status.ok());
  EXPECT_THAT(Parse("a\n" + std::string(1001, 'x')).status, StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(Parse("a\n\"" + std::string(1'000'000, '\n')).status, StatusIs(ErrorCode::kTooLarge));
}

}  // namespace
}  // namespace tidemark::tools
