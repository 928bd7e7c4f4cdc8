// Single records and lists of them.
#include <string>

#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

class RecordRoutesTest : public FacesTest {
 protected:
  static std::string Path(const std::string& id) { return "/v1/entities/contact/records/" + id; }
};

TEST_F(RecordRoutesTest, CreatedChangedUnchanged) {
  const auto created = Put(Path("a"), R"({ "n" : 1 })");
  EXPECT_THAT(created, HasStatus(201));
  EXPECT_EQ(Header(created, "ETag"), "\"1\"");
  EXPECT_EQ(At(created.body, {"data", "outcome"}), "created");
  const auto updated = Put(Path("a"), R"({"n":2})");
  EXPECT_THAT(updated, HasStatus(200));
  EXPECT_EQ(Header(updated, "ETag"), "\"2\"");
  const auto unchanged = Put(Path("a"), R"({"n":2})");
  EXPECT_THAT(unchanged, HasStatus(200));
  EXPECT_EQ(Header(unchanged, "ETag"), "\"2\"");
  EXPECT_EQ(At(unchanged.body, {"data", "outcome"}), "unchanged");
}

TEST_F(RecordRoutesTest, ARecordIsReadWithItsTag) {
  Put(Path("a"), R"({"n":[1,2.50]})");
  const auto response = Get(Path("a"));
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(response.body,
            R"({"data":{"n":[1,2.50]},"meta":{"type":"contact","id":"a","version":1}})");
  EXPECT_EQ(Header(response, "ETag"), "\"1\"");
}

TEST_F(RecordRoutesTest, WhatIsNotThereIs404) {
  EXPECT_THAT(Get(Path("a")), IsError(404, "not_found"));
  EXPECT_THAT(Get("/v1/entities/_hidden/records/1"), IsError(404, "not_found"));
  EXPECT_THAT(Delete(Path("a")), IsError(404, "not_found"));
}

TEST_F(RecordRoutesTest, ReadingIsConditional) {
  Put(Path("a"), "1");
  const auto same = Get(Path("a"), {{"If-None-Match", "\"1\""}});
  EXPECT_THAT(same, HasStatus(304));
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(same.content_type, "");
  EXPECT_EQ(Header(same, "ETag"), "\"1\"");
  EXPECT_THAT(Get(Path("a"), {{"If-None-Match", "*"}}), HasStatus(304));
  EXPECT_THAT(Get(Path("a"), {{"If-None-Match", "\"9\", W/\"1\""}}), HasStatus(304));
  EXPECT_THAT(Get(Path("a"), {{"If-None-Match", "\"2\""}}), HasStatus(200));
  EXPECT_THAT(Get(Path("a"), {{"If-Match", "\"2\""}}), IsError(412, "condition_failed"));
  EXPECT_THAT(Get(Path("a"), {{"If-Match", "\"1\""}}), HasStatus(200));
}

TEST_F(RecordRoutesTest, WritingIsConditional) {
  EXPECT_THAT(Put(Path("a"), "1", {{"If-Match", "*"}}), IsError(412, "condition_failed"));
  EXPECT_THAT(Put(Path("a"), "1", {{"If-None-Match", "*"}}), HasStatus(201));
  EXPECT_THAT(Put(Path("a"), "2", {{"If-None-Match", "*"}}), IsError(412, "condition_failed"));
  EXPECT_THAT(Put(Path("a"), "2", {{"If-Match", "\"7\""}}), IsError(412, "condition_failed"));
  EXPECT_THAT(Put(Path("a"), "2", {{"If-Match", "W/\"1\""}}), IsError(412, "condition_failed"));
  EXPECT_THAT(Put(Path("a"), "2", {{"If-Match", "\"7\", \"1\""}}), HasStatus(200));
  EXPECT_THAT(Put(Path("a"), "3", {{"If-None-Match", "\"2\""}}), IsError(412, "condition_failed"));
  EXPECT_THAT(Put(Path("a"), "3", {{"If-None-Match", "\"1\""}}), HasStatus(200));
  EXPECT_THAT(Delete(Path("a"), {{"If-Match", "\"2\""}}), IsError(412, "condition_failed"));
  EXPECT_THAT(Delete(Path("a"), {{"If-Match", "\"3\""}}), HasStatus(200));
  EXPECT_THAT(Delete(Path("a"), {{"If-Match", "\"3\""}}), IsError(404, "not_found"));
}

TEST_F(RecordRoutesTest, MalformedConditionsAre422) {
  for (const char* text : {"", "1", "\"1", "* \"1\"", "\"1\" \"2\"", "\"1\",", "w/\"1\""}) {
    const auto response = Put(Path("a"), "1", {{"If-Match", text}});
    EXPECT_THAT(response, IsError(422, "invalid_argument")) << text;
    EXPECT_EQ(ErrorMember(response, "field"), "If-Match");
  }
}

TEST_F(RecordRoutesTest, IdsKeepTheirForm) {
  Put(Path("1001"), R"({"id":"1001"})");
  EXPECT_EQ(At(Get(Path("1001")).body, {"meta"}), R"({"type":"contact","id":"1001","version":1})");
  Put(Path("1001"), R"({"id":1001,"x":1})");
  EXPECT_EQ(At(Get(Path("1001")).body, {"meta"}), R"({"type":"contact","id":1001,"version":2})");
  Put(Path("007"), "{}");
  EXPECT_EQ(At(Get(Path("007")).body, {"meta"}), R"({"type":"contact","id":"007","version":3})");
  Put(Path("7"), "{}");
  EXPECT_EQ(At(Get(Path("7")).body, {"meta"}), R"({"type":"contact","id":7,"version":4})");
}

TEST_F(RecordRoutesTest, IdsAndNamesAreChecked) {
  EXPECT_THAT(Put(Path(std::string(512, 'i')), "1"), HasStatus(201));
  EXPECT_THAT(Put(Path(std::string(513, 'i')), "1"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Put(Path("a\x01"), "1"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Get(Path("a\x7f")), IsError(422, "invalid_argument"));
  const std::string name(64, 'e');
  EXPECT_THAT(Put("/v1/entities/" + name + "/records/1", "1"), HasStatus(201));
  EXPECT_THAT(Put("/v1/entities/" + name + "e/records/1", "1"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Get("/v1/entities/a b/records"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Put("/v1/entities/_sync/records/1", "1"), IsError(403, "reserved"));
  EXPECT_THAT(Delete("/v1/entities/_sync/records/1"), IsError(403, "reserved"));
}

TEST_F(RecordRoutesTest, BodiesAreStrictJson) {
  for (const char* body : {"", "{", "{} {}", R"({"a":1,"a":1})", "\"\xff\"", "nul"}) {
    EXPECT_THAT(Put(Path("a"), body), IsError(400, "malformed_json")) << body;
  }
  EXPECT_THAT(Put(Path("a"), std::string(31, '[') + "{}" + std::string(31, ']')), HasStatus(201));
  EXPECT_THAT(Put(Path("b"), std::string(32, '[') + "{}" + std::string(32, ']')),
              IsError(400, "malformed_json"));
}

TEST_F(RecordRoutesTest, AValueOfOneMebibyteAndNotAByteMore) {
  const std::string most = '"' + std::string(kValueBytesMax - 2, 'x') + '"';
  EXPECT_THAT(Put(Path("a"), most), HasStatus(201));
  EXPECT_THAT(Put(Path("b"), '"' + std::string(kValueBytesMax - 1, 'x') + '"'),
              IsError(413, "too_large"));
}

TEST_F(RecordRoutesTest, EventsAreNotPutNorDeleted) {
  Post("/v1/changes", R"({"op":"append","entity":"visit","id":"v","data":1})");
  EXPECT_THAT(Put("/v1/entities/visit/records/v", "1"), IsError(409, "wrong_kind"));
  EXPECT_THAT(Delete("/v1/entities/visit/records/v"), IsError(409, "wrong_kind"));
  EXPECT_THAT(Delete("/v1/entities/visit/records/w"), IsError(409, "wrong_kind"));
  EXPECT_THAT(Get("/v1/entities/visit/records/v"), HasStatus(200));
}

TEST_F(RecordRoutesTest, BinaryValues) {
  EXPECT_THAT(Put(Path("a"), R"({"$base64":"AAEC"})"), HasStatus(201));
  EXPECT_EQ(At(Get(Path("a")).body, {"data"}), R"({"$base64":"AAEC"})");
}

TEST_F(RecordRoutesTest, ListsGoOnAfterAnId) {
  for (const char* id : {"a1", "a2", "a3", "b1"}) Put(Path(id), "1");
  const std::string list = "/v1/entities/contact/records";
  const auto first = Get(list + "?limit=2");
  ASSERT_THAT(first, HasStatus(200));
  EXPECT_EQ(At(first.body, {"items", "0"}),
            R"({"data":1,"meta":{"type":"contact","id":"a1","version":1}})");
  EXPECT_EQ(At(first.body, {"meta"}), R"({"type":"collection","count":2,"next":"a2"})");
  const auto second = Get(list + "?limit=2&after=a2");
  EXPECT_EQ(At(second.body, {"items", "1", "meta", "id"}), "b1");
  EXPECT_EQ(At(second.body, {"meta", "next"}), "null");
  EXPECT_EQ(At(Get(list + "?prefix=a&after=a1").body, {"meta", "count"}), "2");
  EXPECT_EQ(Get("/v1/entities/nothing/records").body,
            R"({"items":[],"meta":{"type":"collection","count":0,"next":null}})");
}

TEST_F(RecordRoutesTest, AValueThatContradictsThePathIsRefused) {
  for (const char* value : {R"({"id":"y"})", R"({"id":{}})", R"({"id":null})"}) {
    const auto refused = Put(Path("x"), value);
    EXPECT_THAT(refused, IsError(422, "invalid_argument")) << value;
    EXPECT_EQ(ErrorMember(refused, "field"), "id");
  }
  EXPECT_THAT(Put(Path("x"), R"({"id":"x"})"), HasStatus(201));
  EXPECT_THAT(Put("/v1/entities/group_users/records/[1,2]", R"({"group_id":1,"user_id":3})"),
              IsError(422, "invalid_argument"));
  EXPECT_THAT(Put("/v1/entities/group_users/records/[1,2]", R"({"group_id":1,"user_id":2})"),
              HasStatus(201));
}

TEST_F(RecordRoutesTest, ALimitIsFrom1To1000) {
  const std::string list = "/v1/entities/contact/records?limit=";
  EXPECT_THAT(Get(list + "1"), HasStatus(200));
  EXPECT_THAT(Get(list + "1000"), HasStatus(200));
  for (const char* limit : {"0", "1001", "-1", "x", "", "1.5"}) {
    const auto response = Get(list + limit);
    EXPECT_THAT(response, IsError(422, "invalid_argument")) << limit;
    EXPECT_EQ(ErrorMember(response, "field"), "limit");
  }
}

TEST_F(RecordRoutesTest, AListIsBoundedInBytes) {
  const std::string value = '"' + std::string(900'000, 'x') + '"';
  for (int i = 0; i < 8; ++i) Put(Path(std::to_string(i)), value);
  const auto response = Get("/v1/entities/contact/records");
  EXPECT_LT(response.body.size(), kValueBytesMax * 6);
  EXPECT_EQ(At(response.body, {"meta", "count"}), "5");
  EXPECT_EQ(At(response.body, {"meta", "next"}), "4");
}

}  // namespace
}  // namespace tidemark::server::test
