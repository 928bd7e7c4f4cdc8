// The faces without a socket: requests are values, and so are answers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/json.h"
#include "server/change_routes.h"
#include "server/device_routes.h"
#include "server/entity_routes.h"
#include "server/feed_routes.h"
#include "server/id_pool_routes.h"
#include "server/instance.h"
#include "server/operation_routes.h"
#include "server/overview_routes.h"
#include "server/queue_routes.h"
#include "server/record_routes.h"
#include "server/reply.h"
#include "server/router.h"
#include "server/sync_routes.h"
#include "server/upload_routes.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::http {

// Found by GoogleTest through the namespace.
inline void PrintTo(const Response& response, std::ostream* out) {
  *out << response.status << " " << response.body;
}

}  // namespace tidemark::http

namespace tidemark::server::test {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Every route of the faces.
inline std::vector<Route> FaceRoutes(const UploadRouteOptions& uploads = {},
                                     const FeedRouteOptions& feed = {}) {
  std::vector<Route> all;
  for (auto routes : {ChangeRoutes(),
                      RecordRoutes(),
                      EntityRoutes(),
                      UploadRoutes(uploads),
                      FeedRoutes(feed),
                      DeviceRoutes(),
                      IdPoolRoutes(),
                      QueueRoutes(),
                      SyncRoutes(),
                      OperationRoutes(),
                      OverviewRoutes({.pause = std::chrono::milliseconds(1),
                      .look = std::chrono::milliseconds(20)}),
                      PageRoutes()}) {
    all.insert(all.end(), routes.begin(), routes.end());
  }
  return all;
}

/// The value at a path of member names and array positions, as JSON; strings without quotes; "-"
/// when there is none.
inline std::string At(std::string_view json, const std::vector<std::string>& path) {
  JsonField here;
  here.type = json.starts_with('[') ? JsonType::kArray : JsonType::kObject;
  here.text = json;
  for (const std::string& step : path) {
    const bool is_array = here.type == JsonType::kArray;
    if (!is_array && here.type != JsonType::kObject) return "-";
    const auto members = is_array ? ReadJsonArray(here.text) : ReadJsonObject(here.text);
    if (!members.ok()) return "!" + members.status().ToString();
    std::optional<JsonField> found;
    for (size_t i = 0; i < members->size(); ++i) {
      if (is_array ? std::to_string(i) == step : (*members)[i].name == step) found = (*members)[i];
    }
    if (!found) return "-";
    here = *found;
  }
  return here.type == JsonType::kNull ? "null" : here.text;
}

inline std::vector<std::string> SplitAt(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// The parameters of a target without escapes.
inline Pairs QueryOf(std::string_view target) {
  Pairs query;
  const size_t question = target.find('?');
  if (question == std::string_view::npos) return query;
  for (const std::string& pair : SplitAt(target.substr(question + 1), '&')) {
    const size_t equals = std::min(pair.find('='), pair.size());
    query.emplace_back(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
  }
  return query;
}

/// Takes one answer, whenever it comes.
class Mailbox {
 public:
  http::Responder Responder() {
    return [state = state_](http::Response response) {
      const std::lock_guard lock(state->mutex);
      if (!state->response) state->response = std::move(response);
      state->arrived.notify_all();
    };
  }
  /// nullopt when none came in time.
  std::optional<http::Response> Wait(std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    std::unique_lock lock(state_->mutex);
    state_->arrived.wait_for(lock, timeout, [&] { return state_->response.has_value(); });
    return state_->response;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable arrived;
    std::optional<http::Response> response;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class FacesTest : public ::testing::Test {
 protected:
  explicit FacesTest(const UploadRouteOptions& uploads = {}, const FeedRouteOptions& feed = {})
      : router_(FaceRoutes(uploads, feed)) {
    Open();
  }
  void TearDown() override {
    if (instance_) instance_->waiters().Stop();
  }

  void Open() {
    StoreOptions options;
    options.durability = Durability::kOrder;
    auto instance = Instance::Open("default", directory_.path() / "default", options, nullptr);
    // Work that has answered may hold the one before for a moment, and closes it then.
    for (int i = 0; i < 20'000 && instance.status().code() == ErrorCode::kBusy; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      instance = Instance::Open("default", directory_.path() / "default", options, nullptr);
    }
    ASSERT_OK(instance);
    instance_ = std::move(instance).value();
  }
  void Reopen() {
    instance_->waiters().Stop();
    instance_.reset();
    Open();
  }

  /// `target` is a path without escapes, with a query.
  std::shared_ptr<Call> MakeCall(http::Method method,
                                 std::string_view target,
                                 std::string body,
                                 const Pairs& headers,
                                 const Route** route) {
    auto request = std::make_shared<http::Request>();
    request->id = "request-1";
    request->method = method;
    const size_t question = std::min(target.find('?'), target.size());
    request->path = target.substr(0, question);
    request->segments = SplitAt(request->path.substr(1), '/');
    request->query = QueryOf(target);
    for (const auto& [name, value] : headers) request->headers.Add(name, value);
    request->body = std::move(body);
    const RouteMatch match = router_.Find(method, request->segments);
    *route = match.route;
    auto call = std::make_shared<Call>();
    call->request = request;
    call->caller = caller_;
    call->instance = instance_;
    call->captures = match.captures;
    return call;
  }

  /// Does not wait for the answer.
  Mailbox Send(http::Method method,
               std::string_view target,
               std::string body = {},
               const Pairs& headers = {}) {
    Mailbox mailbox;
    const Route* route = nullptr;
    const auto call = MakeCall(method, target, std::move(body), headers, &route);
    EXPECT_NE(route, nullptr) << target;
    if (route != nullptr) route->action(call, mailbox.Responder());
    return mailbox;
  }

  http::Response Ask(http::Method method,
                     std::string_view target,
                     std::string body = {},
                     const Pairs& headers = {}) {
    auto response = Send(method, target, std::move(body), headers).Wait();
    EXPECT_TRUE(response.has_value()) << target;
    return response.value_or(http::Response());
  }
  http::Response Get(std::string_view target, const Pairs& headers = {}) {
    return Ask(http::Method::kGet, target, {}, headers);
  }
  http::Response Post(std::string_view target, std::string body = {}, const Pairs& headers = {}) {
    return Ask(http::Method::kPost, target, std::move(body), headers);
  }
  http::Response Put(std::string_view target, std::string body = {}, const Pairs& headers = {}) {
    return Ask(http::Method::kPut, target, std::move(body), headers);
  }
  http::Response Delete(std::string_view target, const Pairs& headers = {}) {
    return Ask(http::Method::kDelete, target, {}, headers);
  }

  static std::string Header(const http::Response& response, std::string_view name) {
    return std::string(response.headers.Find(name).value_or("-"));
  }
  static std::string Code(const http::Response& response) {
    return At(response.body, {"errors", "0", "error", "code"});
  }
  static std::string ErrorMember(const http::Response& response, const std::string& member) {
    return At(response.body, {"errors", "0", "error", member});
  }

  tidemark::test::TempDirectory directory_;
  Caller caller_;
  std::shared_ptr<Instance> instance_;
  Router router_;  // before the instance, so that finishes end first
};

/// `EXPECT_THAT(Get("/v1/..."), IsError(404, "not_found"));`
MATCHER_P2(IsError, status, code, "is an error in the full envelope") {
  return arg.status == status && !arg.body.empty() &&
         At(arg.body, {"errors", "0", "error", "code"}) == code &&
         At(arg.body, {"errors", "0", "error", "message"}) != "-" &&
         At(arg.body, {"meta", "logref"}) == "request-1";
}

MATCHER_P(HasStatus, status, "has the status") {
  return arg.status == status;
}

}  // namespace tidemark::server::test
