// docs/openapi.json lists what is served, and nothing else.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/json.h"
#include "server/application.h"
#include "server/reply.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server::test {
namespace {

// The members of the object at a path of names.
std::vector<JsonField> MembersAt(const std::vector<std::string>& path) {
  const char* root = std::getenv("TIDEMARK_SOURCE_DIR");
  std::ifstream file(std::string(root == nullptr ? "." : root) + "/docs/openapi.json");
  std::stringstream text;
  text << file.rdbuf();
  auto members = ReadJsonObject(text.str());
  for (const std::string& name : path) {
    EXPECT_OK(members);
    const auto at = std::find_if(
        members->begin(), members->end(), [&](const auto& member) { return member.name == name; });
    EXPECT_NE(at, members->end()) << name;
    const std::string found = at->text;
    members = ReadJsonObject(found);
  }
  EXPECT_OK(members);
  return *std::move(members);
}

struct Operation {
  std::string path;
  std::string method;
  std::string role;
  std::set<std::string> statuses;
  std::set<std::string> query = {};
};

// Those that stand in the operation itself; shared ones are parts of paths.
std::set<std::string> QueryParametersOf(const std::string& parameters) {
  std::set<std::string> names;
  const auto listed = ReadJsonArray(parameters);
  EXPECT_OK(listed);
  for (const JsonField& parameter : *listed) {
    const auto fields = ReadJsonFields(parameter.text, {"name", "in"});
    EXPECT_OK(fields);
    if ((*fields)[1] && (*fields)[1]->text == "query") names.insert((*fields)[0]->text);
  }
  return names;
}

std::vector<Operation> Operations() {
  std::vector<Operation> operations;
  for (const JsonField& path : MembersAt({"paths"})) {
    const auto methods = ReadJsonObject(path.text);
    EXPECT_OK(methods);
    for (const JsonField& method : *methods) {
      const auto fields = ReadJsonFields(method.text, {"x-role", "responses", "parameters"});
      EXPECT_TRUE(fields.ok() && (*fields)[0] && (*fields)[1]) << path.name;
      Operation operation{path.name, method.name, (*fields)[0]->text, {}};
      const auto responses = ReadJsonObject((*fields)[1]->text);
      EXPECT_OK(responses);
      for (const JsonField& response : *responses) operation.statuses.insert(response.name);
      if ((*fields)[2]) operation.query = QueryParametersOf((*fields)[2]->text);
      operations.push_back(std::move(operation));
    }
  }
  return operations;
}

std::string Joined(const std::set<std::string>& query) {
  std::string text;
  for (const std::string& name : query) text += " ?" + name;
  return text;
}

std::set<std::string> Listed() {
  std::set<std::string> listed;
  for (const Operation& operation : Operations()) {
    listed.insert(operation.path + " " + operation.method + " by " + operation.role +
                  Joined(operation.query));
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
    const std::set<std::string> query(route.query.begin(), route.query.end());
    served.insert(route.pattern + " " + method + " by " + role + Joined(query));
  }
  (*application)->BeginStop();
  (*application)->Close();
  return served;
}

TEST(OpenApiTest, ListsExactlyWhatIsServed) {
  EXPECT_THAT(Listed(), ::testing::ContainerEq(Served()));
}

// What the listener, the tokens and a full disk answer does not depend on the call.
TEST(OpenApiTest, EachCallListsWhatAllCallsAnswer) {
  for (const Operation& operation : Operations()) {
    std::set<std::string> shared = {"400", "405", "408", "421", "431", "500", "503"};
    if (operation.role != "none") shared.insert({"401", "403", "429"});
    if (operation.method != "get" && operation.method != "head") {
      shared.insert({"403", "413", "507"});
    }
    for (const std::string& status : shared) {
      EXPECT_TRUE(operation.statuses.contains(status))
          << operation.method << " " << operation.path << " " << status;
    }
  }
}

TEST(OpenApiTest, EveryErrorOfTheEngineHasAnAnswer) {
  std::set<std::string> described;
  for (const JsonField& response : MembersAt({"components", "responses"})) {
    described.insert(response.name);
  }
  for (int code = 1; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    const int status = HttpStatusOf(static_cast<ErrorCode>(code));
    EXPECT_TRUE(described.contains("E" + std::to_string(status))) << code << " " << status;
  }
}

}  // namespace
}  // namespace tidemark::server::test
