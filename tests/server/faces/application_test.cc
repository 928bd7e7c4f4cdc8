// What holds for every call: who may make it, how often, and what is done beside the calls.
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/sync_operations.h"
#include "tests/server/faces/application_fixture.h"

namespace tidemark::server::test {
namespace {

using http::Method;

// --- Upkeep ---

TEST_F(ApplicationTest, UpkeepLetsEventsGoBeyondTheirRetention) {
  Open();
  const std::string declared = R"({"kind":"incremental","retention":{"count":2}})";
  ASSERT_THAT(Ask(Method::kPut, "/v1/entities/visits", {}, declared), HasStatus(201));
  std::string lines;
  for (int i = 0; i < 5; ++i) {
    lines += R"({"op":"append","entity":"visits","data":{"n":)" + std::to_string(i) + "}}\n";
  }
  ASSERT_THAT(Write(lines), HasStatus(200));
  EXPECT_EQ(At(Get("/v1/entities/visits/records").body, {"meta", "count"}), "5");
  application_->Upkeep();
  EXPECT_EQ(At(Get("/v1/entities/visits/records").body, {"meta", "count"}), "2");
}

// What the device was owed is gone: the session has nothing but the word of it, and one call for a
// page shows that the word arrived.
TEST_F(ApplicationTest, ASessionMayHaveGapsOnly) {
  Open();
  ASSERT_THAT(Ask(Method::kPut,
                  "/v1/entities/visits",
                  {},
                  R"({"kind":"incremental","retention":{"count":0}})"),
              HasStatus(201));
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":1,"data":{}})"), HasStatus(200));
  const auto queue = [](const http::Response& started) {
    return "/v2/sync/" + At(started.body, {"data", "id"}) + "/queues/main";
  };
  auto started = Sell(Method::kPost, "/v2/sync/start", {});
  const auto page = Sell(Method::kGet, queue(started), {});
  const std::string key = At(page.body, {"items", "0", "meta", "sync", "ack_key"});
  Sell(Method::kPost, "/v2/sync/ack", {}, "d1", R"({"data":{"ack_keys":[")" + key + R"("]}})");
  EXPECT_THAT(Sell(Method::kGet, queue(started), {}), HasStatus(204));
  EXPECT_THAT(Sell(Method::kPost, "/v2/sync/start", {}), HasStatus(204));

  ASSERT_THAT(Write(R"({"op":"append","entity":"visits","data":{}})"), HasStatus(200));
  application_->Upkeep();
  for (int i = 0; i < 2; ++i) {  // told until a call of its session comes
    started = Sell(Method::kPost, "/v2/sync/start", {});
    ASSERT_THAT(started, HasStatus(201));
    const std::string main = At(started.body, {"data", "queues", "0", "data"});
    EXPECT_EQ(At(main, {"total_count"}), "0");
    EXPECT_EQ(At(started.body, {"data", "gaps", "0", "entity"}), "visits");
    EXPECT_EQ(At(started.body, {"data", "gaps", "0", "count"}), "1");
  }
  EXPECT_THAT(Sell(Method::kGet, queue(started), {}), HasStatus(204));
  EXPECT_THAT(Sell(Method::kPost, "/v2/sync/start", {}), HasStatus(204));
}

// --- How often ---

TEST_F(ApplicationTest, WhoGuessesTokensIsSlowed) {
  const std::string token = Token(Role::kAdmin);
  Open({.admission = {.strangers_per_second = 1, .stranger_burst = 3}});
  const std::string wrong(64, 'x');
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Get("/v1/devices", wrong), IsError(401, "unauthorized"));
  const auto refused = Get("/v1/devices", wrong);
  EXPECT_THAT(refused, IsError(429, "rate_limited"));
  EXPECT_EQ(refused.headers.Find("Retry-After"), "1");
  clock_->Advance(std::chrono::seconds(1));
  EXPECT_THAT(Get("/v1/devices", wrong), IsError(401, "unauthorized"));
}

TEST_F(ApplicationTest, AValidTokenAndHealthAreNeverRefusedForOthersAtTheSameAddress) {
  const std::string token = Token(Role::kAdmin);
  Open({.admission = {.strangers_per_second = 1, .stranger_burst = 1}});
  for (int i = 0; i < 3; ++i) Get("/v1/devices", std::string(64, 'x'));
  EXPECT_THAT(Get("/v1/devices"), IsError(429, "rate_limited"));
  EXPECT_THAT(Get("/v1/devices", token), HasStatus(200));
  EXPECT_THAT(Get("/livez"), HasStatus(200));
}

TEST_F(ApplicationTest, PathsThatLeadNowhereAreLimitedByPeer) {
  Token(Role::kAdmin);
  Open({.admission = {.strangers_per_second = 1, .stranger_burst = 2}});
  for (int i = 0; i < 2; ++i) EXPECT_THAT(Get("/nowhere"), IsError(404, "not_found"));
  EXPECT_THAT(Get("/nowhere"), IsError(429, "rate_limited"));
}

TEST_F(ApplicationTest, AnIPv6NetworkIsOnePeer) {
  Token(Role::kAdmin);
  Open({.admission = {.strangers_per_second = 1, .stranger_burst = 1}});
  const auto ask = [&](const std::string& peer) {
    return Ask(Method::kGet, "/v1/devices", {}, {}, {}, peer).status;
  };
  EXPECT_EQ(ask("2001:db8:1:2::1"), 401);
  EXPECT_EQ(ask("2001:db8:1:2:ffff::9"), 429);
  EXPECT_EQ(ask("2001:db8:1:3::1"), 401);
  EXPECT_EQ(ask("::ffff:10.0.0.1"), 401);
  EXPECT_EQ(ask("::ffff:10.0.0.2"), 401);
}

TEST_F(ApplicationTest, WithoutTokensAPeerIsLimitedAsATokenIs) {
  Open({.admission = {.requests_per_second = 1, .request_burst = 3}});
  for (int i = 0; i < 5; ++i) EXPECT_THAT(Get("/livez"), HasStatus(200));
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Get("/v1/devices"), HasStatus(200));
  EXPECT_THAT(Get("/v1/devices"), IsError(429, "rate_limited"));
  clock_->Advance(std::chrono::seconds(1));
  EXPECT_THAT(Get("/v1/devices"), HasStatus(200));
}

// --- What can be read in two ways ---

TEST_F(ApplicationTest, WhoAsksIsSaidOnce) {
  const std::string one = Token(Role::kAdmin);
  const std::string two = Token(Role::kAdmin);
  Open();
  const std::vector<Pairs> twice = {
      {{"Authorization", "Bearer " + one}, {"authorization", "Bearer " + two}},
      {{"Authorization", "Bearer " + one}, {"api-key", two}},
      {{"api-key", one}, {"Api-Key", one}},
      {{"api-key", one}, {"X-Basecrm-Device-UUID", "a"}, {"x-basecrm-device-uuid", "b"}},
      {{"api-key", one}, {"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}}};
  for (const Pairs& headers : twice) {
    EXPECT_THAT(Ask(Method::kPost, "/v2/sync/start", {}, {}, headers), IsError(400, "bad_request"))
        << headers.back().first;
  }
  EXPECT_THAT(Ask(Method::kPost,
                  "/v2/sync/start",
                  {},
                  {},
                  {{"api-key", one}, {"X-Basecrm-Device-UUID", "a"}}),
              HasStatus(204));
}

TEST_F(ApplicationTest, CompressionOnlyWhenAskedFor) {
  Open();
  const auto read = [&](const Pairs& headers, size_t bytes) {
    const std::string path = "/v1/entities/lead/records/" + std::to_string(bytes);
    Ask(Method::kPut, path, {}, '"' + std::string(bytes, 'x') + '"');
    return Ask(Method::kGet, path, {}, {}, headers);
  };
  const auto asked = read({{"Accept-Encoding", "deflate, gzip;q=0.5"}}, 5'000);
  EXPECT_EQ(asked.headers.Find("Content-Encoding"), "gzip");
  EXPECT_LT(asked.body.size(), 500U);
  EXPECT_EQ(asked.body.substr(0, 2), "\x1f\x8b");
  const std::vector<Pairs> unasked = {{},
                                      {{"Accept-Encoding", "identity"}},
                                      {{"Accept-Encoding", "*"}},
                                      {{"Accept-Encoding", "gzip;q=0, deflate"}}};
  for (const Pairs& headers : unasked) {
    const auto plain = read(headers, 5'000);
    EXPECT_FALSE(plain.headers.Find("Content-Encoding").has_value());
    EXPECT_GT(plain.body.size(), 5'000U);
  }
  EXPECT_FALSE(read({{"Accept-Encoding", "gzip"}}, 900).headers.Find("Content-Encoding"));
}

// --- Ids as devices see them ---

TEST_F(ApplicationTest, ItemsCarryTheIdWhateverItsFieldsAreCalled) {
  Open();
  ASSERT_THAT(Ask(Method::kPut, "/v1/entities/widgets", {}, R"({"id":"sku"})"), HasStatus(201));
  ASSERT_THAT(Write(R"({"entity":"widgets","id":"S1","data":{"n":1}})"
                    "\n"
                    R"({"entity":"group_users","id":"[\"g\",2]","data":{"user_id":2,"n":1}})"
                    "\n"
                    R"({"entity":"group_users","id":"[\"h\",3]","data":{}})"),
              HasStatus(200));
  const auto items = [&] {
    const auto started = Sell(Method::kPost, "/v2/sync/start", {});
    const auto page =
        Sell(Method::kGet, "/v2/sync/" + At(started.body, {"data", "id"}) + "/queues/main", {});
    std::set<std::string> data;
    for (int i = 0; At(page.body, {"items", std::to_string(i)}) != "-"; ++i) {
      const std::vector<std::string> item = {"items", std::to_string(i)};
      data.insert(At(page.body, {item[0], item[1], "data"}));
      const std::string key = At(page.body, {item[0], item[1], "meta", "sync", "ack_key"});
      Sell(Method::kPost, "/v2/sync/ack", {}, "d1", R"({"data":{"ack_keys":[")" + key + R"("]}})");
    }
    return data;
  };
  EXPECT_EQ(items(),
            (std::set<std::string>{R"({"sku":"S1","n":1})",
                                   R"({"group_id":"g","user_id":2,"n":1})",
                                   R"({"group_id":"h","user_id":3})"}));
  ASSERT_THAT(Write(R"({"op":"delete","entity":"widgets","id":"S1"})"
                    "\n"
                    R"({"op":"delete","entity":"group_users","id":"[\"g\",2]"})"),
              HasStatus(200));
  EXPECT_EQ(items(), (std::set<std::string>{R"({"id":"S1"})", R"({"id":"[\"g\",2]"})"}));
}

// --- Without tokens ---

TEST_F(ApplicationTest, WithoutTokensAHostThatIsNotThisMachineIsRefused) {
  Open();
  const auto ask = [&](const std::string& host) {
    return Ask(Method::kGet, "/v1/devices", {}, {}, {{"Host", host}});
  };
  for (const char* host : {"localhost", "LocalHost:8787", "127.0.0.1:80", "127.1.2.3", "[::1]:1"}) {
    EXPECT_THAT(ask(host), HasStatus(200)) << host;
  }
  for (const char* host : {"evil.example",
                           "evil.example:8787",
                           "localhost.evil.example",
                           "10.0.0.1",
                           "[::2]",
                           "",
                           ":1",
                           "127.0.0.1.evil.example",
                           "[::1",
                           "a b"}) {
    EXPECT_THAT(ask(host), IsError(421, "misdirected")) << host;
  }
  EXPECT_THAT(Get("/v1/devices"), HasStatus(200)) << "no browser sends none";
}

TEST_F(ApplicationTest, WithoutTokensPagesOfOtherOriginsChangeNothing) {
  Open();
  const auto write = [&](Pairs headers) {
    headers.emplace_back("Host", "localhost:8787");
    headers.emplace_back("Content-Type", "text/plain");
    return Ask(Method::kPost,
               "/v1/changes",
               {},
               R"({"op":"put","entity":"lead","id":1,"data":{}})",
               headers);
  };
  const std::vector<Pairs> foreign = {{{"Origin", "http://evil.example"}},
                                      {{"Origin", "null"}},
                                      {{"Origin", "http://localhost:9999"}},
                                      {{"Sec-Fetch-Site", "cross-site"}},
                                      {{"Sec-Fetch-Site", "same-site"}}};
  for (const Pairs& headers : foreign) {
    EXPECT_THAT(write(headers), IsError(403, "cross_site")) << headers.front().second;
  }
  EXPECT_THAT(Get("/v1/entities/lead/records/1"), HasStatus(404));
  EXPECT_THAT(write({{"Origin", "http://localhost:8787"}, {"Sec-Fetch-Site", "same-origin"}}),
              HasStatus(200));
  EXPECT_THAT(write({}), HasStatus(200));
}

TEST_F(ApplicationTest, WithTokensHostAndOriginMeanNothing) {
  const std::string token = Token(Role::kAdmin);
  Open();
  EXPECT_THAT(Ask(Method::kPost,
                  "/v1/changes",
                  token,
                  {},
                  {{"Host", "sync.example"}, {"Origin", "https://app.example"}}),
              HasStatus(200));
}

// --- Who ---

TEST_F(ApplicationTest, ATokenOfADeviceSeesNoFiguresOfTheServer) {
  const std::string bound = Token(Role::kAdmin, "d1");
  const std::string admin = Token(Role::kAdmin);
  Open();
  EXPECT_THAT(Get("/metrics", bound), IsError(403, "device"));
  EXPECT_THAT(Get("/metrics", admin), HasStatus(200));
}

TEST_F(ApplicationTest, AStreamEndsWithItsToken) {
  const std::string token = Token(Role::kReader);
  const std::string admin = Token(Role::kAdmin);
  Open();
  const auto follow =
      Ask(Method::kGet, "/v1/changes", token, {}, {{"Accept", "text/event-stream"}});
  ASSERT_NE(follow.stream, nullptr);
  const auto next = [&] {
    auto piece = std::make_shared<std::promise<std::optional<std::string>>>();
    follow.stream->Next([piece](std::optional<std::string> bytes) { piece->set_value(bytes); });
    return piece->get_future();
  };
  EXPECT_TRUE(next().get().has_value());
  EXPECT_TRUE(next().get().has_value());
  auto waiting = next();
  Revoke(token);
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":1,"data":{}})", admin), HasStatus(200));
  EXPECT_EQ(waiting.get(), std::nullopt);
}

TEST_F(ApplicationTest, AScopeWhoseStarterIsGoneIsInterrupted) {
  Open();
  const auto start = [&] {
    return Ask(
        Method::kPost, "/v1/sync-scopes/nightly/start-if-idle", {}, R"({"members":["crm","erp"]})");
  };
  EXPECT_THAT(start(), HasStatus(200));
  EXPECT_THAT(Ask(Method::kPost, "/v1/sync-operations", {}, R"({"member":"crm","lease":1})"),
              HasStatus(201));
  clock_->Advance(std::chrono::seconds(2));
  application_->Watch();  // the operation's lease ran out, and nobody is left
  EXPECT_THAT(start(), IsError(409, "conflict"));
  clock_->Advance(kSyncScopeIdleMax - std::chrono::seconds(1));
  application_->Watch();
  EXPECT_THAT(start(), IsError(409, "conflict"));
  clock_->Advance(std::chrono::seconds(1));
  application_->Watch();
  EXPECT_EQ(At(Get("/v1/sync-scopes/nightly").body, {"data", "state"}), "interrupted");
  EXPECT_THAT(start(), HasStatus(200));
}

TEST_F(ApplicationTest, WhatWaitsEndsWithItsTokenAlthoughNothingHappens) {
  const std::string token = Token(Role::kReader);
  Token(Role::kAdmin);
  Open();
  application_->Watch();
  const Mailbox feed = Send(Method::kGet, "/v1/changes?wait=60", token);
  const Mailbox start =
      Send(Method::kPost, "/v2/sync/start?wait=60", token, {}, {{"X-Basecrm-Device-UUID", "d1"}});
  Revoke(token);
  application_->Watch();
  for (Mailbox mailbox : {feed, start}) {
    const auto answer = mailbox.Wait();
    ASSERT_TRUE(answer.has_value());
    EXPECT_THAT(*answer, IsError(401, "unauthorized"));
  }
}

TEST_F(ApplicationTest, ATokenOfADeviceSeesNothingBesides) {
  const std::string admin = Token(Role::kAdmin);
  const std::string bound = Token(Role::kAdmin, "d1");
  Open();
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":1,"data":{}})", admin), HasStatus(200));
  EXPECT_THAT(Sell(Method::kPost, "/v2/sync/start", bound), HasStatus(201));
  EXPECT_THAT(Get("/v1/devices/d1", bound), HasStatus(200));
  EXPECT_THAT(Get("/v1/devices/d2", bound), IsError(403, "device"));
  // Every other route that needs a token: what it shows is no device's own.
  const std::set<std::string> own = {"/v2/sync/start",
                                     "/v2/sync/{session}/queues/{queue}",
                                     "/v2/sync/ack",
                                     "/v1/devices/{id}",
                                     "/v1/push",
                                     "/v1/push/{push}",
                                     "/v1/id-pools/{pool}/lease",
                                     "/v1/id-pools/{pool}/report",
                                     "/v1/id-pools/{pool}/release"};
  for (const Route& route : application_->router().routes()) {
    if (route.open || (own.contains(route.pattern) && route.for_devices)) continue;
    std::string path = route.pattern;
    for (size_t at = path.find("{instance}"); at != std::string::npos; at = std::string::npos) {
      path.replace(at, 10, "default");
    }
    EXPECT_THAT(Ask(route.method, path, bound), IsError(403, "device"))
        << http::MethodName(route.method) << " " << route.pattern;
  }
}

TEST_F(ApplicationTest, ReadersSeeDevicesAndOnlyAdministratorsChangeThem) {
  const std::string admin = Token(Role::kAdmin);
  const std::string reader = Token(Role::kReader);
  Open();
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":1,"data":{}})", admin), HasStatus(200));
  ASSERT_THAT(Sell(Method::kPost, "/v2/sync/start", reader), HasStatus(201));
  EXPECT_THAT(Get("/v1/devices", reader), HasStatus(200));
  EXPECT_THAT(Get("/v1/devices/d1", reader), HasStatus(200));
  EXPECT_THAT(Ask(Method::kPost, "/v1/devices/d1/reset", reader), IsError(403, "role"));
  EXPECT_THAT(Ask(Method::kDelete, "/v1/devices/d1", reader), IsError(403, "role"));
  EXPECT_THAT(Ask(Method::kDelete, "/v1/devices/d1", admin), HasStatus(200));
}

// --- Queries ---

TEST_F(ApplicationTest, UnknownAndRepeatedQueryParametersAreRefusedByName) {
  Open();
  for (const Route& route : application_->router().routes()) {
    if (route.open || route.for_foreign_clients) continue;
    std::string path = route.pattern;  // its captures stand for themselves, but for the instance
    if (const size_t at = path.find("{instance}"); at != std::string::npos) {
      path.replace(at, std::string_view("{instance}").size(), "default");
    }
    const auto response = Ask(route.method, path + "?limlt=5");
    EXPECT_THAT(response, IsError(400, "bad_request")) << route.pattern;
    EXPECT_EQ(At(response.body, {"errors", "0", "error", "field"}), "limlt") << route.pattern;
    for (const std::string_view name : route.query) {
      const std::string once = std::string(name) + "=1";
      const auto twice = Ask(route.method, path + "?" + once + "&" + once);
      EXPECT_THAT(twice, IsError(400, "bad_request")) << route.pattern;
      EXPECT_EQ(At(twice.body, {"errors", "0", "error", "field"}), name) << route.pattern;
    }
  }
  EXPECT_THAT(Get("/livez?probe=1"), HasStatus(200));
}

TEST_F(ApplicationTest, WhatSellClientsAddToTheQueryIsIgnored) {
  Open();
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":1,"data":{}})"), HasStatus(200));
  const auto started = Sell(Method::kPost, "/v2/sync/start?client=x&client=y", {});
  ASSERT_THAT(started, HasStatus(201));
  const std::string queue = "/v2/sync/" + At(started.body, {"data", "id"}) + "/queues/main";
  EXPECT_THAT(Sell(Method::kGet, queue + "?page=1&limit=5&limit=6", {}),
              IsError(400, "bad_request"))
      << "which of them counts?";
  EXPECT_THAT(Sell(Method::kGet, queue + "?page=1&per_page=2", {}), HasStatus(200));
}

// --- Hellos ---

// It holds what some history gave it, and cannot say which: contract 20.
TEST_F(ApplicationTest, APositionThatCannotBeReadIsOfAnUnknownHistory) {
  Open();
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":1,"data":{}})"), HasStatus(200));
  for (const std::string position : {"x", "AAAA", "//////", "\\u0000"}) {
    const std::string device = "d" + position;
    const auto first = Sell(Method::kPost, "/v2/sync/start", {}, device);
    ASSERT_THAT(first, HasStatus(201));
    EXPECT_EQ(At(first.body, {"data", "reset"}), "false");
    const auto again = Sell(Method::kPost,
                            "/v2/sync/start",
                            {},
                            device,
                            R"({"data":{"position":")" + position + R"("}})");
    ASSERT_THAT(again, HasStatus(201)) << position;
    EXPECT_EQ(At(again.body, {"data", "reset"}), "true") << position;
  }
  EXPECT_THAT(Sell(Method::kPost, "/v2/sync/start", {}, "d", R"({"data":{"position":7}})"),
              IsError(422, "invalid_argument"));
}

// --- Health and metrics ---

TEST_F(ApplicationTest, MetricsNeedAnAdministratorAsSoonAsThereAreTokens) {
  Open();
  EXPECT_THAT(Get("/metrics"), HasStatus(200));
  const std::string admin = Token(Role::kAdmin);
  const std::string reader = Token(Role::kReader);
  EXPECT_THAT(Get("/metrics"), IsError(401, "unauthorized")) << "also of this machine: a proxy";
  EXPECT_THAT(Get("/metrics", reader), IsError(403, "role"));
  EXPECT_THAT(Get("/metrics", admin), HasStatus(200));
}

TEST_F(ApplicationTest, MetricsAreOpenWhenTheConfigurationSaysSo) {
  Token(Role::kAdmin);
  Open({.metrics_without_token = true});
  EXPECT_THAT(Ask(Method::kGet, "/metrics", {}, {}, {}, "10.0.0.2"), HasStatus(200));
}

// Reads the exposition format 0.0.4 strictly: HELP, TYPE, then samples of that metric.
std::map<std::string, double> ReadExposition(const std::string& text) {
  std::map<std::string, double> samples;
  std::set<std::string> metrics;
  std::string metric;
  std::string type;
  for (const std::string& line : SplitAt(text, '\n')) {
    if (line.empty()) continue;
    const std::vector<std::string> words = SplitAt(line, ' ');
    if (line.starts_with("# HELP ")) {
      EXPECT_GE(words.size(), 4U) << line;
      metric = words[2];
      type.clear();
      EXPECT_TRUE(metrics.insert(metric).second) << "twice: " << line;
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(words.size(), 4U) << line;
      EXPECT_EQ(words[2], metric);
      type = words[3];
      EXPECT_TRUE(type == "counter" || type == "gauge") << line;
      EXPECT_EQ(metric.ends_with("_total"), type == "counter") << line;
    } else {
      const std::string name = line.substr(0, line.find_first_of("{ "));
      EXPECT_EQ(name, metric) << line;
      EXPECT_FALSE(type.empty()) << line;
      const size_t value = line.rfind(' ');
      EXPECT_TRUE(samples.emplace(line.substr(0, value), std::stod(line.substr(value + 1))).second)
          << "twice: " << line;
    }
  }
  return samples;
}

// Numbers of others tell about them, also in a sum.
TEST_F(ApplicationTest, AnAdministratorReadsFiguresOfItsInstanceOnly) {
  const std::string mine = Token(Role::kAdmin, {}, "mine");
  const std::string theirs = Token(Role::kAdmin, {}, "theirs");
  Open();
  const std::string record = R"({"op":"put","entity":"lead","id":1,"data":{}})";
  EXPECT_EQ(ReadExposition(Get("/metrics", mine).body).at("tidemark_instances_open"), 0)
      << "looking opens nothing";
  ASSERT_THAT(Write(record, theirs), HasStatus(200));
  ASSERT_THAT(Write(record + "\n" + R"({"op":"put","entity":"lead","id":2,"data":{}})", mine),
              HasStatus(200));
  EXPECT_THAT(Sell(Method::kPost, "/v2/sync/start", theirs), HasStatus(201));
  EXPECT_THAT(Get("/v1/entities/lead/records/7", theirs), IsError(404, "not_found"));
  const auto samples = ReadExposition(Get("/metrics", mine).body);
  EXPECT_EQ(samples.at("tidemark_instances_open"), 1);
  EXPECT_EQ(samples.at("tidemark_records"), 2);
  EXPECT_EQ(samples.at("tidemark_sessions_total"), 0);
  EXPECT_EQ(samples.at("tidemark_devices"), 0);
  EXPECT_EQ(samples.at(R"(tidemark_requests_total{route="/v1/changes",status="2xx"})"), 1);
  EXPECT_FALSE(samples.contains(R"(tidemark_errors_total{code="not_found"})"));
  EXPECT_FALSE(samples.contains("tidemark_connections"));
  EXPECT_EQ(ReadExposition(Get("/metrics", theirs).body).at("tidemark_devices"), 1);
}

// A counter that goes back looks like a restart.
TEST_F(ApplicationTest, CountersOutliveTheInstancesThatTheyCount) {
  Open({.instances = {.idle_max = std::chrono::minutes(1)}});
  const auto commits = [&] {
    return ReadExposition(Get("/metrics").body).at("tidemark_commits_total");
  };
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":1,"data":{}})"), HasStatus(200));
  const double before = commits();
  EXPECT_GT(before, 0);
  clock_->Advance(std::chrono::minutes(2));
  application_->Upkeep();
  EXPECT_EQ(application_->instances().open_count(), 0U);
  EXPECT_GE(commits(), before);
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":2,"data":{}})"), HasStatus(200));
  EXPECT_GT(commits(), before);
}

TEST_F(ApplicationTest, ReadyUntilItStops) {
  Open();
  EXPECT_THAT(Get("/readyz"), HasStatus(200));
  application_->BeginStop();
  EXPECT_THAT(Get("/readyz"), IsError(503, "not_ready"));
}

TEST_F(ApplicationTest, MetricsTellWhatHappened) {
  Open();
  ASSERT_THAT(Write(R"({"op":"put","entity":"lead","id":1,"data":{}}
{"op":"put","entity":"lead","id":2,"data":{}}
)"),
              HasStatus(200));
  const auto started = Sell(Method::kPost, "/v2/sync/start", {});
  ASSERT_THAT(started, HasStatus(201));
  const std::string queue = "/v2/sync/" + At(started.body, {"data", "id"}) + "/queues/main";
  const auto page = Sell(Method::kGet, queue, {});
  const std::string key = At(page.body, {"items", "0", "meta", "sync", "ack_key"});
  Sell(Method::kPost, "/v2/sync/ack", {}, "d1", R"({"data":{"ack_keys":[")" + key + R"("]}})");
  Get("/v1/nothing");
  clock_->Advance(std::chrono::hours(1));
  const auto samples = ReadExposition(Get("/metrics").body);
  const auto Of = [&](const std::string& name) {
    const auto at = samples.find("tidemark_" + name);
    EXPECT_NE(at, samples.end()) << name;
    return at == samples.end() ? -1 : at->second;
  };
  EXPECT_EQ(Of("instances_open"), 1);
  EXPECT_EQ(Of("records"), 2);
  EXPECT_GT(Of("commits_total"), 2);
  EXPECT_EQ(Of("devices"), 1);
  EXPECT_EQ(Of("device_backlog"), 1);
  EXPECT_EQ(Of("device_backlog_max"), 1);
  EXPECT_EQ(Of("devices_behind"), 1);
  EXPECT_EQ(Of("device_lag_max"), 2);
  EXPECT_EQ(Of("device_unacknowledged"), 1);
  EXPECT_EQ(Of("device_holding_max"), 0);
  EXPECT_EQ(Of("sessions_total"), 1);
  EXPECT_EQ(Of("pages_total"), 1);
  EXPECT_EQ(Of("page_records_total"), 2);
  EXPECT_GT(Of("page_bytes_total"), 0);
  EXPECT_EQ(Of(R"(acks_total{outcome="applied"})"), 1);
  EXPECT_EQ(Of(R"(requests_total{route="/v2/sync/start",status="2xx"})"), 1);
  EXPECT_EQ(Of("requests_total{route=\"(none)\",status=\"4xx\"}"), 1);
  EXPECT_EQ(Of(R"(errors_total{code="not_found"})"), 1);
  for (const char* name : {"fsyncs_total",
                           "fsync_seconds_total",
                           "commit_groups_total",
                           "folds_total",
                           "tombstones",
                           "log_rows",
                           "store_bytes",
                           "connections",
                           "received_bytes_total",
                           "sent_bytes_total",
                           "waiting"}) {
    EXPECT_GE(Of(name), 0) << name;
  }
}

}  // namespace
}  // namespace tidemark::server::test
