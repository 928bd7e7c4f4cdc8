// The faces as clients meet them: over sockets, with tokens.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/client.h"
#include "http/listener.h"
#include "replication/leased_ids.h"
#include "server/http_id_transport.h"
#include "server/http_transport.h"
#include "server/server.h"
#include "server/token_file.h"
#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

class SocketTest : public ::testing::Test {
 protected:
  SocketTest() {
    ServerOptions options;
    options.application.data = directory_.path();
    options.application.instances.store.durability = Durability::kOrder;
    options.listener.port = 0;
    options.listener.workers = 2;
    options.stop_grace = std::chrono::seconds(1);
    auto server = Server::Start(options);
    EXPECT_OK(server);
    server_ = std::move(*server);
  }

  http::ClientResponse Ask(http::Method method,
                           const std::string& target,
                           std::string body = {},
                           const Pairs& headers = {}) {
    http::Client client;
    http::ClientRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(server_->port()) + target;
    for (const auto& [name, value] : headers) request.headers.Add(name, value);
    if (!body.empty()) request.content_type = "application/json";
    request.body = std::move(body);
    auto response = client.Send(request);
    EXPECT_OK(response);
    return response.ok() ? std::move(*response) : http::ClientResponse();
  }

  tidemark::test::TempDirectory directory_;
  std::unique_ptr<Server> server_;
};

TEST_F(SocketTest, ADeviceLeasesIds) {
  ASSERT_EQ(Ask(http::Method::kPut, "/v1/id-pools/registration", R"({"from":1,"to":21,"digits":6})")
                .status,
            200);
  auto store = Store::Open(directory_.path() / "device");
  ASSERT_OK(store);
  auto ids =
      LeasedIds::Open(**store, {.holder = {"tablet", "nurse"}, .low_mark = 3, .fill_to = 12});
  ASSERT_OK(ids);
  HttpIdTransport transport({.url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/",
                             .token = "",
                             .client = {}});
  ASSERT_OK((*ids)->Refill("registration", transport));
  WriteBatch batch;
  const auto taken = (*ids)->Take("registration", &batch);
  ASSERT_OK(taken);
  EXPECT_EQ(taken->id.text(), "000001");
  EXPECT_EQ(taken->left, 11U);
  ASSERT_OK((*store)->Commit(batch));
  ASSERT_OK((*ids)->GiveBack("registration", transport));
  EXPECT_EQ(At(Ask(http::Method::kGet, "/v1/id-pools/registration").body, {"data", "used"}), "1");
  EXPECT_EQ(Ask(http::Method::kPost,
                "/v1/id-pools/registration/lease",
                R"({"device":"phone","count":50})")
                .status,
            200);
  EXPECT_THAT((*ids)->Refill("registration", transport),
              tidemark::test::StatusIs(ErrorCode::kIdsExhausted));
  EXPECT_THAT((*ids)->Refill("none", transport), tidemark::test::StatusIs(ErrorCode::kNotFound));
  EXPECT_EQ(
      Ask(http::Method::kPost, "/v1/id-pools/registration/reclaim", R"({"device":"phone"})").status,
      200);
}

TEST_F(SocketTest, RecordsChangesAndEscapes) {
  EXPECT_EQ(Ask(http::Method::kPut, "/v1/entities/contact/records/a%2Fb%20%C3%A9", "1").status,
            201);
  const auto got = Ask(http::Method::kGet, "/v1/entities/contact/records/a%2Fb%20%C3%A9");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(At(got.body, {"meta", "id"}), "a/b \xC3\xA9");
  EXPECT_EQ(got.headers.Find("ETag").value_or("-"), "\"1\"");
  EXPECT_EQ(Ask(http::Method::kGet,
                "/v1/entities/contact/records/a%2Fb%20%C3%A9",
                {},
                {{"If-None-Match", "\"1\""}})
                .status,
            304);
  EXPECT_EQ(
      Ask(http::Method::kPost, "/v1/changes", R"({"op":"append","entity":"v","data":1})").status,
      200);
  EXPECT_EQ(Ask(http::Method::kDelete, "/v1/entities/contact/records/zzz").status, 404);
}

TEST_F(SocketTest, ATransportAsksForNoMoreThanItWasTold) {
  std::string lines;
  for (int i = 0; i < 6; ++i) {
    lines += R"({"op":"put","entity":"lead","id":)" + std::to_string(i) + R"(,"data":")" +
             std::string(1000, 'x') + "\"}\n";
  }
  ASSERT_EQ(Ask(http::Method::kPost, "/v1/changes", lines).status, 200);
  HttpTransport transport({.url = "http://127.0.0.1:" + std::to_string(server_->port())}, "d1");
  const auto started = transport.Start({.device = "d1"});
  ASSERT_OK(started);
  const std::string& session = (*started)->id;
  const auto page = transport.Next(session, {.records_max = 100, .bytes_max = 2500});
  ASSERT_OK(page);
  EXPECT_EQ((*page)->records, 2U);
  EXPECT_EQ((*page)->left, 4U);
  const auto one = transport.Next(session, {.records_max = 100, .bytes_max = 1});
  ASSERT_OK(one);
  EXPECT_EQ((*one)->records, 1U) << "never none";
  for (const size_t wrong : {size_t{0}, kBatchBytesMax + 1}) {
    const auto refused = transport.Next(session, {.bytes_max = wrong});
    EXPECT_EQ(refused.status().code(), ErrorCode::kInvalidArgument) << wrong;
  }
  const auto acked = transport.Acknowledge("d1", {(*page)->token, "forged"});
  ASSERT_OK(acked);
  EXPECT_EQ(acked->applied, 2U);
  EXPECT_EQ(acked->ignored, 1U);
  EXPECT_EQ(transport.Acknowledge("d1", {(*page)->token})->repeated, 1U);
}

TEST_F(SocketTest, ALongPollHoldsNoWorker) {
  std::vector<std::future<http::ClientResponse>> polls;
  for (int i = 0; i < 6; ++i) {  // more than there are workers
    polls.push_back(std::async(std::launch::async,
                               [this] { return Ask(http::Method::kGet, "/v1/changes?wait=20"); }));
  }
  EXPECT_EQ(Ask(http::Method::kPut, "/v1/entities/contact/records/a", "1").status, 201);
  for (auto& poll : polls) {
    const auto response = poll.get();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(At(response.body, {"id"}), "a");
  }
}

TEST_F(SocketTest, AStreamIsSentAsItComesAndEndsWithTheServer) {
  Ask(http::Method::kPut, "/v1/entities/contact/records/a", "1");
  auto stream = std::async(std::launch::async, [this] {
    return Ask(http::Method::kGet, "/v1/changes", {}, {{"Accept", "text/event-stream"}});
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  server_->Stop();
  const auto response = stream.get();
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, ::testing::StartsWith(": connected\n\nid: "));
  EXPECT_THAT(response.body, ::testing::HasSubstr(R"("id":"a")"));
}

TEST_F(SocketTest, AnUploadFromStartToFinish) {
  const auto started = Ask(http::Method::kPost, "/v2/integrations-sync/instances/default/syncs");
  ASSERT_EQ(started.status, 201);
  const std::string sync = "/v2/integrations-sync/syncs/" + At(started.body, {"data", "sync_id"});
  EXPECT_EQ(Ask(http::Method::kPost,
                sync + "/snapshot-data",
                R"({"entity_name":"groups","page_number":1,"records":[{"id":"g","name":"G"}]})")
                .status,
            200);
  const auto finished = Ask(http::Method::kPut, sync + "/finish");
  EXPECT_EQ(finished.status, 200);
  EXPECT_EQ(At(finished.body, {"data", "entities", "groups", "created"}), "1");
  EXPECT_EQ(
      Ask(http::Method::kGet, sync + "/errors.csv").headers.Find("Content-Type").value_or("-"),
      "text/csv; charset=utf-8");
}

TEST_F(SocketTest, RolesAndInstances) {
  const auto token = [&](const std::string& instance, Role role) {
    const auto made = CreateToken(
        directory_.path(), {.instance = instance, .role = role}, *SystemRandom(), *SystemClock());
    EXPECT_OK(made);
    return Pairs{{"Authorization", "Bearer " + made->token}};
  };
  const Pairs reader = token("default", Role::kReader);
  const Pairs writer = token("default", Role::kWriter);
  const Pairs admin = token("default", Role::kAdmin);
  const Pairs other = token("other", Role::kAdmin);
  const std::string record = "/v1/entities/contact/records/a";
  EXPECT_EQ(Ask(http::Method::kPut, record, "1").status, 401);
  const auto refused = Ask(http::Method::kPut, record, "1", reader);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(At(refused.body, {"errors", "0", "error", "code"}), "role");
  EXPECT_EQ(Ask(http::Method::kPut, record, "1", writer).status, 201);
  EXPECT_EQ(Ask(http::Method::kGet, record, {}, reader).status, 200);
  EXPECT_EQ(Ask(http::Method::kPut, "/v1/entities/contact", "{}", writer).status, 403);
  EXPECT_EQ(Ask(http::Method::kPut, "/v1/entities/contact", "{}", admin).status, 200);
  EXPECT_EQ(Ask(http::Method::kPost, "/v1/devices/d/reset", {}, writer).status, 403);
  EXPECT_EQ(Ask(http::Method::kGet, "/v1/devices", {}, admin).status, 200);
  EXPECT_EQ(Ask(http::Method::kGet, record, {}, other).status, 404);
  const std::string syncs = "/v2/integrations-sync/instances/default/syncs";
  EXPECT_EQ(Ask(http::Method::kPost, syncs, {}, other).status, 404);
  const auto started = Ask(http::Method::kPost, syncs, {}, writer);
  ASSERT_EQ(started.status, 201);
  EXPECT_EQ(Ask(http::Method::kGet,
                "/v2/integrations-sync/syncs/" + At(started.body, {"data", "sync_id"}),
                {},
                other)
                .status,
            404);
}

/// Answers 204, after so many answers that ask for time.
class BusyHandler final : public http::Handler {
 public:
  void Handle(std::shared_ptr<const http::Request> /*request*/, http::Responder respond) override {
    http::Response response;
    const bool busy = asked++ < busy_times;
    response.status = busy ? status : 204;
    if (busy && !retry_after.empty()) response.headers.Add("Retry-After", retry_after);
    respond(std::move(response));
  }
  http::Response Refuse(int refusal,
                        std::string_view /*code*/,
                        std::string_view /*message*/,
                        std::string_view /*request_id*/) override {
    http::Response response;
    response.status = refusal;
    return response;
  }

  int status = 503;
  std::string retry_after;
  int busy_times = 0;
  std::atomic<int> asked = 0;
};

class BusyServerTest : public ::testing::Test {
 protected:
  BusyServerTest() {
    http::ListenerOptions options;
    options.port = 0;
    options.workers = 1;
    auto listener = http::Listener::Start(options, handler_);
    EXPECT_OK(listener);
    listener_ = std::move(*listener);
  }
  void Busy(int status, const std::string& retry_after, int times) {
    handler_.status = status;
    handler_.retry_after = retry_after;
    handler_.busy_times = times;
    handler_.asked = 0;
    waited_.clear();
  }
  HttpTransport Transport() {
    HttpTransportOptions options{.url = "http://127.0.0.1:" + std::to_string(listener_->port())};
    options.wait = [this](std::chrono::seconds time) {
      waited_.push_back(time.count());
    };
    return HttpTransport(std::move(options), "d1");
  }

  std::vector<int64_t> waited_;  // seconds
  BusyHandler handler_;          // before who calls it
  std::unique_ptr<http::Listener> listener_;
};

TEST_F(BusyServerTest, ItIsGivenTheTimeItAsksFor) {
  for (const int status : {429, 503}) {
    Busy(status, "60", 2);
    EXPECT_OK(Transport().Start({.device = "d1"}));
    EXPECT_EQ(handler_.asked, 3) << status;
    EXPECT_THAT(waited_, ::testing::ElementsAre(60, 60)) << status;
  }
}

TEST_F(BusyServerTest, BeyondTheBoundItIsLeftAlone) {
  Busy(503, "61", 1);
  HttpTransport transport = Transport();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(transport.Start({.device = "d1"}),
                tidemark::test::StatusIs(ErrorCode::kUnavailable));
  }
  EXPECT_EQ(handler_.asked, 1) << "asked again before its time";
  EXPECT_THAT(waited_, ::testing::IsEmpty());
}

TEST_F(BusyServerTest, FiveTimesACallAndNotOnceMore) {
  Busy(429, "2", 5);
  HttpTransport transport = Transport();
  EXPECT_THAT(transport.Start({.device = "d1"}), tidemark::test::StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(handler_.asked, 5);
  EXPECT_THAT(waited_, ::testing::ElementsAre(2, 2, 2, 2));
  EXPECT_OK(transport.Start({.device = "d1"}));
  EXPECT_EQ(waited_.size(), 5U) << "the next call comes too early";
}

TEST_F(BusyServerTest, WithoutATimeOnly429IsAskedAgain) {
  Busy(503, "", 1);
  EXPECT_THAT(Transport().Start({.device = "d1"}),
              tidemark::test::StatusIs(ErrorCode::kUnavailable));
  EXPECT_THAT(waited_, ::testing::IsEmpty());
  Busy(429, "", 1);
  EXPECT_OK(Transport().Start({.device = "d1"}));
  EXPECT_THAT(waited_, ::testing::ElementsAre(1));
}

}  // namespace
}  // namespace tidemark::server::test
