// Tokens with a selection: what devices see by them, and what else they are good for.
#include <string>

#include "tests/server/faces/application_fixture.h"

namespace tidemark::server::test {
namespace {

using http::Method;

class TokenSelectionFaceTest : public ApplicationTest {
 protected:
  TokenSelectionFaceTest() {
    Open();
    admin_ = Token(Role::kAdmin);
    EXPECT_THAT(Ask(Method::kPut,
                    "/v1/entities/visit",
                    admin_,
                    R"({"kind":"snapshot","keys":["owner","project"]})"),
                HasStatus(201));
    Write(R"({"op":"put","entity":"visit","id":1,"data":{"owner":1,"project":7}}
{"op":"put","entity":"visit","id":2,"data":{"owner":2,"secret":"CANARY"}}
{"op":"put","entity":"lead","id":3,"data":{"v":"CANARY"}})",
          admin_);
  }

  http::Response Start(const std::string& token) {
    return Sell(Method::kPost, "/v2/sync/start", token);
  }
  http::Response Read(const http::Response& started, const std::string& token) {
    const std::string session = At(started.body, {"data", "id"});
    return Sell(Method::kGet, "/v2/sync/" + session + "/queues/main", token);
  }

  std::string admin_;
};

constexpr const char* kOwnerOne = R"({"entities":[{"entity":"visit","where":{"owner":1}}]})";

TEST_F(TokenSelectionFaceTest, ADeviceSeesNoMoreThanItsToken) {
  const std::string token = LimitedToken(kOwnerOne);
  const auto started = Start(token);
  ASSERT_THAT(started, HasStatus(201));
  EXPECT_EQ(At(started.body, {"data", "owed"}), "1");
  const auto page = Read(started, token);
  ASSERT_THAT(page, HasStatus(200));
  EXPECT_EQ(At(page.body, {"items", "0", "meta", "id"}), "1");
  EXPECT_EQ(page.body.find("CANARY"), std::string::npos);
  const std::string key = At(page.body, {"items", "0", "meta", "sync", "ack_key"});
  Sell(Method::kPost, "/v2/sync/ack", token, "d1", R"({"data":{"ack_keys":[")" + key + R"("]}})");
  EXPECT_THAT(Start(token), HasStatus(204));
  const auto shown = Get("/v1/devices/d1", admin_);
  EXPECT_EQ(At(shown.body, {"data", "selection"}), R"({"everything":true})");
  EXPECT_EQ(At(shown.body, {"data", "token_selection", "entities", "0", "entity"}), "visit");
  EXPECT_EQ(At(shown.body, {"data", "owed"}), "0");
}

TEST_F(TokenSelectionFaceTest, AnotherTokenReadsNothingBeyondItsOwnSelection) {
  const auto started = Start(Token(Role::kReader));
  ASSERT_THAT(started, HasStatus(201));
  const auto page = Read(started, LimitedToken(kOwnerOne));
  ASSERT_THAT(page, HasStatus(200));
  EXPECT_EQ(At(page.body, {"meta", "count"}), "1");
  EXPECT_EQ(page.body.find("CANARY"), std::string::npos);
}

TEST_F(TokenSelectionFaceTest, ItIsGoodForCallsOfDevicesOnly) {
  const std::string token = LimitedToken(kOwnerOne);
  Start(token);
  for (const char* path : {"/v1/changes",
                           "/v1/entities",
                           "/v1/entities/visit/records",
                           "/v1/entities/visit/records/2",
                           "/v1/devices",
                           "/v1/devices/d1",
                           "/v1/devices/d1/why?entity=visit&record=2",
                           "/v1/queues",
                           "/v1/overview"}) {
    EXPECT_THAT(Get(path, token), IsError(403, "device")) << path;
  }
  EXPECT_THAT(Write(R"({"op":"delete","entity":"visit","id":2})", token), IsError(403, "device"));
  EXPECT_THAT(Get("/v1/devices/d1", LimitedToken(kOwnerOne, "d1")), HasStatus(200));
}

TEST_F(TokenSelectionFaceTest, WhatCannotBeExactIsRefused) {
  ASSERT_THAT(Ask(Method::kPut, "/v1/devices/d1/selection", admin_, kOwnerOne), HasStatus(200));
  const std::string token =
      LimitedToken(R"({"entities":[{"entity":"visit","where":{"project":7}}]})");
  EXPECT_THAT(Start(token), IsError(422, "invalid_argument"));
  EXPECT_THAT(Ask(Method::kPut,
                  "/v1/entities/visit",
                  admin_,
                  R"({"keys":["owner","project",["owner","project"]]})"),
              HasStatus(200));
  const auto started = Start(token);
  ASSERT_THAT(started, HasStatus(201));
  EXPECT_EQ(At(Read(started, token).body, {"items", "0", "meta", "id"}), "1");
}

TEST_F(TokenSelectionFaceTest, RevokedInTheMiddleOfASessionItReadsNoMore) {
  const std::string token = LimitedToken(kOwnerOne);
  const auto started = Start(token);
  ASSERT_THAT(started, HasStatus(201));
  Revoke(token);
  EXPECT_THAT(Read(started, token), IsError(401, "unauthorized"));
}

}  // namespace
}  // namespace tidemark::server::test
