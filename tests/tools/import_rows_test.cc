#include "tools/import_rows.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark::tools {
namespace {

using ::testing::HasSubstr;
using tidemark::test::IsOkAndHolds;
using tidemark::test::StatusIs;

struct Read {
  std::vector<std::string> rows;
  std::vector<uint64_t> lines;
  Status status;
};

Read ReadAllRows(RowReader& reader) {
  Read read;
  ImportRow row;
  while (true) {
    const Result<bool> found = reader.Next(row);
    read.status = found.status();
    if (!found.ok() || !*found) return read;
    read.rows.push_back(row.json);
    read.lines.push_back(row.line);
  }
}

Read Ndjson(const std::string& text) {
  StringSource source(text, 3);
  return ReadAllRows(*ReadNdjsonRows(source));
}

Read Csv(const std::string& text,
         const std::vector<EntityField>& fields = {},
         BadCell bad_cell = BadCell::kRefuse) {
  StringSource source(text, 3);
  const auto reader = ReadCsvRows(source, fields, bad_cell);
  if (!reader.ok()) return {.rows = {}, .lines = {}, .status = reader.status()};
  return ReadAllRows(**reader);
}

TEST(NdjsonRowsTest, Minifies) {
  const Read read = Ndjson("{ \"id\" : 1 }\n\n{\"id\":\"b\"}");
  EXPECT_TRUE(read.status.ok());
  EXPECT_EQ(read.rows, (std::vector<std::string>{R"({"id":1})", R"({"id":"b"})"}));
  EXPECT_EQ(read.lines, (std::vector<uint64_t>{1, 3}));
}

TEST(NdjsonRowsTest, NamesLineAndColumn) {
  Read read = Ndjson("{\"id\":1}\n{\"id\":oops}\n");
  EXPECT_THAT(read.status, StatusIs(ErrorCode::kMalformedJson));
  EXPECT_THAT(read.status.message(), HasSubstr("line 2, column 7"));
  EXPECT_EQ(read.rows.size(), 1U);
  read = Ndjson("[1]\n");
  EXPECT_THAT(read.status.message(), HasSubstr("line 1, column 1"));
}

TEST(CsvRowsTest, StringsUnlessTyped) {
  const Read read = Csv("id,age,score,ok,tags,note\n007,42,1.50,true,\"[1, 2]\",\n",
                        {{.name = "age", .type = FieldType::kInteger},
                         {.name = "score", .type = FieldType::kNumber},
                         {.name = "ok", .type = FieldType::kBoolean},
                         {.name = "tags", .type = FieldType::kArray}});
  ASSERT_TRUE(read.status.ok()) << read.status.ToString();
  EXPECT_EQ(read.rows[0], R"({"id":"007","age":42,"score":1.50,"ok":true,"tags":[1,2]})");
}

TEST(CsvRowsTest, BadCellIsNamedOrKept) {
  const std::string text = "id,age\n1,42\n2,old\n";
  const std::vector<EntityField> fields = {{.name = "age", .type = FieldType::kInteger}};
  const Read refused = Csv(text, fields);
  EXPECT_THAT(refused.status, StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(refused.status.message(), HasSubstr("line 3, column 3"));
  EXPECT_THAT(refused.status.message(), HasSubstr("column \"age\": expected an integer"));
  const Read kept = Csv(text, fields, BadCell::kKeepString);
  EXPECT_TRUE(kept.status.ok());
  EXPECT_EQ(kept.rows[1], R"({"id":"2","age":"old"})");
}

TEST(CsvRowsTest, RefusesWhatIsNotUtf8) {
  EXPECT_THAT(Csv("id,\xFF\n1,2\n").status.message(), HasSubstr("line 1, column 4"));
  const Read read = Csv("id,a\n1,\xFF\n", {}, BadCell::kKeepString);
  EXPECT_THAT(read.status.message(), HasSubstr("line 2, column 3"));
}

TEST(CellToJsonTest, Numbers) {
  EXPECT_THAT(CellToJson("-12", FieldType::kInteger), IsOkAndHolds(std::string("-12")));
  EXPECT_THAT(CellToJson("1e3", FieldType::kNumber), IsOkAndHolds(std::string("1e3")));
  for (const char* cell : {"1.5", "01", "1,2", " 1", "1 ", "0x1", "nan", "9223372036854775808"}) {
    EXPECT_THAT(CellToJson(cell, FieldType::kInteger), StatusIs(ErrorCode::kInvalidArgument))
        << cell;
  }
  EXPECT_THAT(CellToJson("TRUE", FieldType::kBoolean), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(CellToJson("{}", FieldType::kArray), StatusIs(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace tidemark::tools
