// An application's own syncs over HTTP: begun, reported, ended, and interrupted when nobody speaks
// for them any more.
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "server/sync_operations.h"
#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

class OperationRoutesTest : public FacesTest {
 protected:
  std::string Begin(const std::string& body) {
    const auto begun = Post("/v1/sync-operations", body);
    EXPECT_THAT(begun, HasStatus(201));
    EXPECT_EQ(At(begun.body, {"meta", "type"}), "sync_operation");
    return At(begun.body, {"data", "id"});
  }
  http::Response Tell(const std::string& id, const std::string& what, const std::string& body) {
    return Post("/v1/sync-operations/" + id + "/" + what, body);
  }
  std::string StateOf(const std::string& status) {
    return At(Get("/v1/sync-status/" + status).body, {"data", "state"});
  }
  std::string ScopeIs(const std::string& what) {
    return At(Get("/v1/sync-scopes/nightly").body, {"data", what});
  }
};

TEST_F(OperationRoutesTest, FromBeginningToOutcome) {
  Post("/v1/sync-scopes/nightly/start", R"({"members":["crm","erp"]})");
  const std::string crm = Begin(
      R"({"member":"crm","entities":["customer",{"entity":"order","provider":"sap","functionId":"list"}],"lease":30})");
  EXPECT_EQ(ScopeIs("syncing"), "1");
  EXPECT_EQ(StateOf("crm:customer"), "syncing");
  EXPECT_EQ(At(Get("/v1/sync-status/crm:order").body, {"data", "provider"}), "sap");
  EXPECT_THAT(Tell(crm, "progress", R"({"entity":"customer","records":500,"bytes":12000})"),
              HasStatus(200));
  EXPECT_EQ(At(Get("/v1/sync-status/crm:customer").body, {"data", "records"}), "500");
  EXPECT_THAT(Tell(crm, "progress", ""), HasStatus(200)) << "renews alone";
  EXPECT_THAT(Tell(crm, "entities", R"({"entity":"note"})"), HasStatus(200));
  EXPECT_EQ(StateOf("crm:note"), "syncing");
  const auto one = Tell(crm, "finish", R"({"entity":"order","error":"the CRM answered 503"})");
  EXPECT_EQ(At(one.body, {"data", "ended"}), "false");
  EXPECT_EQ(StateOf("crm:order"), "failed");
  EXPECT_EQ(At(Get("/v1/sync-status/crm:order").body, {"data", "error"}), "the CRM answered 503");
  EXPECT_EQ(At(Tell(crm, "finish", "").body, {"data", "ended"}), "true");
  EXPECT_EQ(StateOf("crm:customer"), "synced");
  EXPECT_EQ(StateOf("crm:note"), "synced");
  EXPECT_EQ(ScopeIs("failed"), "1");
  EXPECT_THAT(Tell(crm, "finish", ""), IsError(404, "not_found"));
  const std::string erp = Begin(R"({"member":"erp"})");
  EXPECT_EQ(At(Tell(erp, "finish", "").body, {"data", "ended"}), "true");
  EXPECT_EQ(ScopeIs("state"), "failed");
}

TEST_F(OperationRoutesTest, OneThatIsNotRenewedIsInterrupted) {
  Post("/v1/sync-scopes/nightly/start", R"({"members":["crm"]})");
  SyncOperations& operations = instance_->sync_operations();
  const auto id = operations.Begin("crm", {{"customer", "", ""}}, std::chrono::seconds(0));
  ASSERT_OK(id);
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_THAT(Tell(*id, "progress", ""), IsError(404, "not_found"));
  EXPECT_FALSE(operations.AnyAtWork());
  operations.Expire();
  EXPECT_EQ(ScopeIs("state"), "interrupted");
  EXPECT_NE(At(Get("/v1/sync-status/crm:customer").body, {"data", "error"}).find("interrupted"),
            std::string::npos);
}

TEST_F(OperationRoutesTest, AMemberThatBeginsAnewSupersedes) {
  const std::string older = Begin(R"({"member":"crm","entities":["customer"]})");
  const std::string newer = Begin(R"({"member":"crm","entities":["customer"]})");
  EXPECT_THAT(Tell(older, "finish", ""), IsError(404, "not_found"));
  EXPECT_EQ(StateOf("crm:customer"), "syncing");
  EXPECT_THAT(Tell(newer, "finish", R"({"entity":"customer"})"), HasStatus(200));
  EXPECT_EQ(StateOf("crm:customer"), "synced");
}

// The first begin is held up after the tracker has it; the second one is begun meanwhile.
TEST_F(OperationRoutesTest, OfTwoBeginsAtTheSameTimeTheLaterLives) {
  std::promise<std::string> second;
  std::future<std::string> begun = second.get_future();
  std::thread other;
  const uint64_t listener = instance_->tracker().Listen([&](const SyncTransition&) {
    if (other.joinable()) return;
    other = std::thread([&] { second.set_value(Begin(R"({"member":"crm","entities":["a"]})")); });
    begun.wait_for(std::chrono::milliseconds(200));  // it is not to end before the first one
  });
  const std::string older = Begin(R"({"member":"crm","entities":["a"]})");
  const std::string newer = begun.get();
  other.join();
  instance_->tracker().StopListening(listener);
  EXPECT_THAT(Tell(older, "progress", ""), IsError(404, "not_found"));
  EXPECT_THAT(Tell(newer, "progress", ""), HasStatus(200));
  EXPECT_EQ(StateOf("crm:a"), "syncing");
  EXPECT_THAT(Tell(newer, "finish", ""), HasStatus(200));
  EXPECT_EQ(StateOf("crm:a"), "synced");
}

TEST_F(OperationRoutesTest, ManyBeginsAtTheSameTimeLeaveOneAlive) {
  constexpr int kThreads = 8;
  for (int round = 0; round < 25; ++round) {
    std::vector<std::string> ids(kThreads);
    std::vector<std::thread> threads;
    for (std::string& id : ids) {
      threads.emplace_back([&] { id = Begin(R"({"member":"crm","entities":["a"]})"); });
    }
    for (std::thread& thread : threads) thread.join();
    int alive = 0;
    for (const std::string& id : ids) {
      if (Tell(id, "progress", R"({"entity":"a","records":1})").status == 200) ++alive;
    }
    ASSERT_EQ(alive, 1) << "round " << round;
    ASSERT_EQ(StateOf("crm:a"), "syncing") << "round " << round;
  }
}

TEST_F(OperationRoutesTest, CountsHaveABound) {
  const std::string id = Begin(R"({"member":"crm","entities":["customer"]})");
  const auto tell = [&](const std::string& records) {
    return Tell(id, "progress", R"({"entity":"customer","records":)" + records + "}");
  };
  EXPECT_THAT(tell("9223372036854775807"), HasStatus(200));
  EXPECT_THAT(tell("9223372036854775808"), ::testing::Not(HasStatus(200)));
  EXPECT_EQ(At(Get("/v1/sync-status/crm:customer").body, {"data", "records"}),
            "9223372036854775807");
  EXPECT_THAT(Delete("/v1/sync-status/crm:customer"), IsError(409, "conflict")) << "it is syncing";
  EXPECT_THAT(Tell(id, "finish", ""), HasStatus(200));
  EXPECT_THAT(Delete("/v1/sync-status/crm:customer"), HasStatus(200));
}

TEST_F(OperationRoutesTest, ARestartInterrupts) {
  const std::string id = Begin(R"({"member":"crm","entities":["customer"],"lease":900})");
  Reopen();
  EXPECT_EQ(StateOf("crm:customer"), "failed");
  EXPECT_THAT(Tell(id, "finish", ""), IsError(404, "not_found"));
}

TEST_F(OperationRoutesTest, BadCallsChangeNothing) {
  for (const char* body : {"{}",
                           R"({"member":""})",
                           R"({"member":7})",
                           R"({"member":"upload"})",
                           R"({"member":"pull"})",
                           R"({"member":"crm","entities":"customer"})",
                           R"({"member":"crm","entities":[7]})",
                           R"({"member":"crm","entities":[{"provider":"x"}]})",
                           R"({"member":"crm","entities":["a","a"]})",
                           R"({"member":"crm","lease":0})",
                           R"({"member":"crm","lease":901})",
                           R"({"member":"crm","more":1})"}) {
    EXPECT_THAT(Post("/v1/sync-operations", body), IsError(422, "invalid_argument")) << body;
  }
  EXPECT_THAT(Post("/v1/sync-operations", "no json"), IsError(400, "malformed_json"));
  const std::string id = Begin(R"({"member":"crm","entities":["customer"],"lease":900})");
  EXPECT_THAT(Tell(id, "progress", R"({"records":1})"), IsError(422, "invalid_argument"));
  EXPECT_THAT(Tell(id, "progress", R"({"entity":"none","records":1})"), IsError(404, "not_found"));
  EXPECT_THAT(Tell(id, "progress", R"({"entity":"customer","x":1})"), HasStatus(422));
  EXPECT_THAT(Tell(id, "finish", R"({"error":""})"), HasStatus(422));
  EXPECT_THAT(Tell(id, "finish", R"({"entity":"none"})"), IsError(404, "not_found"));
  EXPECT_THAT(Tell(id, "entities", "{}"), HasStatus(422));
  EXPECT_EQ(StateOf("crm:customer"), "syncing");
}

TEST_F(OperationRoutesTest, AThousandAtOnceAndNotOneMore) {
  SyncOperations& operations = instance_->sync_operations();
  for (size_t i = 0; i < kSyncOperationsMax; ++i) {
    ASSERT_OK(operations.Begin("m" + std::to_string(i), {}, kSyncLeaseMax));
  }
  EXPECT_THAT(Post("/v1/sync-operations", R"({"member":"more"})"), IsError(413, "too_large"));
}

}  // namespace
}  // namespace tidemark::server::test
