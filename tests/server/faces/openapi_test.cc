// docs/openapi.json lists what is served, and nothing else.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/json.h"
#include "server/application.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server::test {
namespace {

std::set<std::string> Listed() {
  const char* root = std::getenv("TIDEMARK_SOURCE_DIR");
  std::ifstream file(std::string(root == nullptr ? "." : root) + "/docs/openapi.json");
  std::stringstream text;
  text << file.rdbuf();
  const auto members = ReadJsonObject(text.str());
  EXPECT_OK(members);
  if (!members.ok()) return {};
  std::set<std::string> listed;
  for (const JsonField& member : *members) {
    if (member.name != "paths") continue;
    const auto paths = ReadJsonObject(member.text);
    EXPECT_OK(paths);
    for (const JsonField& path : *paths) {
      const auto methods = ReadJsonObject(path.text);
      EXPECT_OK(methods);
      for (const JsonField& method : *methods) {
        const auto role = ReadJsonFields(method.text, {"x-role"});
        EXPECT_TRUE(role.ok() && role->front().has_value()) << path.name;
        listed.insert(path.name + " " + method.name + " by " + role->front()->text);
      }
    }
  }
  return listed;
}

std::set<std::string> Served() {
  const tidemark::test::TempDirectory directory;
  const auto application = Application::Open({.data = directory.path()});
  EXPECT_OK(application);
  std::set<std::string> served;
  for (const Route& route : (*application)->router().routes()) {
    std::string method(http::MethodName(route.method));
    std::transform(method.begin(), method.end(), method.begin(), [](unsigned char c) {
      return static_cast<char>(std::tolower(c));
    });
    const std::string role(route.open ? "none" : RoleName(route.role));
    served.insert(route.pattern + " " + method + " by " + role);
  }
  (*application)->BeginStop();
  (*application)->Close();
  return served;
}

TEST(OpenApiTest, ListsExactlyWhatIsServed) {
  EXPECT_THAT(Listed(), ::testing::ContainerEq(Served()));
}

}  // namespace
}  // namespace tidemark::server::test
