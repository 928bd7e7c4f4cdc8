#include "server/router.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tidemark::server {
namespace {

using http::Method;
using Strings = std::vector<std::string>;

Router MakeRouter() {
  return Router({{.method = Method::kGet, .pattern = "/"},
                 {.method = Method::kGet, .pattern = "/a/{id}/b/{name}"},
                 {.method = Method::kPut, .pattern = "/a/{id}/b/{name}"},
                 {.method = Method::kGet, .pattern = "/a/{id}"},
                 {.method = Method::kGet, .pattern = "/a/special"}});
}

TEST(RouterTest, CapturesSegmentsAsTheyAreDecoded) {
  const Router router = MakeRouter();
  const RouteMatch match = router.Find(Method::kPut, {"a", "x/y", "b", "{id}"});
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.route->method, Method::kPut);
  EXPECT_EQ(match.captures, (Strings{"x/y", "{id}"}));
  EXPECT_EQ(Router::CaptureIndex(*match.route, "name"), 1U);
  EXPECT_EQ(Router::CaptureIndex(*match.route, "instance"), std::nullopt);
}

TEST(RouterTest, WordsWinOverCaptures) {
  const Router router = MakeRouter();
  EXPECT_EQ(router.Find(Method::kGet, {"a", "special"}).route->pattern, "/a/special");
  EXPECT_EQ(router.Find(Method::kGet, {"a", "other"}).route->pattern, "/a/{id}");
}

TEST(RouterTest, UnknownPaths) {
  const Router router = MakeRouter();
  for (const Strings& path : {Strings{"b"},
                              Strings{"a"},
                              Strings{"a", ""},
                              Strings{"", "a"},
                              Strings{"a", "x", "b"},
                              Strings{"a", "x", "b", "c", "d"},
                              Strings{"A", "x"},
                              Strings{"", ""}}) {
    const RouteMatch match = router.Find(Method::kGet, path);
    EXPECT_EQ(match.route, nullptr) << testing::PrintToString(path);
    EXPECT_EQ(match.allow, "");
  }
}

TEST(RouterTest, OtherMethodsAreTold) {
  const RouteMatch match = MakeRouter().Find(Method::kDelete, {"a", "x", "b", "y"});
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "GET, PUT");
}

TEST(RouterTest, TheRoot) {
  const Router router = MakeRouter();
  EXPECT_NE(router.Find(Method::kGet, {}).route, nullptr);
  EXPECT_NE(router.Find(Method::kGet, {""}).route, nullptr);
}

}  // namespace
}  // namespace tidemark::server
