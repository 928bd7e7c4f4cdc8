// The overview of an instance, once and live.
#include "server/overview_routes.h"

#include <string>
#include <vector>

#include "server/overview.h"
#include "tests/server/faces/fixture.h"
#include "tests/server/faces/streams.h"

namespace tidemark::server::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class OverviewRoutesTest : public FacesTest {
 protected:
  void Start(const std::string& device) {
    Hello hello;
    hello.device = device;
    ASSERT_OK(instance_->source().StartSession(hello));
  }
};

TEST_F(OverviewRoutesTest, ShowsWhatThereIs) {
  Put("/v1/entities/contact/records/a", "1");
  Start("tablet-1");
  const auto response = Get("/v1/overview");
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(At(response.body, {"data", "store", "records"}), "1");
  EXPECT_EQ(At(response.body, {"data", "store", "writing"}), "true");
  EXPECT_EQ(At(response.body, {"data", "entities", "0", "name"}), "contact");
  EXPECT_EQ(At(response.body, {"data", "devices", "count"}), "1");
  EXPECT_EQ(At(response.body, {"data", "devices", "items", "0", "owed"}), "1");
  EXPECT_EQ(At(response.body, {"data", "uploads"}), "[]");
  EXPECT_EQ(Get("/v1/overview").body, response.body);
}

TEST_F(OverviewRoutesTest, ShowsTheHundredDevicesThatAreFarthestBehind) {
  Put("/v1/entities/contact/records/a", "1");
  for (int i = 0; i < 101; ++i) Start("tablet-" + std::to_string(1000 + i));
  // The first one is brought up to date, and is the one left out.
  Hello hello;
  hello.device = "tablet-1000";
  const auto session = instance_->source().StartSession(hello);
  ASSERT_OK(session);
  const auto page = instance_->source().NextPage((*session)->id);
  ASSERT_OK(page);
  ASSERT_OK(instance_->source().Acknowledge("tablet-1000", {(*page)->token}));

  const auto response = Get("/v1/overview");
  EXPECT_EQ(At(response.body, {"data", "devices", "count"}), "101");
  EXPECT_EQ(At(response.body, {"data", "devices", "items", "0", "id"}), "tablet-1001");
  EXPECT_EQ(At(response.body, {"data", "devices", "items", "99", "id"}), "tablet-1100");
  EXPECT_EQ(response.body.find("tablet-1000"), std::string::npos);
}

TEST_F(OverviewRoutesTest, WhatSyncsComesFirstAndWhatIsLeftOutIsCounted) {
  SyncTracker& tracker = instance_->tracker();
  const auto id_of = [](size_t i) {
    return "n" + std::to_string(1000 + i);
  };
  for (size_t i = 0; i + 2 < kOverviewRowsMax; ++i) ASSERT_OK(tracker.StartScope(id_of(i), {}));
  ASSERT_OK(tracker.StartScope("x", {"crm"}));
  ASSERT_OK(tracker.InterruptScope("x"));
  ASSERT_OK(tracker.StartScope("z", {"zzz"}));
  auto response = Get("/v1/overview");
  EXPECT_EQ(At(response.body, {"data", "hidden", "scopes"}), "0");
  EXPECT_EQ(At(response.body, {"data", "scopes", "0", "id"}), "z");
  EXPECT_EQ(At(response.body, {"data", "scopes", "1", "id"}), "x");
  EXPECT_EQ(At(response.body, {"data", "scopes", "199", "id"}), "n1197");

  ASSERT_OK(tracker.StartScope("n1", {}));
  std::vector<SyncTarget> targets;
  for (size_t i = 0; i < kOverviewRowsMax; ++i) targets.push_back({.entity = id_of(i)});
  const auto done = tracker.Begin("crm", targets);
  ASSERT_OK(done);
  ASSERT_OK((*done)->Finish());
  const auto begun = tracker.Begin("zzz", {{.entity = "late"}});
  ASSERT_OK(begun);
  response = Get("/v1/overview");
  EXPECT_EQ(At(response.body, {"data", "hidden", "scopes"}), "1");
  EXPECT_EQ(At(response.body, {"data", "scopes", "0", "id"}), "z");
  EXPECT_EQ(At(response.body, {"data", "hidden", "statuses"}), "1");
  EXPECT_EQ(At(response.body, {"data", "statuses", "0", "id"}), "zzz:late");
  EXPECT_EQ(At(response.body, {"data", "hidden", "entities"}), "0");
}

TEST_F(OverviewRoutesTest, ALiveOverviewFollowsCommits) {
  Put("/v1/entities/contact/records/a", "1");
  const auto response = Get("/v1/overview", {{"Accept", "text/event-stream"}});
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(response.content_type, "text/event-stream; charset=utf-8");
  ASSERT_NE(response.stream, nullptr);
  const std::string first = Next(response);
  EXPECT_THAT(first, StartsWith("data: {"));
  EXPECT_THAT(first, HasSubstr(R"("records":1)"));
  Put("/v1/entities/contact/records/b", "1");
  EXPECT_THAT(Next(response), HasSubstr(R"("records":2)"));
  Start("tablet-1");  // no commit of records, and seen all the same
  EXPECT_THAT(Next(response), HasSubstr(R"("id":"tablet-1")"));
  instance_->waiters().Stop();
  EXPECT_EQ(Next(response), "");
}

TEST_F(OverviewRoutesTest, ThePageMayLoadOnlyFromItsServer) {
  for (const auto& [path, type] : {std::pair{"/page.css", "text/css; charset=utf-8"},
                                   std::pair{"/page.js", "text/javascript; charset=utf-8"}}) {
    const auto response = Get(path);
    ASSERT_THAT(response, HasStatus(200));
    EXPECT_EQ(response.content_type, type);
    EXPECT_THAT(std::string(response.headers.Find("Content-Security-Policy").value_or("")),
                StartsWith("default-src 'none'; script-src 'self';"));
  }
}

}  // namespace
}  // namespace tidemark::server::test
