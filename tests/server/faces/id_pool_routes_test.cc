// Id pools over HTTP.
#include <string>

#include "server/http_id_transport.h"
#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

class IdPoolRoutesTest : public FacesTest {
 protected:
  IdPoolRoutesTest() {
    EXPECT_THAT(Put(pool_, R"({"from":1,"to":1001,"digits":12,"block_max":100})"), HasStatus(200));
  }
  http::Response Lease(const std::string& body) { return Post(pool_ + "/lease", body); }

  const std::string pool_ = "/v1/id-pools/registration";
};

TEST_F(IdPoolRoutesTest, FromLeaseToRelease) {
  const std::string ask = R"({"device":"tablet","user":"nurse","count":10,"request_id":"r1"})";
  const auto leased = Lease(ask);
  ASSERT_THAT(leased, HasStatus(200));
  EXPECT_EQ(At(leased.body, {"data", "ranges"}), R"([{"from":1,"to":11}])");
  EXPECT_EQ(At(leased.body, {"data", "count"}), "10");
  EXPECT_EQ(At(leased.body, {"data", "digits"}), "12");
  EXPECT_EQ(At(leased.body, {"data", "expires_at"}), "null");
  EXPECT_EQ(At(leased.body, {"data", "pool_free"}), "990");
  EXPECT_EQ(At(leased.body, {"meta", "type"}), "id_lease");
  EXPECT_EQ(Lease(ask).body, leased.body) << "asked again, the same";
  const std::string lease = At(leased.body, {"data", "lease"});
  const auto report = [&](const std::string& what, int used) {
    return Post(pool_ + "/" + what,
                R"({"device":"tablet","user":"nurse","leases":[{"lease":)" + lease + R"(,"used":)" +
                    std::to_string(used) + "}]}");
  };
  EXPECT_EQ(At(report("report", 3).body, {"data", "void"}), "[]");
  EXPECT_EQ(At(Get(pool_).body, {"data", "used"}), "3");
  const auto holders = Get(pool_ + "/holders");
  EXPECT_EQ(At(holders.body, {"items", "0", "data", "device"}), "tablet");
  EXPECT_EQ(At(holders.body, {"items", "0", "data", "held"}), "7");
  const auto leases = Get(pool_ + "/leases?device=tablet&user=nurse");
  EXPECT_EQ(At(leases.body, {"items", "0", "data", "used"}), "3");
  EXPECT_EQ(At(leases.body, {"items", "0", "data", "void"}), "false");
  EXPECT_THAT(report("release", 5), HasStatus(200));
  EXPECT_EQ(At(Get(pool_).body, {"data", "held"}), "0");
  EXPECT_EQ(At(report("report", 5).body, {"data", "void", "0", "lease"}), lease);
  EXPECT_THAT(Lease(ask), IsError(409, "lease_void"));
}

TEST_F(IdPoolRoutesTest, ErrorsAreTyped) {
  EXPECT_THAT(Post("/v1/id-pools/none/lease", R"({"device":"d","count":1})"),
              IsError(404, "not_found"));
  EXPECT_THAT(Get("/v1/id-pools/none"), IsError(404, "not_found"));
  EXPECT_THAT(Lease(R"({"device":"d","count":50001})"), IsError(413, "too_large"));
  EXPECT_THAT(Put("/v1/id-pools/small", R"({"from":1,"to":3,"per_day":1})"), HasStatus(200));
  EXPECT_THAT(Post("/v1/id-pools/small/lease", R"({"device":"d","count":9})"), HasStatus(200));
  EXPECT_THAT(Post("/v1/id-pools/small/lease", R"({"device":"d","count":1})"),
              IsError(409, "quota_exceeded"));
  EXPECT_THAT(Post("/v1/id-pools/small/lease", R"({"device":"e","count":1})"), HasStatus(200));
  EXPECT_THAT(Post("/v1/id-pools/small/lease", R"({"device":"f","count":1})"),
              IsError(409, "ids_exhausted"));
  EXPECT_THAT(Put("/v1/id-pools/small", R"({"from":2,"to":3})"), IsError(409, "conflict"));
  for (const char* body : {"{}",
                           R"({"count":1})",
                           R"({"device":"d"})",
                           R"({"device":"d","count":0})",
                           R"({"device":"d","count":-1})",
                           R"({"device":"d","count":"1"})",
                           R"({"device":7,"count":1})",
                           R"({"device":"d","count":1,"more":2})",
                           R"({"device":"d","count":1,"request_id":5})"}) {
    EXPECT_THAT(Lease(body), IsError(422, "invalid_argument")) << body;
  }
  for (const char* body : {"{}",
                           R"({"device":"d"})",
                           R"({"device":"d","leases":[]})",
                           R"({"device":"d","leases":[7]})",
                           R"({"device":"d","leases":[{"lease":7}]})",
                           R"({"device":"d","leases":[{"lease":7,"used":1,"x":1}]})",
                           R"({"leases":[{"lease":7,"used":1}]})"}) {
    EXPECT_THAT(Post(pool_ + "/release", body), IsError(422, "invalid_argument")) << body;
  }
  for (const char* body :
       {"{}", R"({"from":1})", R"({"from":5,"to":5})", R"({"from":1,"to":5,"x":1})"}) {
    EXPECT_THAT(Put("/v1/id-pools/p", body), IsError(422, "invalid_argument")) << body;
  }
  EXPECT_THAT(Lease("no json"), IsError(400, "malformed_json"));
  EXPECT_THAT(Post(pool_ + "/resume", R"({"from":5})"), IsError(409, "conflict"));
  EXPECT_THAT(Post(pool_ + "/resume", "{}"), IsError(422, "invalid_argument"));
}

TEST_F(IdPoolRoutesTest, ATokenOfADeviceLeasesForItOnly) {
  caller_.device = "tablet";
  EXPECT_THAT(Lease(R"({"device":"phone","count":1})"), IsError(403, "device"));
  EXPECT_THAT(Post(pool_ + "/release", R"({"device":"phone","leases":[{"lease":1,"used":0}]})"),
              IsError(403, "device"));
  EXPECT_THAT(Lease(R"({"count":1})"), HasStatus(200));
  EXPECT_EQ(At(Get(pool_ + "/holders").body, {"items", "0", "data", "device"}), "tablet");
}

TEST_F(IdPoolRoutesTest, ReclaimedFromADeviceThatIsGone) {
  Lease(R"({"device":"tablet","count":10})");
  ASSERT_OK(instance_->source().Select("tablet", SelectionRule::Everything()));
  EXPECT_THAT(Post(pool_ + "/reclaim", R"({"device":"tablet"})"), IsError(409, "conflict"));
  EXPECT_THAT(Delete("/v1/devices/tablet"), HasStatus(200));
  const auto reclaimed = Post(pool_ + "/reclaim", R"({"device":"tablet"})");
  ASSERT_THAT(reclaimed, HasStatus(200));
  EXPECT_EQ(At(reclaimed.body, {"data", "reclaimed"}), "10");
  EXPECT_EQ(At(Get(pool_).body, {"data", "reclaimed"}), "10");
  EXPECT_THAT(Post(pool_ + "/reclaim", R"({"device":"tablet"})"), IsError(404, "not_found"));
  EXPECT_THAT(Post(pool_ + "/reclaim", R"({"device":"tablet","x":1})"), HasStatus(422));
}

TEST_F(IdPoolRoutesTest, ListsArePaged) {
  Put("/v1/id-pools/another", R"({"from":1,"to":11})");
  const auto pools = Get("/v1/id-pools?limit=1");
  EXPECT_EQ(At(pools.body, {"items", "0", "data", "id"}), "another");
  EXPECT_EQ(At(pools.body, {"meta", "more"}), "true");
  EXPECT_EQ(At(Get("/v1/id-pools?limit=1&after=another").body, {"items", "0", "data", "id"}),
            "registration");
  for (const char* device : {"a", "b", "c"}) {
    Lease(R"({"device":")" + std::string(device) + R"(","count":1})");
  }
  Lease(R"({"device":"a","count":1})");
  const auto first = Get(pool_ + "/holders?limit=2");
  EXPECT_EQ(At(first.body, {"meta", "more"}), "true");
  const auto rest = Get(pool_ + "/holders?limit=2&after=" + At(first.body, {"meta", "next"}));
  EXPECT_EQ(At(rest.body, {"items", "0", "data", "device"}), "c");
  EXPECT_EQ(At(rest.body, {"meta", "more"}), "false");
  EXPECT_THAT(Get(pool_ + "/holders?after=x"), HasStatus(422));
  const auto leases = Get(pool_ + "/leases?device=a&limit=1");
  EXPECT_EQ(At(leases.body, {"meta", "more"}), "true");
  const auto second =
      Get(pool_ + "/leases?device=a&after=" + At(leases.body, {"items", "0", "data", "id"}));
  EXPECT_EQ(At(second.body, {"meta", "count"}), "1");
  EXPECT_THAT(Get(pool_ + "/leases"), HasStatus(422));
}

TEST_F(IdPoolRoutesTest, PoolsSurviveARestart) {
  Lease(R"({"device":"tablet","count":10})");
  Reopen();
  EXPECT_EQ(At(Get(pool_).body, {"data", "held"}), "10");
  EXPECT_EQ(At(Lease(R"({"device":"tablet","count":1})").body, {"data", "ranges"}),
            R"([{"from":11,"to":12}])");
}

}  // namespace
}  // namespace tidemark::server::test
