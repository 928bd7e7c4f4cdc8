// POST /v1/changes.
#include <string>

#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

constexpr std::string_view kChanges = "/v1/changes";

class ChangeRoutesTest : public FacesTest {
 protected:
  http::Response Change(std::string lines, const Pairs& headers = {}) {
    return Post(kChanges, std::move(lines), headers);
  }
  std::string Value(std::string_view entity, const RecordId& id) {
    const auto record = instance_->store().Get(entity, id);
    EXPECT_OK(record);
    return record.ok() && *record ? (*record)->value : "-";
  }
};

std::string Nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') +
         std::string(static_cast<size_t>(depth), ']');
}

std::string PutLine(const std::string& id, const std::string& data) {
  return R"({"op":"put","entity":"note","id":)" + id + R"(,"data":)" + data + "}\n";
}

TEST_F(ChangeRoutesTest, ABatchIsAnsweredWithItsSequenceNumber) {
  const auto response = Change(
      "{\"op\":\"put\",\"entity\":\"contact\",\"id\":1001,\"data\":{ \"name\" : \"A\" }}\n"
      "\n"
      "{\"op\":\"delete\",\"entity\":\"contact\",\"id\":7}\r\n"
      "{\"op\":\"append\",\"entity\":\"visit\",\"data\":{\"at\":1}}");
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(response.content_type, kJsonType);
  EXPECT_EQ(response.body,
            R"({"data":{"sequence":2,"applied":2,"unchanged":1},"meta":{"type":"commit"}})");
  EXPECT_EQ(Value("contact", 1001), R"({"name":"A"})");
}

TEST_F(ChangeRoutesTest, ABadLineRefusesTheWholeBatchAndIsNamed) {
  const auto response = Change(PutLine("1", "{}") + "\n" + R"({"op":"put","entity":"note"})");
  EXPECT_THAT(response, IsError(422, "invalid_argument"));
  EXPECT_EQ(ErrorMember(response, "field"), "id");
  EXPECT_EQ(ErrorMember(response, "details"), "line 3");
  EXPECT_EQ(Value("note", 1), "-");
  EXPECT_EQ(instance_->store().last_sequence(), kSequenceZero);
}

TEST_F(ChangeRoutesTest, MalformedJsonIs400AndWrongValuesAre422) {
  for (const char* line : {"{",
                           "nonsense",
                           R"({"op":"put","entity":"a","id":1,"data":1} x)",
                           R"({"op":"put","op":"put","entity":"a","id":1,"data":1})",
                           R"({"op":"put","entity":"a","id":1,"data":{"k":1,"k":2}})",
                           R"({"op":"put","entity":"a","id":1,"data":"\ud800"})",
                           "{\"op\":\"put\",\"entity\":\"a\",\"id\":1,\"data\":\"\xff\"}",
                           R"({"op":"put","entity":"a","id":1,"data":1e999})",
                           R"({"op":"put","entity":"a","id":9223372036854775808,"data":1})",
                           R"({"op":"put","entity":"a","id":1,"data":01})"}) {
    EXPECT_THAT(Change(line), IsError(400, "malformed_json")) << line;
  }
  for (const char* line : {"[]",
                           "7",
                           R"({"op":"set","entity":"a","id":1,"data":1})",
                           R"({"op":"put","entity":"a b","id":1,"data":1})",
                           R"({"op":"put","entity":7,"id":1,"data":1})",
                           R"({"op":"put","entity":"a","id":1.5,"data":1})",
                           R"({"op":"put","entity":"a","id":"","data":1})",
                           R"({"op":"put","entity":"a","id":"a\u0001","data":1})",
                           R"({"op":"put","entity":"a","id":1})",
                           R"({"op":"put","entity":"a","id":1,"data":1,"extra":1})",
                           R"({"op":"put","entity":"a","id":1,"data":1,"if_version":-1})",
                           R"({"op":"put","entity":"a","id":1,"data":1,"if_absent":1})"}) {
    EXPECT_THAT(Change(line), IsError(422, "invalid_argument")) << line;
  }
}

TEST_F(ChangeRoutesTest, Depth32IsTakenAnd33Refused) {
  EXPECT_THAT(Change(PutLine("1", Nested(32))), HasStatus(200));
  EXPECT_THAT(Change(PutLine("2", Nested(33))), IsError(400, "malformed_json"));
}

TEST_F(ChangeRoutesTest, AnEventByTwoFacesIsOneEvent) {
  const std::string event = R"({"id":"t1","transaction_date":"2026-01-01"})";
  const std::string line = R"({"op":"append","entity":"transactions","data":)" + event + "}";
  EXPECT_THAT(Change(line), HasStatus(200));
  EXPECT_EQ(At(Change(line).body, {"data", "unchanged"}), "1");
  const std::string sync =
      At(Post("/v2/integrations-sync/instances/default/syncs").body, {"data", "sync_id"});
  const std::string path = "/v2/integrations-sync/syncs/" + sync;
  Post(path + "/incremental-data",
       R"({"entity_name":"transactions","page_number":1,"records":[)" + event + "]}");
  const auto finished = Put(path + "/finish");
  EXPECT_EQ(At(finished.body, {"data", "entities", "transactions", "unchanged"}), "1");
  EXPECT_EQ(At(finished.body, {"data", "entities", "transactions", "appended"}), "0");
  EXPECT_THAT(Get("/v1/entities/transactions/records/t1"), HasStatus(200));
}

TEST_F(ChangeRoutesTest, NothingSpendsNoIdempotencyKey) {
  const Pairs key = {{"Idempotency-Key", "k"}};
  EXPECT_THAT(Post("/v1/changes", "", key), HasStatus(200));
  EXPECT_THAT(Post("/v1/changes", PutLine("1", "1"), key), HasStatus(200));
}

TEST_F(ChangeRoutesTest, AContradictionNamesItsFieldAndLine) {
  EXPECT_THAT(Put("/v1/entities/widgets", R"({"id":"sku"})"), HasStatus(201));
  const auto refused = Change(R"({"op":"put","entity":"widgets","id":7,"data":{"sku":7}})"
                              "\n"
                              R"({"op":"put","entity":"widgets","id":7,"data":{"sku":8}})");
  EXPECT_THAT(refused, IsError(422, "invalid_argument"));
  EXPECT_EQ(ErrorMember(refused, "field"), "sku");
  EXPECT_EQ(ErrorMember(refused, "details"), "line 2");
}

TEST_F(ChangeRoutesTest, ReservedNamesAre403) {
  EXPECT_THAT(Change(R"({"op":"put","entity":"_scope","id":1,"data":1})"),
              IsError(403, "reserved"));
}

TEST_F(ChangeRoutesTest, TenThousandLinesAndNotOneMore) {
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += PutLine(std::to_string(i), "0");
  EXPECT_THAT(Change(lines), HasStatus(200));
  const auto response = Change(lines + PutLine("10000", "0"));
  EXPECT_THAT(response, IsError(422, "too_many_records"));
  EXPECT_EQ(ErrorMember(response, "details"), "line 10001");
  EXPECT_EQ(Value("note", 10'000), "-");
}

TEST_F(ChangeRoutesTest, AValueOfOneMebibyteAndNotAByteMore) {
  const std::string most = '"' + std::string(kValueBytesMax - 2, 'x') + '"';
  EXPECT_THAT(Change(PutLine("1", most)), HasStatus(200));
  const auto response = Change(PutLine("2", most.substr(0, 1) + "x" + most.substr(1)));
  EXPECT_THAT(response, IsError(413, "too_large"));
  EXPECT_EQ(ErrorMember(response, "field"), "data");
}

TEST_F(ChangeRoutesTest, TheOtherKindIs409AndNamesTheLine) {
  EXPECT_THAT(Change(PutLine("1", "1")), HasStatus(200));
  const auto response =
      Change(PutLine("2", "1") + "\n\n" + R"({"op":"append","entity":"note","data":1})");
  EXPECT_THAT(response, IsError(409, "wrong_kind"));
  EXPECT_EQ(ErrorMember(response, "details"), "line 4");
  EXPECT_EQ(Value("note", 2), "-");
}

TEST_F(ChangeRoutesTest, BuiltInSchemasHoldFromTheFirstWrite) {
  EXPECT_THAT(Change(R"({"op":"put","entity":"transactions","id":1,"data":{}})"),
              IsError(409, "wrong_kind"));
  EXPECT_THAT(Change(R"({"op":"append","entity":"transactions","id":"t","data":{}})"),
              HasStatus(200));
}

TEST_F(ChangeRoutesTest, AFailedConditionIs412) {
  EXPECT_THAT(Change(PutLine("1", "1")), HasStatus(200));
  for (const char* condition : {R"("if_absent":true)", R"("if_version":9)"}) {
    const auto response =
        Change(R"({"op":"put","entity":"note","id":1,"data":2,)" + std::string(condition) + "}");
    EXPECT_THAT(response, IsError(412, "condition_failed"));
    EXPECT_EQ(ErrorMember(response, "details"), "line 1");
  }
  EXPECT_THAT(Change(R"({"op":"put","entity":"note","id":1,"data":2,"if_newer":50})"),
              HasStatus(200));
  EXPECT_THAT(Change(R"({"op":"put","entity":"note","id":1,"data":3,"if_newer":50})"),
              IsError(412, "condition_failed"));
  EXPECT_THAT(Change(R"({"op":"put","entity":"note","id":1,"data":3,"if_version":2})"),
              HasStatus(200));
}

TEST_F(ChangeRoutesTest, AReplayAnswersByteForByte) {
  const Pairs key = {{"Idempotency-Key", "order-17"}};
  const std::string lines = R"({"op":"append","entity":"visit","data":{"n":1}})";
  const auto first = Change(lines, key);
  ASSERT_THAT(first, HasStatus(200));
  EXPECT_EQ(Header(first, "Idempotent-Replay"), "-");
  EXPECT_THAT(Change(PutLine("5", "1")), HasStatus(200));
  Reopen();
  const auto again = Change(lines, key);
  ASSERT_THAT(again, HasStatus(200));
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.content_type, first.content_type);
  EXPECT_EQ(Header(again, "Idempotent-Replay"), "true");
  EXPECT_EQ(instance_->store().FindEntity("visit")->record_count, 1U);
}

TEST_F(ChangeRoutesTest, TheSameKeyWithAnotherBodyIs422) {
  const Pairs key = {{"Idempotency-Key", "k"}};
  EXPECT_THAT(Change(PutLine("1", "1"), key), HasStatus(200));
  EXPECT_THAT(Change(PutLine("1", "2"), key), IsError(422, "idempotency_mismatch"));
  EXPECT_EQ(Value("note", 1), "1");
}

TEST_F(ChangeRoutesTest, AnIdempotencyKeyHas1To128Bytes) {
  EXPECT_THAT(Change(PutLine("1", "1"), {{"Idempotency-Key", std::string(128, 'k')}}),
              HasStatus(200));
  for (const size_t bytes : {size_t{0}, size_t{129}}) {
    const auto response = Change(PutLine("1", "1"), {{"Idempotency-Key", std::string(bytes, 'k')}});
    EXPECT_THAT(response, IsError(422, "invalid_argument"));
    EXPECT_EQ(ErrorMember(response, "field"), "Idempotency-Key");
  }
}

TEST_F(ChangeRoutesTest, BinaryValuesAndBothFormsOfAnId) {
  EXPECT_THAT(Change(R"({"op":"put","entity":"note","id":"7","data":{"$base64":"AAEC"}})"),
              HasStatus(200));
  EXPECT_EQ(Value("note", 7), std::string("\0\1\2", 3));
  EXPECT_THAT(Change(R"({"op":"put","entity":"note","id":8,"data":{"$base64":"A"}})"),
              IsError(422, "invalid_argument"));
  EXPECT_THAT(Change(PutLine("-9223372036854775808", "1")), HasStatus(200));
  EXPECT_EQ(Value("note", "-9223372036854775808"), "1");
}

TEST_F(ChangeRoutesTest, NoLinesAreNoChange) {
  EXPECT_EQ(Change("").body,
            R"({"data":{"sequence":0,"applied":0,"unchanged":0},"meta":{"type":"commit"}})");
}

}  // namespace
}  // namespace tidemark::server::test
