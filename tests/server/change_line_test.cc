#include "server/change_line.h"

#include <string>

#include <gtest/gtest.h>

#include "format/record_json.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server {
namespace {

using ::testing::HasSubstr;
using tidemark::test::StatusIs;

// Of a store without schemas of its own.
Status AddChangeLine(std::string_view line, WriteBatch& batch) {
  const tidemark::test::TempDirectory directory;
  const auto store = Store::Open(directory.path());
  if (!store.ok()) return store.status();
  IdFields id_fields(**store);
  return server::AddChangeLine(line, id_fields, batch);
}

TEST(ChangeLineTest, Put) {
  WriteBatch batch;
  const Status status = AddChangeLine(
      R"({"op":"put","entity":"contact","id":1001,"data":{ "a" : [1, 2.50] },"if_version":3})",
      batch);
  ASSERT_TRUE(status.ok()) << status.ToString();
  const WriteOperation operation = batch.operation(0);
  EXPECT_EQ(operation.op, WriteOp::kPut);
  EXPECT_EQ(operation.entity, "contact");
  EXPECT_EQ(operation.id, "1001");
  EXPECT_EQ(operation.id_form, IdForm::kInteger);
  EXPECT_EQ(operation.value, R"({"a":[1,2.50]})");
  EXPECT_EQ(operation.value_kind, ValueKind::kJson);
  EXPECT_EQ(operation.condition.if_version, SequenceNumber(3));
}

TEST(ChangeLineTest, PutIsTheDefault) {
  WriteBatch batch;
  ASSERT_TRUE(AddChangeLine(R"({"entity":"contact","id":"x","data":"text\n"})", batch).ok());
  EXPECT_EQ(batch.operation(0).op, WriteOp::kPut);
  EXPECT_EQ(batch.operation(0).id_form, IdForm::kText);
  EXPECT_EQ(batch.operation(0).value, R"("text\n")");
}

TEST(ChangeLineTest, AnEventHasTheIdOfItsData) {
  WriteBatch batch;
  ASSERT_OK(AddChangeLine(R"({"op":"append","entity":"v","data":{"id":7}})", batch));
  EXPECT_EQ(batch.operation(0).id, "7");
  EXPECT_EQ(batch.operation(0).id_form, IdForm::kInteger);
  ASSERT_OK(AddChangeLine(R"({"op":"append","entity":"v","data":{"id":null}})", batch));
  EXPECT_EQ(batch.operation(1).id, "");
  // As a dump has the third event of one id.
  ASSERT_OK(AddChangeLine(R"({"op":"append","entity":"v","id":"7~31","data":{"id":7}})", batch));
  EXPECT_EQ(batch.operation(2).id, "7~31");
  for (const char* id : {"8", "7~", "7~x", "7~3x", "77~3"}) {
    EXPECT_THAT(AddChangeLine(R"({"op":"append","entity":"v","id":")" + std::string(id) +
                                  R"(","data":{"id":7}})",
                              batch),
                StatusIs(ErrorCode::kInvalidArgument))
        << id;
  }
  EXPECT_EQ(batch.size(), 3U);
}

TEST(ChangeLineTest, DataThatContradictsTheIdIsRefused) {
  WriteBatch batch;
  const auto put = [&](std::string_view entity, std::string_view id, std::string_view data) {
    return AddChangeLine(R"({"entity":")" + std::string(entity) + R"(","id":)" + std::string(id) +
                             R"(,"data":)" + std::string(data) + "}",
                         batch);
  };
  for (const char* data : {R"({"id":8})", R"({"id":"x"})", R"({"id":{}})", R"({"id":null})"}) {
    const Status refused = put("contact", "7", data);
    EXPECT_THAT(refused, StatusIs(ErrorCode::kInvalidArgument)) << data;
    EXPECT_THAT(refused.message(), HasSubstr("field \"id\"")) << data;
  }
  EXPECT_THAT(put("group_users", R"("[\"g\",\"u\"]")", R"({"group_id":"g","user_id":"x"})"),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(put("group_users", R"("g")", R"({"group_id":"g"})"),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_TRUE(batch.empty());

  ASSERT_OK(put("contact", "7", R"({"id":"7"})"));
  EXPECT_EQ(batch.operation(0).id_form, IdForm::kText) << "as its own field has it";
  EXPECT_OK(put("contact", "7", R"({"name":"Ada"})"));
  EXPECT_OK(put("contact", "7", R"([{"id":8}])"));
  EXPECT_OK(put("group_users", R"("[\"g\",\"u\"]")", R"({"group_id":"g","user_id":"u"})"));
  EXPECT_OK(put("group_users", R"("[\"g\",\"u\"]")", R"({"user_id":"u"})"));
}

TEST(ChangeLineTest, BinaryValues) {
  WriteBatch batch;
  ASSERT_TRUE(AddChangeLine(R"({"entity":"p","id":"x","data":{"$base64":"AAEC"}})", batch).ok());
  EXPECT_EQ(batch.operation(0).value_kind, ValueKind::kBytes);
  EXPECT_EQ(batch.operation(0).value, std::string("\0\1\2", 3));
  // Only that one member means bytes.
  ASSERT_TRUE(
      AddChangeLine(R"({"entity":"p","id":"y","data":{"$base64":"AAEC","b":1}})", batch).ok());
  EXPECT_EQ(batch.operation(1).value_kind, ValueKind::kJson);
  EXPECT_THAT(AddChangeLine(R"({"entity":"p","id":"z","data":{"$base64":"A"}})", batch),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_EQ(batch.size(), 2U);
}

TEST(ChangeLineTest, DeleteAndAppend) {
  WriteBatch batch;
  ASSERT_TRUE(AddChangeLine(R"({"op":"delete","entity":"c","id":1,"if_newer":-5})", batch).ok());
  EXPECT_EQ(batch.operation(0).op, WriteOp::kDelete);
  EXPECT_EQ(batch.operation(0).condition.if_newer, -5);
  ASSERT_TRUE(AddChangeLine(R"({"op":"append","entity":"v","data":{}})", batch).ok());
  ASSERT_TRUE(AddChangeLine(R"({"op":"append","entity":"v","id":"e","data":{}})", batch).ok());
  EXPECT_EQ(batch.operation(1).id, "");
  EXPECT_EQ(batch.operation(2).id, "e");
}

TEST(ChangeLineTest, TakesWhatLogTailPrints) {
  WriteBatch batch;
  EXPECT_TRUE(
      AddChangeLine(R"({"sequence":9,"op":"delete","entity":"c","id":1,"version":9,"data":null})",
                    batch)
          .ok());
  EXPECT_TRUE(
      AddChangeLine(
          R"({"cursor":"x","sequence":9,"op":"put","entity":"c","id":1,"version":9,"data":1})",
          batch)
          .ok());
}

struct BadCase {
  const char* line;
  ErrorCode code;
  const char* reason;
};

TEST(ChangeLineTest, NamesTheField) {
  const BadCase cases[] = {
      {R"({"entity":"c","id":1,"data":{})", ErrorCode::kMalformedJson, "byte"},
      {R"([1])", ErrorCode::kInvalidArgument, "object"},
      {R"({"id":1,"data":{}})", ErrorCode::kInvalidArgument, "field \"entity\" is missing"},
      {R"({"entity":"c","data":{}})", ErrorCode::kInvalidArgument, "field \"id\" is missing"},
      {R"({"entity":"c","id":1})", ErrorCode::kInvalidArgument, "field \"data\" is missing"},
      {R"({"entity":7,"id":1,"data":1})", ErrorCode::kInvalidArgument, "field \"entity\""},
      {R"({"entity":"_x","id":1,"data":1})", ErrorCode::kReserved, "field \"entity\""},
      {R"({"entity":"c d","id":1,"data":1})", ErrorCode::kInvalidArgument, "field \"entity\""},
      {R"({"entity":"c","id":1.5,"data":1})", ErrorCode::kInvalidArgument, "field \"id\""},
      {R"({"entity":"c","id":true,"data":1})", ErrorCode::kInvalidArgument, "field \"id\""},
      {R"({"entity":"c","id":"","data":1})", ErrorCode::kInvalidArgument, "field \"id\""},
      {R"({"op":"merge","entity":"c","id":1,"data":1})",
       ErrorCode::kInvalidArgument,
       "field \"op\""},
      {R"({"entity":"c","id":1,"data":1,"when":2})",
       ErrorCode::kInvalidArgument,
       "\"when\" is not"},
      {R"({"op":"delete","entity":"c","id":1,"data":1})", ErrorCode::kInvalidArgument, "\"data\""},
      {R"({"entity":"c","id":1,"data":1,"if_absent":1})", ErrorCode::kInvalidArgument, "if_absent"},
      {R"({"entity":"c","id":1,"data":1,"if_version":-1})",
       ErrorCode::kInvalidArgument,
       "if_version"},
      {R"({"op":"append","entity":"c","data":1,"if_newer":1})",
       ErrorCode::kInvalidArgument,
       "append"},
  };
  for (const BadCase& bad : cases) {
    WriteBatch batch;
    const Status status = AddChangeLine(bad.line, batch);
    EXPECT_THAT(status, StatusIs(bad.code)) << bad.line;
    EXPECT_THAT(status.message(), HasSubstr(bad.reason)) << bad.line;
    EXPECT_EQ(batch.size(), 0U);
  }
}

TEST(ChangeLineTest, TooLarge) {
  WriteBatch batch;
  const std::string fits(kValueBytesMax - 2, 'x');
  const std::string head = R"({"entity":"c","id":1,"data":")";
  EXPECT_TRUE(AddChangeLine(head + fits + "\"}", batch).ok());
  EXPECT_THAT(AddChangeLine(head + fits + "x\"}", batch), StatusIs(ErrorCode::kTooLarge));
}

TEST(JsonErrorColumnTest, CountsFromOne) {
  WriteBatch batch;
  const Status status = AddChangeLine(R"({"a":1,})", batch);
  EXPECT_THAT(status, StatusIs(ErrorCode::kMalformedJson));
  EXPECT_GE(JsonErrorColumn(status), 7U);
  EXPECT_EQ(JsonErrorColumn(Status(ErrorCode::kInvalidArgument, "field")), 0U);
}

}  // namespace
}  // namespace tidemark::server
