// Queues beside `main`: declared by operators, drained over the Sell wire.
#include <string>

#include "tests/server/faces/application_fixture.h"

namespace tidemark::server::test {
namespace {

using http::Method;

class QueueRoutesTest : public ApplicationTest {
 protected:
  QueueRoutesTest() { Open(); }

  http::Response Put(const std::string& queue, const std::string& body) {
    return Ask(Method::kPut, "/v1/queues/" + queue, {}, body);
  }
  http::Response Read(const std::string& session, const std::string& queue) {
    return Sell(Method::kGet, "/v2/sync/" + session + "/queues/" + queue, {});
  }
  static std::string Id(const http::Response& page, const std::string& item) {
    return At(page.body, {"items", item, "meta", "id"});
  }
};

TEST_F(QueueRoutesTest, DeclareListShowAndDrop) {
  ASSERT_THAT(Put("people", R"({"order":2,"entities":["contact"]})"), HasStatus(201));
  ASSERT_THAT(Put("first", R"({"order":1,"entities":["deal"]})"), HasStatus(201));
  const auto changed = Put("people", R"({"order":3,"entities":["contact","lead"]})");
  ASSERT_THAT(changed, HasStatus(200));
  EXPECT_EQ(At(changed.body, {"data", "name"}), "people");
  EXPECT_EQ(At(changed.body, {"data", "entities"}), R"(["contact","lead"])");
  const auto list = Get("/v1/queues");
  ASSERT_THAT(list, HasStatus(200));
  EXPECT_EQ(At(list.body, {"meta", "count"}), "2");
  EXPECT_EQ(At(list.body, {"items", "0", "data", "name"}), "first");
  EXPECT_EQ(At(list.body, {"items", "1", "data", "order"}), "3");
  EXPECT_EQ(At(Get("/v1/queues?limit=1").body, {"meta", "more"}), "true");
  EXPECT_EQ(At(Get("/v1/queues?limit=1&after=first").body, {"items", "0", "data", "name"}),
            "people");
  EXPECT_EQ(At(Get("/v1/queues/first").body, {"data", "order"}), "1");
  EXPECT_THAT(Ask(Method::kDelete, "/v1/queues/first"), HasStatus(204));
  EXPECT_THAT(Ask(Method::kDelete, "/v1/queues/first"), IsError(404, "not_found"));
  EXPECT_THAT(Get("/v1/queues/first"), IsError(404, "not_found"));
  Close();
  Open();
  EXPECT_EQ(At(Get("/v1/queues").body, {"meta", "count"}), "1");
}

TEST_F(QueueRoutesTest, WrongDeclarationsAreRefused) {
  for (const char* body : {"{}",
                           R"({"entities":[]})",
                           R"({"everything":true})",
                           R"({"order":1001,"entities":["a"]})",
                           R"({"entities":[{"entity":"visit","where":{"owner":1}}]})"}) {
    EXPECT_THAT(Put("wrong", body), IsError(422, "invalid_argument")) << body;
  }
  EXPECT_THAT(Put("wrong", "{"), IsError(400, "malformed_json"));
  EXPECT_THAT(Put("main", R"({"entities":["a"]})"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Put("a b", R"({"entities":["a"]})"), IsError(422, "invalid_argument"));
  for (int i = 0; i < 16; ++i) {
    EXPECT_THAT(Put("q" + std::to_string(i), R"({"entities":["a"]})"), HasStatus(201));
  }
  EXPECT_THAT(Put("q16", R"({"entities":["a"]})"), IsError(413, "too_large"));
}

TEST_F(QueueRoutesTest, OnlyAdministratorsDeclare) {
  const std::string writer = Token(Role::kWriter);
  const std::string device = Token(Role::kAdmin, "d1");
  EXPECT_THAT(Ask(Method::kPut, "/v1/queues/q", writer, R"({"entities":["a"]})"),
              IsError(403, "role"));
  EXPECT_THAT(Ask(Method::kDelete, "/v1/queues/q", writer), IsError(403, "role"));
  EXPECT_THAT(Get("/v1/queues", writer), HasStatus(200));
  EXPECT_THAT(Get("/v1/queues", device), IsError(403, "device"));
}

TEST_F(QueueRoutesTest, ASessionTellsItsQueuesAndHandsOutEachItemOnce) {
  Put("first", R"({"order":1,"entities":["deal"]})");
  Put("second", R"({"order":2,"entities":["lead"]})");
  Write(R"({"op":"put","entity":"contact","id":1,"data":{"v":1}}
{"op":"put","entity":"deal","id":2,"data":{"v":1}}
{"op":"put","entity":"deal","id":3,"data":{"v":1}})");
  const auto started = Sell(Method::kPost, "/v2/sync/start", {});
  ASSERT_THAT(started, HasStatus(201));
  const auto queue = [&](const std::string& at, const std::string& member) {
    return At(started.body, {"data", "queues", at, "data", member});
  };
  EXPECT_EQ(queue("0", "name"), "main") << "what old clients look for comes first";
  EXPECT_EQ(queue("0", "total_count"), "3");
  EXPECT_EQ(queue("1", "name"), "first");
  EXPECT_EQ(queue("1", "total_count"), "2");
  EXPECT_EQ(queue("1", "pages"), "1");
  EXPECT_EQ(queue("2", "total_count"), "0");
  EXPECT_EQ(queue("3", "name"), "-");
  const std::string session = At(started.body, {"data", "id"});
  EXPECT_EQ(At(started.body, {"data", "queues", "1", "meta", "links", "self"}),
            "/v2/sync/" + session + "/queues/first");

  EXPECT_THAT(Read(session, "third"), IsError(404, "not_found"));
  EXPECT_THAT(Read(session, "a b"), IsError(404, "not_found"));
  EXPECT_THAT(Read(session, "second"), HasStatus(204));
  const auto one = Sell(Method::kGet, "/v2/sync/" + session + "/queues/first?limit=1", {});
  ASSERT_THAT(one, HasStatus(200));
  EXPECT_EQ(Id(one, "0"), "2");
  EXPECT_EQ(At(one.body, {"meta", "count_left"}), "1") << "in this queue";
  const auto rest = Read(session, "main");
  ASSERT_THAT(rest, HasStatus(200));
  EXPECT_EQ(At(rest.body, {"meta", "count"}), "2");
  EXPECT_EQ(Id(rest, "0"), "1");
  EXPECT_EQ(Id(rest, "1"), "3");
  EXPECT_THAT(Read(session, "first"), HasStatus(204));
  EXPECT_THAT(Read(session, "main"), HasStatus(204));

  std::string keys;
  for (const auto* page : {&rest, &one}) {
    for (const char* item : {"1", "0"}) {
      const std::string key = At(page->body, {"items", item, "meta", "sync", "ack_key"});
      if (key != "-") keys += (keys.empty() ? "\"" : ",\"") + key + "\"";
    }
  }
  const auto acked =
      Sell(Method::kPost, "/v2/sync/ack", {}, "d1", R"({"data":{"ack_keys":[)" + keys + "]}}");
  EXPECT_EQ(acked.headers.Find("X-Tidemark-Applied").value_or("-"), "3");
  EXPECT_THAT(Sell(Method::kPost, "/v2/sync/start", {}), HasStatus(204));
}

}  // namespace
}  // namespace tidemark::server::test
