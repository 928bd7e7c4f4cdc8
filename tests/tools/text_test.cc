// Small pure parts: base64, units, tables.
#include <algorithm>
#include <clocale>
#include <string>

#include <gtest/gtest.h>

#include "format/base64.h"
#include "format/record_json.h"
#include "tests/support/status_matchers.h"
#include "tools/text_table.h"
#include "tools/units.h"

namespace tidemark::tools {
namespace {

using tidemark::test::IsOkAndHolds;
using tidemark::test::StatusIs;

TEST(Base64Test, KnownVectors) {
  EXPECT_EQ(EncodeBase64(""), "");
  EXPECT_EQ(EncodeBase64("f"), "Zg==");
  EXPECT_EQ(EncodeBase64("fo"), "Zm8=");
  EXPECT_EQ(EncodeBase64("foo"), "Zm9v");
  EXPECT_EQ(EncodeBase64("foobar"), "Zm9vYmFy");
}

TEST(Base64Test, RoundTripsEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    bytes += static_cast<char>(i);
    EXPECT_THAT(DecodeBase64(EncodeBase64(bytes)), IsOkAndHolds(bytes));
  }
}

TEST(Base64Test, RefusesWhatEncodesNothing) {
  for (const char* text : {"Zg",
                           "Zg=",
                           "Z===",
                           "====",
                           "Zh==",
                           "Zm9=",
                           "Zg==Zg==",
                           "Zm9v\n",
                           "Zm.v",
                           "Zm9v=",
                           "=m9v"}) {
    EXPECT_THAT(DecodeBase64(text), StatusIs(ErrorCode::kInvalidArgument)) << text;
  }
}

TEST(UnitsTest, Durations) {
  EXPECT_THAT(ParseDuration("90s"), IsOkAndHolds(int64_t{90'000}));
  EXPECT_THAT(ParseDuration("250ms"), IsOkAndHolds(int64_t{250}));
  EXPECT_THAT(ParseDuration("30d"), IsOkAndHolds(int64_t{2'592'000'000}));
  for (const char* text : {"", "s", "5", "5 s", "-5s", "5w", "99999999999999999999d"}) {
    EXPECT_THAT(ParseDuration(text), StatusIs(ErrorCode::kInvalidArgument)) << text;
  }
}

TEST(UnitsTest, ByteCounts) {
  EXPECT_THAT(ParseByteCount("4096"), IsOkAndHolds(uint64_t{4096}));
  EXPECT_THAT(ParseByteCount("10MiB"), IsOkAndHolds(uint64_t{10} << 20U));
  for (const char* text : {"", "MiB", "1mb", "1.5GiB", "9999999999GiB"}) {
    EXPECT_THAT(ParseByteCount(text), StatusIs(ErrorCode::kInvalidArgument)) << text;
  }
}

TEST(IdTest, CanonicalIntegersAreIntegers) {
  EXPECT_EQ(IdFromArgument("1001", false).form(), IdForm::kInteger);
  EXPECT_EQ(IdFromArgument("-9223372036854775808", false).form(), IdForm::kInteger);
  for (const char* text : {"007", "+7", "9223372036854775808", "1.0", "", "a"}) {
    EXPECT_EQ(IdFromArgument(text, false).form(), IdForm::kText) << text;
  }
  EXPECT_EQ(IdFromArgument("1001", true).form(), IdForm::kText);
}

TEST(IdTest, IdOfObject) {
  const auto single = IdOfObject(R"({"id":7,"name":"x"})", {"id"});
  ASSERT_TRUE(single.ok());
  EXPECT_EQ((*single)->text(), "7");
  EXPECT_EQ((*single)->form(), IdForm::kInteger);

  const auto composite =
      IdOfObject(R"({"user_id":"E1","group_id":"G\"1"})", {"group_id", "user_id"});
  ASSERT_TRUE(composite.ok());
  EXPECT_EQ((*composite)->text(), R"(["G\"1","E1"])");

  EXPECT_FALSE(IdOfObject(R"({"name":"x"})", {"id"})->has_value());
  EXPECT_FALSE(IdOfObject(R"({"id":null})", {"id"})->has_value());
  EXPECT_THAT(IdOfObject(R"({"id":1.5})", {"id"}), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(IdOfObject(R"({"id":""})", {"id"}), StatusIs(ErrorCode::kInvalidArgument));
}

class TableTest : public ::testing::Test {
 protected:
  TableTest() { std::setlocale(LC_CTYPE, "C.UTF-8"); }
};

TEST_F(TableTest, AlignsColumns) {
  TextTable table({"name", "free_bytes"}, 0);
  EXPECT_EQ(table.Add({{.text = "a"}, {.text = "7", .number = true}}), "");
  table.Add({{.text = "long name"}, {.text = "12345", .number = true}});
  EXPECT_EQ(table.Finish(),
            "NAME       FREE BYTES\n"
            "a                   7\n"
            "long name       12345\n");
}

TEST_F(TableTest, NothingWithoutRows) {
  TextTable table({"name"}, 0);
  EXPECT_EQ(table.Finish(), "");
}

TEST_F(TableTest, FitsTheTerminal) {
  TextTable table({"id", "data"}, 24);
  table.Add({{.text = "1"}, {.text = std::string(300, 'x')}});
  const std::string text = table.Finish();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    EXPECT_LE(DisplayWidth(text.substr(begin, end - begin)), 24U);
    begin = end + 1;
  }
}

TEST_F(TableTest, LaterRowsStream) {
  TextTable table({"id"}, 0);
  std::string text;
  size_t silent = 0;
  for (int i = 0; i < 600; ++i) {
    const std::string ready = table.Add({{.text = std::to_string(i)}});
    if (ready.empty()) ++silent;
    text += ready;
  }
  text += table.Finish();
  EXPECT_EQ(silent, 499U);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 601);
}

TEST_F(TableTest, ControlCharactersStayText) {
  EXPECT_EQ(PrintableText("a\x1b[31mb\n\tc"), "a?[31mb\\n\\tc");
  EXPECT_EQ(PrintableText("\xC2\x9B|\xE2\x80\xAE|\xFF|é"), "?|?|?|é");
}

TEST_F(TableTest, WideAndCombiningCharacters) {
  EXPECT_EQ(DisplayWidth("日本"), 4U);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1U);
  EXPECT_EQ(FitText("日本語", 5), "日本…");
  EXPECT_EQ(FitText("日本語", 4), "日…");
  EXPECT_EQ(FitText("abc", 3), "abc");
  EXPECT_EQ(FitText("abcd", 1), "…");
  EXPECT_EQ(FitText("abcd", 0), "");
}

}  // namespace
}  // namespace tidemark::tools
