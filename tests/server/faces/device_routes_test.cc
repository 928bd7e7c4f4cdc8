// Devices, for operators.
#include <string>

#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {
namespace {

class DeviceRoutesTest : public FacesTest {
 protected:
  void Sync(const std::string& device) {
    Hello hello;
    hello.device = device;
    const auto session = instance_->source().StartSession(hello);
    ASSERT_OK(session);
    if (!*session) return;
    while (true) {
      const auto page = instance_->source().NextPage((*session)->id);
      ASSERT_OK(page);
      if (!*page) return;
      ASSERT_OK(instance_->source().Acknowledge(device, {(*page)->token}));
    }
  }
};

TEST_F(DeviceRoutesTest, ListAndShow) {
  Put("/v1/entities/contact/records/a", "1");
  Sync("tablet-2");
  Sync("tablet-1");
  Put("/v1/entities/contact/records/b", "1");
  const auto list = Get("/v1/devices");
  ASSERT_THAT(list, HasStatus(200));
  EXPECT_EQ(At(list.body, {"meta", "count"}), "2");
  EXPECT_EQ(At(list.body, {"items", "0", "data", "id"}), "tablet-1");
  EXPECT_EQ(At(Get("/v1/devices?limit=1&after=tablet-1").body, {"items", "0", "data", "id"}),
            "tablet-2");
  const auto shown = Get("/v1/devices/tablet-1");
  ASSERT_THAT(shown, HasStatus(200));
  EXPECT_EQ(At(shown.body, {"data", "marks", "floor"}), "1");
  EXPECT_EQ(At(shown.body, {"data", "lag"}), "1");
  EXPECT_EQ(At(shown.body, {"data", "owed"}), "1");
  EXPECT_EQ(At(shown.body, {"data", "holding"}), "0");
  EXPECT_EQ(At(shown.body, {"data", "selection"}), R"({"everything":true})");
}

TEST_F(DeviceRoutesTest, WhyARecordWasNotSent) {
  Put("/v1/entities/contact/records/a", "1");
  Sync("tablet-1");
  const std::string why = "/v1/devices/tablet-1/why?entity=contact&record=a";
  EXPECT_EQ(At(Get(why).body, {"data", "state"}), "up_to_date");
  EXPECT_EQ(At(Get(why).body, {"data", "next"}), "null");
  Put("/v1/entities/contact/records/a", "2");
  const auto owed = Get(why);
  ASSERT_THAT(owed, HasStatus(200));
  EXPECT_EQ(At(owed.body, {"data", "state"}), "owed");
  EXPECT_EQ(At(owed.body, {"data", "next"}), "updated");
  EXPECT_EQ(At(owed.body, {"data", "reasons", "0"}),
            "The record is there: created at 1, last changed at 2.");
  EXPECT_THAT(Get("/v1/devices/nobody/why?entity=contact&record=a"), HasStatus(404));
  EXPECT_THAT(Get("/v1/devices/tablet-1/why?entity=nothing&record=a"), HasStatus(404));
  EXPECT_THAT(Get("/v1/devices/tablet-1/why?entity=contact"), HasStatus(422));
}

TEST_F(DeviceRoutesTest, Selections) {
  Put("/v1/entities/contact/records/a", "1");
  Put("/v1/entities/deal/records/a", "1");
  const auto selected = Put("/v1/devices/d/selection", R"({"entities":["contact"]})");
  ASSERT_THAT(selected, HasStatus(200));
  EXPECT_EQ(At(selected.body, {"data", "selection"}), R"({"entities":["contact"]})");
  EXPECT_EQ(At(selected.body, {"data", "owed"}), "1");
  EXPECT_EQ(At(Put("/v1/devices/d/selection", R"({"everything":true})").body, {"data", "owed"}),
            "2");
  for (const char* body : {"{}",
                           R"({"everything":false})",
                           R"({"entities":"contact"})",
                           R"({"entities":[1]})",
                           R"({"entities":["a b"]})",
                           R"({"parts":[]})",
                           R"({"entities":[],"everything":true})"}) {
    EXPECT_THAT(Put("/v1/devices/d/selection", body), IsError(422, "invalid_argument")) << body;
  }
  EXPECT_THAT(Put("/v1/devices/d/selection", "{"), IsError(400, "malformed_json"));
  const std::string long_id(129, 'd');
  EXPECT_THAT(Put("/v1/devices/" + long_id + "/selection", R"({"everything":true})"),
              IsError(422, "invalid_argument"));
}

TEST_F(DeviceRoutesTest, SelectionsByValue) {
  const std::string grant = R"({"entities":["contact",{"entity":"visit","where":{"owner":[1]}}]})";
  EXPECT_THAT(Put("/v1/devices/d/selection", grant), IsError(422, "invalid_argument"))
      << "no such key is declared";
  ASSERT_THAT(Put("/v1/entities/visit", R"({"kind":"snapshot","keys":["owner"]})"), HasStatus(201));
  Put("/v1/entities/visit/records/mine", R"({"owner":1})");
  Put("/v1/entities/visit/records/theirs", R"({"owner":2,"secret":"x"})");
  Put("/v1/entities/contact/records/a", "1");
  const auto selected = Put("/v1/devices/d/selection", grant);
  ASSERT_THAT(selected, HasStatus(200));
  EXPECT_EQ(At(selected.body, {"data", "selection"}), grant);
  EXPECT_EQ(At(selected.body, {"data", "owed"}), "2");
  Sync("d");
  const auto hidden = Get("/v1/devices/d/why?entity=visit&record=theirs");
  EXPECT_EQ(At(hidden.body, {"data", "state"}), "not_selected");
  EXPECT_EQ(hidden.body.find("secret"), std::string::npos);
  EXPECT_EQ(At(Get("/v1/devices/d/why?entity=visit&record=mine").body, {"data", "state"}),
            "up_to_date");
  Put("/v1/entities/visit/records/mine", R"({"owner":2})");
  EXPECT_EQ(At(Get("/v1/devices/d/why?entity=visit&record=mine").body, {"data", "next"}),
            "deleted");
}

TEST_F(DeviceRoutesTest, ResetAndForget) {
  Put("/v1/entities/contact/records/a", "1");
  Sync("d");
  EXPECT_EQ(At(Get("/v1/devices/d").body, {"data", "owed"}), "0");
  const auto reset = Post("/v1/devices/d/reset");
  ASSERT_THAT(reset, HasStatus(200));
  EXPECT_EQ(At(reset.body, {"data", "reset_pending"}), "true");
  const auto forgotten = Delete("/v1/devices/d");
  ASSERT_THAT(forgotten, HasStatus(200));
  EXPECT_EQ(At(forgotten.body, {"data", "forgotten"}), "true");
  for (const auto& response :
       {Get("/v1/devices/x"), Post("/v1/devices/x/reset"), Delete("/v1/devices/x")}) {
    EXPECT_THAT(response, IsError(404, "not_found"));
  }
}

TEST_F(DeviceRoutesTest, ATokenOfADeviceActsForThatDeviceOnly) {
  Sync("mine");
  Put("/v1/devices/mine/selection", R"({"everything":true})");
  caller_.device = "mine";
  EXPECT_THAT(Get("/v1/devices/mine"), HasStatus(200));
  EXPECT_THAT(Get("/v1/devices/other"), IsError(403, "device"));
  // The others do not let it in at all.
  for (const Route& route : DeviceRoutes()) {
    const bool shows_one = route.method == http::Method::kGet && route.pattern.ends_with("{id}");
    EXPECT_EQ(route.for_devices, shows_one) << route.pattern;
  }
}

TEST_F(DeviceRoutesTest, OnlyAdminsChangeThem) {
  for (const Route& route : DeviceRoutes()) {
    const Role needed = route.method == http::Method::kGet ? Role::kReader : Role::kAdmin;
    EXPECT_EQ(route.role, needed) << route.pattern;
  }
}

}  // namespace
}  // namespace tidemark::server::test
