#include "format/json.h"

#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark {
namespace {

using ::testing::HasSubstr;
using ::tidemark::test::IsOkAndHolds;
using ::tidemark::test::StatusIs;

std::string Nested(int depth, char open, char close) {
  const auto count = static_cast<size_t>(depth);
  return std::string(count, open) + std::string(count, close);
}

TEST(JsonTest, MinifiesAndKeepsOrderAndSpelling) {
  EXPECT_THAT(MinifyJson(" { \"b\" : [ 1.50 , -0 , 1E2 ] ,\n\"a\":\"x \\u00e9\\n\" } "),
              IsOkAndHolds(R"({"b":[1.50,-0,1E2],"a":"x \u00e9\n"})"));
  EXPECT_THAT(MinifyJson(" 5 "), IsOkAndHolds("5"));
  EXPECT_THAT(MinifyJson("null"), IsOkAndHolds("null"));
  EXPECT_THAT(MinifyJson("\"\xf0\x9f\x98\x80\""), IsOkAndHolds("\"\xf0\x9f\x98\x80\""));
  EXPECT_THAT(MinifyJson(R"("\ud83d\ude00")"), IsOkAndHolds(R"("\ud83d\ude00")"));
}

TEST(JsonTest, AcceptsTheLargestAndRefusesTheNext) {
  for (const char* good : {"9223372036854775807", "-9223372036854775808", "1e308", "[]", "{}"}) {
    EXPECT_THAT(MinifyJson(good), IsOkAndHolds(good));
  }
  EXPECT_THAT(MinifyJson("9223372036854775808"),
              StatusIs(ErrorCode::kMalformedJson, HasSubstr("byte 0: an integer beyond 64 bits")));
  EXPECT_THAT(MinifyJson("[1,-9223372036854775809]"),
              StatusIs(ErrorCode::kMalformedJson, HasSubstr("byte 3: an integer beyond 64 bits")));
  EXPECT_THAT(MinifyJson("18446744073709551615"), StatusIs(ErrorCode::kMalformedJson));
  EXPECT_THAT(MinifyJson("1e400"), StatusIs(ErrorCode::kMalformedJson));
}

TEST(JsonTest, LimitsDepth) {
  EXPECT_OK(MinifyJson(Nested(kJsonDepthMax, '[', ']')));
  EXPECT_THAT(MinifyJson(Nested(kJsonDepthMax + 1, '[', ']')),
              StatusIs(ErrorCode::kMalformedJson, HasSubstr("deeper")));
  std::string objects = "1";
  for (int i = 0; i < kJsonDepthMax; ++i) objects = "{\"a\":" + objects + "}";
  EXPECT_OK(MinifyJson(objects));
  EXPECT_THAT(MinifyJson("{\"a\":" + objects + "}"), StatusIs(ErrorCode::kMalformedJson));
  EXPECT_THAT(MinifyJson(Nested(100'000, '[', ']')), StatusIs(ErrorCode::kMalformedJson));
}

TEST(JsonTest, RefusesWhatIsNotStrict) {
  const std::string bad[] = {
      "",
      " ",
      "{",
      "}",
      "[",
      "]",
      "[1",
      "[1,]",
      "[,1]",
      "[1 2]",
      "[1]]",
      "[[1]",
      "{}{}",
      "[] []",
      "1 2",
      "1,2",
      "1][2",
      "tru",
      "truee",
      "nul",
      "nulll",
      "nil",
      "True",
      "NaN",
      "Infinity",
      "-",
      "01",
      "-01",
      "1.",
      ".5",
      "+1",
      "1e",
      "1e+",
      "0x10",
      "1a",
      "'a'",
      "\"a",
      "a\"",
      "\"\\x\"",
      "\"\\u12\"",
      "\"\\u12g4\"",
      "\"\t\"",
      "\"a\nb\"",
      "{\"a\"}",
      "{\"a\":}",
      "{\"a\" 1}",
      "{a:1}",
      "{1:1}",
      "{\"a\":1,}",
      "{\"a\":1 \"b\":2}",
      "{,}",
      "[1}",
      "{\"a\":1]",
      "// c\n1",
      "[1]//",
      "\"\\ud800\"",
      "\"\\udc00\"",
      "\"\\ud800x\"",
      "\"\\ud800\\u0041\"",
      "\"\\udc00\\ud800\"",
      "{\"\\udc00\":1}",
      "\"\x80\"",
      "\"\xc0\xaf\"",
      "\"\xed\xa0\x80\"",
      "\"\xf4\x90\x80\x80\"",
      "\"\xc3",
      "\xef\xbb\xbf{}",
      std::string("1\0", 2),
      std::string("\0", 1),
      std::string("\"a\0b\"", 5),
  };
  for (const std::string& text : bad) {
    EXPECT_THAT(MinifyJson(text), StatusIs(ErrorCode::kMalformedJson, HasSubstr("byte "))) << text;
  }
}

TEST(JsonTest, RefusesDuplicateNamesAtEveryLevel) {
  for (const char* text : {R"({"a":1,"a":2})",
                           R"([{"x":{"b":1,"c":2,"b":3}}])",
                           R"({"a":1,"\u0061":2})",
                           R"({"a":{},"b":{"a":1},"a":2})"}) {
    EXPECT_THAT(MinifyJson(text), StatusIs(ErrorCode::kMalformedJson, HasSubstr("twice"))) << text;
  }
  EXPECT_OK(MinifyJson(R"({"a":{"a":{"a":1}},"b":{"a":1}})"));
  std::string many = "{";
  for (int i = 0; i < 40; ++i) many += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  EXPECT_OK(MinifyJson(many + "\"k40\":1}"));
  EXPECT_THAT(MinifyJson(many + "\"k7\":1}"), StatusIs(ErrorCode::kMalformedJson));
}

TEST(JsonTest, ReadsMembersInOrder) {
  const auto fields = ReadJsonObject(
      R"({ "s":"a\"b", "i":-7, "d":1.50, "t":true, "n":null, "a":[1, 2], "o":{ } })");
  ASSERT_OK(fields);
  ASSERT_EQ(fields->size(), 7U);
  const std::vector<JsonField>& f = *fields;
  EXPECT_EQ(f[0].name, "s");
  EXPECT_EQ(f[0].type, JsonType::kString);
  EXPECT_EQ(f[0].text, "a\"b");
  EXPECT_EQ(f[1].type, JsonType::kInteger);
  EXPECT_EQ(f[1].integer, -7);
  EXPECT_EQ(f[1].text, "-7");
  EXPECT_EQ(f[2].type, JsonType::kDouble);
  EXPECT_EQ(f[2].text, "1.50");
  EXPECT_TRUE(f[3].boolean);
  EXPECT_EQ(f[3].text, "true");
  EXPECT_EQ(f[4].type, JsonType::kNull);
  EXPECT_EQ(f[5].type, JsonType::kArray);
  EXPECT_EQ(f[5].text, "[1,2]");
  EXPECT_EQ(f[6].type, JsonType::kObject);
  EXPECT_EQ(f[6].text, "{}");
  EXPECT_THAT(ReadJsonObject("[]"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(ReadJsonObject("{"), StatusIs(ErrorCode::kMalformedJson));
}

TEST(JsonTest, ReadsElementsInOrder) {
  const auto elements = ReadJsonArray(R"([1, "x", {"a": [ ]}])");
  ASSERT_OK(elements);
  ASSERT_EQ(elements->size(), 3U);
  EXPECT_EQ((*elements)[0].integer, 1);
  EXPECT_EQ((*elements)[1].text, "x");
  EXPECT_EQ((*elements)[2].text, R"({"a":[]})");
  EXPECT_THAT(ReadJsonArray("{}"), StatusIs(ErrorCode::kInvalidArgument));
}

TEST(JsonTest, ReadsOnlyTheNamedFields) {
  const auto fields = ReadJsonFields(R"({"a":1,"b":{"c":2},"c":"x"})", {"c", "missing", "a", "c"});
  ASSERT_OK(fields);
  ASSERT_EQ(fields->size(), 4U);
  EXPECT_EQ((*fields)[0]->text, "x");
  EXPECT_FALSE((*fields)[1].has_value());
  EXPECT_EQ((*fields)[2]->integer, 1);
  EXPECT_EQ((*fields)[3]->text, "x");
}

TEST(JsonWriterTest, WritesWhatTheReaderAccepts) {
  JsonWriter writer;
  writer.BeginObject().Key("a\"\\").BeginArray().Integer(-1).Unsigned(2).Double(0.5).Bool(true);
  writer.Null().Raw("{}").BeginArray().EndArray().EndArray().Key("b");
  writer.String(std::string_view("\0\x1f\n\r\t\xc3\xa9", 7)).EndObject();
  EXPECT_EQ(writer.text(),
            "{\"a\\\"\\\\\":[-1,2,0.5,true,null,{},[]],\"b\":\"\\u0000\\u001f\\n\\r\\t\xc3\xa9\"}");
  EXPECT_THAT(MinifyJson(writer.text()), IsOkAndHolds(writer.text()));
  EXPECT_EQ(JsonWriter().Double(std::numeric_limits<double>::infinity()).text(), "null");
}

}  // namespace
}  // namespace tidemark
