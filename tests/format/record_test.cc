#include "format/record.h"

#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark {
namespace {

using ::tidemark::test::StatusIs;

TEST(RecordIdTest, IntegersAreTheirDecimalText) {
  EXPECT_EQ(RecordId(int64_t{7}).text(), RecordId("7").text());
  EXPECT_EQ(RecordId(int64_t{7}).form(), IdForm::kInteger);
  EXPECT_EQ(RecordId("7").form(), IdForm::kText);
  EXPECT_EQ(RecordId(std::numeric_limits<int64_t>::min()).text(), "-9223372036854775808");
}

TEST(NameTest, AcceptsAndRefuses) {
  const std::string longest(kNameBytesMax, 'a');
  for (const std::string& good :
       {std::string("a"), std::string("9"), std::string("A_b.c-d"), longest}) {
    EXPECT_OK(CheckName(good)) << good;
  }
  for (const std::string& bad : {std::string(),
                                 longest + "a",
                                 std::string(".a"),
                                 std::string("-a"),
                                 std::string("a b"),
                                 std::string("a/b"),
                                 std::string("\xc3\xa9"),
                                 std::string("a\0", 2)}) {
    EXPECT_THAT(CheckName(bad), StatusIs(ErrorCode::kInvalidArgument)) << bad;
  }
  EXPECT_THAT(CheckName("_devices"), StatusIs(ErrorCode::kReserved));
}

TEST(RecordIdTest, AcceptsAndRefuses) {
  EXPECT_OK(CheckRecordId(std::string(kIdBytesMax, 'x')));
  EXPECT_OK(CheckRecordId(R"(["G00001","E0000007"])"));
  EXPECT_OK(CheckRecordId("\xc3\xa9\xc2\xa0 \xf0\x9f\x98\x80"));
  for (const std::string& bad : {std::string(),
                                 std::string(kIdBytesMax + 1, 'x'),
                                 std::string("a\n"),
                                 std::string("\x7f"),
                                 std::string("a\0b", 3),
                                 std::string("\xc2\x85"),
                                 std::string("\xff")}) {
    EXPECT_THAT(CheckRecordId(bad), StatusIs(ErrorCode::kInvalidArgument)) << bad;
  }
}

TEST(DeviceIdTest, AcceptsAndRefuses) {
  EXPECT_OK(CheckDeviceId(std::string(kDeviceIdBytesMax, 'x')));
  EXPECT_OK(CheckDeviceId(" a "));
  for (const std::string& bad : {std::string(),
                                 std::string(kDeviceIdBytesMax + 1, 'x'),
                                 std::string("  "),
                                 std::string(" \xc2\xa0\xe3\x80\x80")}) {
    EXPECT_THAT(CheckDeviceId(bad), StatusIs(ErrorCode::kInvalidArgument)) << bad;
  }
}

TEST(Utf8Test, KnowsWellFormedText) {
  for (const char* good : {"",
                           "ascii only, more than eight",
                           "\xc2\x80",
                           "\xe0\xa0\x80",
                           "\xed\x9f\xbf",
                           "\xee\x80\x80",
                           "\xf0\x90\x80\x80",
                           "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(good));
  }
  for (const char* bad : {"\x80",
                          "\xc0\x80",
                          "\xc1\xbf",
                          "\xc2",
                          "\xe0\x9f\xbf",
                          "\xed\xa0\x80",
                          "\xe1\x80",
                          "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80",
                          "\xf1\x80\x80",
                          "\xff",
                          "12345678\xbf"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

}  // namespace
}  // namespace tidemark
