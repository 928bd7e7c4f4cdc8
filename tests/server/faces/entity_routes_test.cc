// Entities and schemas.
#include <string>

#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

constexpr std::string_view kSchemas = "/v2/integrations-sync/entities/schemas";

class EntityRoutesTest : public FacesTest {};

TEST_F(EntityRoutesTest, AnInstanceStartsWithSixSchemas) {
  const auto response = Get(kSchemas);
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(At(response.body, {"meta", "count"}), "6");
  EXPECT_EQ(At(response.body, {"items", "1", "data", "entity_name"}), "group_users");
  EXPECT_EQ(At(response.body, {"items", "1", "data", "id"}), R"(["group_id","user_id"])");
  EXPECT_EQ(At(response.body, {"items", "1", "data", "references", "1", "entity"}), "users");
  EXPECT_EQ(At(response.body, {"items", "3", "data", "kind"}), "incremental");
  EXPECT_EQ(At(Get("/v1/entities/users").body, {"data", "records"}), "0");
  EXPECT_EQ(instance_->store().ListEntities().size(), 0U);
}

TEST_F(EntityRoutesTest, ASchemaGoesOutAsItCameIn) {
  const std::string path = std::string(kSchemas) + "/users";
  const std::string schema = At(Get(path).body, {"data"});
  EXPECT_THAT(Put(path, schema), HasStatus(200));
  EXPECT_EQ(At(Get(path).body, {"data"}), schema);
  EXPECT_THAT(Put(path, R"({"entity_name":"groups","kind":"snapshot"})"),
              IsError(422, "invalid_argument"));
}

TEST_F(EntityRoutesTest, DeclareShowList) {
  const auto created =
      Put("/v1/entities/visit",
          R"({"kind":"incremental","type":"visit_event","retention":{"count":5}})");
  EXPECT_THAT(created, HasStatus(201));
  EXPECT_EQ(At(created.body, {"data", "type"}), "visit_event");
  EXPECT_THAT(Put("/v1/entities/visit", R"({"type":"v"})"), HasStatus(200));
  const auto shown = Get("/v1/entities/visit");
  EXPECT_EQ(At(shown.body, {"data", "kind"}), "incremental");
  EXPECT_EQ(At(shown.body, {"data", "type"}), "v");
  EXPECT_EQ(At(Get("/v1/entities").body, {"meta", "count"}), "7");
  EXPECT_THAT(Put("/v1/entities/visit", R"({"kind":"snapshot"})"), IsError(409, "wrong_kind"));
}

TEST_F(EntityRoutesTest, AListIsReadInParts) {
  for (const char* limit : {"0", "1001", "x", ""}) {
    EXPECT_THAT(Get("/v1/entities?limit=" + std::string(limit)), IsError(422, "invalid_argument"));
  }
  const auto first = Get("/v1/entities?limit=4");
  EXPECT_EQ(At(first.body, {"meta", "count"}), "4");
  EXPECT_EQ(At(first.body, {"meta", "more"}), "true");
  const auto rest = Get("/v1/entities?after=" + At(first.body, {"items", "3", "data", "name"}));
  EXPECT_EQ(At(rest.body, {"meta", "count"}), "2");
  EXPECT_EQ(At(rest.body, {"meta", "more"}), "false");
}

TEST_F(EntityRoutesTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(Get("/v1/entities/none"), IsError(404, "not_found"));
  EXPECT_THAT(Get("/v1/entities/_none"), IsError(404, "not_found"));
  EXPECT_THAT(Get("/v1/entities/a b"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Put("/v1/entities/_x", "{}"), IsError(403, "reserved"));
  EXPECT_THAT(Put("/v1/entities/x", "{"), IsError(400, "malformed_json"));
  EXPECT_THAT(Put("/v1/entities/x", "[]"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Put("/v1/entities/x", R"({"kind":"other"})"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Put("/v1/entities/x", R"({"unknown":1})"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Post("/v1/entities/none/empty"), IsError(404, "not_found"));
  EXPECT_THAT(Delete("/v1/entities/none"), IsError(404, "not_found"));
}

TEST_F(EntityRoutesTest, EmptyAndDrop) {
  Put("/v1/entities/contact/records/1", "1");
  Put("/v1/entities/contact/records/2", "1");
  const auto emptied = Post("/v1/entities/contact/empty");
  ASSERT_THAT(emptied, HasStatus(200));
  EXPECT_EQ(At(emptied.body, {"data", "deleted"}), "2");
  EXPECT_EQ(At(Get("/v1/entities/contact").body, {"data", "records"}), "0");
  EXPECT_THAT(Delete("/v1/entities/contact"), HasStatus(200));
  EXPECT_THAT(Get("/v1/entities/contact"), IsError(404, "not_found"));
  EXPECT_THAT(Put("/v1/entities/contact", R"({"kind":"incremental"})"), HasStatus(201));
}

TEST_F(EntityRoutesTest, ARecordsTypeIsTheLabel) {
  Put("/v1/entities/contact", R"({"type":"person"})");
  Put("/v1/entities/contact/records/a", "1");
  EXPECT_EQ(At(Get("/v1/entities/contact/records/a").body, {"meta", "type"}), "person");
}

}  // namespace
}  // namespace tidemark::server::test
