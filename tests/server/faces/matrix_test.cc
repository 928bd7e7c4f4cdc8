// Every call by every token with every kind of id: what is not the caller's neither shows nor
// changes.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/faces/application_fixture.h"

namespace tidemark::server::test {
namespace {

using http::Method;

constexpr std::string_view kSecret = "CANARY";

/// A body that the route would take.
std::string BodyFor(const Route& route) {
  const std::string& pattern = route.pattern;
  if (pattern == "/v1/changes") return R"({"op":"put","entity":"lead","id":1,"data":{"v":2}})";
  if (pattern == "/v2/sync/ack") return R"({"data":{"ack_keys":["x"]}})";
  if (pattern.ends_with("-data")) {
    return R"({"entity_name":"users","page_number":1,"records":[]})";
  }
  if (pattern.ends_with("/selection")) return R"({"everything":true})";
  if (route.method == Method::kGet || route.method == Method::kDelete) return {};
  return "{}";
}

class MatrixTest : public ApplicationTest {
 protected:
  MatrixTest() {
    owner_ = Token(Role::kAdmin);
    const auto made = CreateToken(
        directory_.path(), {.instance = "other", .role = Role::kAdmin}, *SystemRandom(), *clock_);
    EXPECT_OK(made);
    stranger_ = made->token;
    Open({.admission = {.requests_per_second = 0, .strangers_per_second = 0}});
    Write(R"({"op":"put","entity":"lead","id":1,"data":{"v":"CANARY"}})", owner_);
    session_ = At(Sell(Method::kPost, "/v2/sync/start", owner_, "d1").body, {"data", "id"});
    const std::string syncs = "/v2/integrations-sync/instances/default/syncs";
    sync_ = At(Ask(Method::kPost, syncs, owner_).body, {"data", "sync_id"});
    Ask(Method::kPost,
        "/v2/integrations-sync/syncs/" + sync_ + "/snapshot-data",
        owner_,
        R"({"entity_name":"users","page_number":1,"records":[{"id":"CANARY","email":"e@x"}]})");
  }

  /// All that the owner can see of its instance.
  std::string Everything() {
    std::string all;
    for (const std::string& path : {std::string("/v1/changes"),
                                    std::string("/v1/entities"),
                                    std::string("/v1/devices"),
                                    std::string("/v2/integrations-sync/instances/default/syncs"),
                                    "/v2/integrations-sync/syncs/" + sync_,
                                    "/v2/integrations-sync/syncs/" + sync_ + "/pages/users/1"}) {
      all += Get(path, owner_).body + "\n";
    }
    return all;
  }

  /// What may stand for a capture: the owner's own, one that is nobody's, ones that are none.
  std::vector<std::string> ValuesOf(const std::string& capture) const {
    std::vector<std::string> values = {
        "unknown", "..", std::string("\0", 1), "a/b", std::string(600, 'x'), "\xFF"};
    const std::map<std::string, std::string> own = {{"instance", "default"},
                                                    {"session", session_},
                                                    {"queue", "main"},
                                                    {"sync", sync_},
                                                    {"entity", "lead"},
                                                    {"page", "1"},
                                                    {"id", "1"}};
    const auto at = own.find(capture);
    if (at != own.end()) values.push_back(at->second);
    return values;
  }

  /// The path's segments with every choice for one capture and the owner's own for the others.
  std::vector<std::vector<std::string>> PathsOf(const Route& route) const {
    const std::vector<std::string> words = SplitAt(route.pattern.substr(1), '/');
    std::vector<std::vector<std::string>> paths;
    for (size_t varied = 0; varied <= words.size(); ++varied) {
      std::vector<std::vector<std::string>> some(1);
      for (size_t i = 0; i < words.size(); ++i) {
        std::vector<std::string> values = {words[i]};
        if (words[i].starts_with('{')) {
          values = ValuesOf(words[i].substr(1, words[i].size() - 2));
          if (i != varied) values = {values.back()};
        } else if (i == varied) {
          values.clear();
        }
        std::vector<std::vector<std::string>> longer;
        for (const auto& path : some) {
          for (const std::string& value : values) {
            longer.push_back(path);
            longer.back().push_back(value);
          }
        }
        some = std::move(longer);
      }
      paths.insert(paths.end(), some.begin(), some.end());
    }
    return paths;
  }

  http::Response AskAt(const Route& route,
                       const std::vector<std::string>& segments,
                       const std::string& token) {
    auto request = std::make_shared<http::Request>();
    request->id = "request-1";
    request->method = route.method;
    request->segments = segments;
    request->peer = "127.0.0.1";
    request->loopback = true;
    request->body = BodyFor(route);
    request->headers.Add("X-Basecrm-Device-UUID", "d1");
    if (!token.empty()) request->headers.Add("Authorization", "Bearer " + token);
    Mailbox mailbox;
    application_->Handle(request, mailbox.Responder());
    auto response = mailbox.Wait();
    EXPECT_TRUE(response.has_value()) << route.pattern;
    return response.value_or(http::Response());
  }

  std::string owner_;
  std::string stranger_;
  std::string session_;
  std::string sync_;
};

TEST_F(MatrixTest, WithoutAGoodTokenNothingIsAnswered) {
  const std::string before = Everything();
  size_t asked = 0;
  for (const Route& route : application_->router().routes()) {
    if (route.open) continue;
    for (const auto& segments : PathsOf(route)) {
      for (const std::string& token :
           {std::string(), std::string(64, 'x'), owner_.substr(1), owner_ + "x"}) {
        EXPECT_THAT(AskAt(route, segments, token), IsError(401, "unauthorized")) << route.pattern;
        ++asked;
      }
    }
  }
  EXPECT_GT(asked, 500U);
  EXPECT_EQ(Everything(), before);
}

TEST_F(MatrixTest, AnAdministratorOfAnotherInstanceSeesAndChangesNothing) {
  const std::string before = Everything();
  for (const Route& route : application_->router().routes()) {
    if (route.open) continue;
    for (const auto& segments : PathsOf(route)) {
      const auto response = AskAt(route, segments, stranger_);
      const std::string what =
          std::string(http::MethodName(route.method)) + " " + route.pattern + " " + response.body;
      EXPECT_LT(response.status, 500) << what;
      EXPECT_EQ(response.body.find(kSecret), std::string::npos) << what;
      EXPECT_EQ(response.body.find(sync_ + "\",\"state\":\"started"), std::string::npos) << what;
    }
  }
  EXPECT_EQ(Everything(), before);
}

TEST_F(MatrixTest, WhatIsNotYoursLooksLikeWhatIsNotThere) {
  for (const Route& route : application_->router().routes()) {
    if (route.pattern.find("{sync}") == std::string::npos &&
        route.pattern.find("{session}") == std::string::npos) {
      continue;
    }
    std::vector<std::string> own;
    std::vector<std::string> unknown;
    for (const std::string& word : SplitAt(route.pattern.substr(1), '/')) {
      const bool capture = word.starts_with('{');
      own.push_back(capture ? ValuesOf(word.substr(1, word.size() - 2)).back() : word);
      unknown.push_back(word == "{sync}" || word == "{session}" ? "unknown" : own.back());
    }
    const auto foreign = AskAt(route, own, stranger_);
    const auto missing = AskAt(route, unknown, stranger_);
    EXPECT_EQ(foreign.status, 404) << route.pattern;
    EXPECT_EQ(foreign.status, missing.status) << route.pattern;
    EXPECT_EQ(At(foreign.body, {"errors", "0", "error", "code"}),
              At(missing.body, {"errors", "0", "error", "code"}));
  }
}

}  // namespace
}  // namespace tidemark::server::test
