#include "tools/output.h"

#include <string>

#include <gtest/gtest.h>

#include "format/json.h"
#include "tests/support/status_matchers.h"

namespace tidemark::tools {
namespace {

using ::testing::HasSubstr;
using tidemark::test::StatusIs;

std::string Object(OutputFormat format) {
  StringSink sink;
  Output(sink, format, 0)
      .Object({{"name", "a\"b"},
               {"disk_bytes", Cell::Bytes(3 << 20)},
               {"when", Cell::Time(0)},
               {"ok", true},
               {"data", Cell::Json(R"({"a":1})")},
               {"items", Cell::List({"x", "y"})}});
  return sink.text();
}

TEST(OutputTest, ObjectAsTextAndJson) {
  EXPECT_EQ(Object(OutputFormat::kTable),
            "name        a\"b\n"
            "disk bytes  3.0 MiB\n"
            "when        -\n"
            "ok          yes\n"
            "data        {\"a\":1}\n"
            "items       x, y\n");
  const std::string json =
      R"({"name":"a\"b","disk_bytes":3145728,"when":null,"ok":true,"data":{"a":1},"items":["x","y"]})"
      "\n";
  EXPECT_EQ(Object(OutputFormat::kJson), json);
  EXPECT_EQ(Object(OutputFormat::kNdjson), json);
}

std::string List(OutputFormat format, int count) {
  StringSink sink;
  Output output(sink, format, 0);
  Rows rows(output, {"id", "value"});
  for (int i = 0; i < count; ++i) rows.Add({i, "v"});
  rows.Finish();
  return sink.text();
}

TEST(OutputTest, ListsAreOneDocumentOrLines) {
  for (const int count : {0, 1, 3}) {
    const auto elements = ReadJsonArray(List(OutputFormat::kJson, count));
    ASSERT_TRUE(elements.ok());
    EXPECT_EQ(elements->size(), static_cast<size_t>(count));
  }
  EXPECT_EQ(List(OutputFormat::kNdjson, 2),
            "{\"id\":0,\"value\":\"v\"}\n{\"id\":1,\"value\":\"v\"}\n");
  EXPECT_EQ(List(OutputFormat::kNdjson, 0), "");
  EXPECT_EQ(List(OutputFormat::kTable, 1), "ID  VALUE\n 0  v\n");
}

TEST(OutputTest, ErrorsSayWhatToDoNext) {
  const Status status(ErrorCode::kNotFound, "no \x1b\xFF");
  EXPECT_EQ(FormatError(status, OutputFormat::kTable),
            "tidemark: not_found: no ??\n  " +
                std::string(GetErrorInfo(ErrorCode::kNotFound).advice) + "\n");
  const auto members = ReadJsonObject(FormatError(status, OutputFormat::kJson));
  ASSERT_TRUE(members.ok());
  EXPECT_THAT(members->front().text, HasSubstr(R"("exit_code":3)"));
}

TEST(OutputTest, AFullDiskIsAnError) {
  FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  FileSink sink(fileno(full), "standard output");
  sink.Write("x");
  EXPECT_TRUE(sink.status().ok());
  sink.Flush();
  EXPECT_THAT(sink.status(), StatusIs(ErrorCode::kDiskFull));
  std::fclose(full);
}

TEST(FormatTest, Amounts) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatCount(7), "7");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(12345678), "12,345,678");
  EXPECT_EQ(FormatTime(1'725'148'800'000), "2024-09-01T00:00:00Z");
}

}  // namespace
}  // namespace tidemark::tools
