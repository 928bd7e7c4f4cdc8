// A whole application without sockets: tokens, limits, routes, instances.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "db/runtime.h"
#include "server/application.h"
#include "server/token_file.h"
#include "tests/server/faces/fixture.h"

namespace tidemark::server::test {

/// Stands still until it is told.
class StandingClock final : public Clock {
 public:
  MonotonicTime Now() override { return now_; }
  int64_t WallMilliseconds() override { return 1'000'000; }
  void Advance(std::chrono::milliseconds time) { now_ += time; }

 private:
  MonotonicTime now_ = MonotonicTime(std::chrono::hours(1));
};

class ApplicationTest : public ::testing::Test {
 protected:
  void TearDown() override { Close(); }

  void Open(ApplicationOptions options = {}) {
    options.data = directory_.path();
    options.instances.store.durability = Durability::kOrder;
    options.runtime.clock = clock_;
    auto application = Application::Open(std::move(options));
    ASSERT_OK(application);
    application_ = std::move(*application);
  }
  void Close() {
    if (application_ == nullptr) return;
    application_->BeginStop();
    application_->Close();
    application_.reset();
  }

  std::string Token(Role role,
                    const std::string& device = {},
                    const std::string& instance = "default") {
    const auto made = CreateToken(directory_.path(),
                                  {.instance = instance, .role = role, .device = device},
                                  *SystemRandom(),
                                  *clock_);
    EXPECT_OK(made);
    token_ids_[made->token] = made->record.id;
    return made->token;
  }

  /// A reader's token with a selection.
  std::string LimitedToken(const std::string& selection, const std::string& device = {}) {
    const auto rule = SelectionRuleFromJson(selection);
    EXPECT_OK(rule);
    TokenGrant grant{.role = Role::kWriter, .device = device};
    if (rule.ok()) grant.selection = *rule;
    const auto made = CreateToken(directory_.path(), grant, *SystemRandom(), *clock_);
    EXPECT_OK(made);
    token_ids_[made->token] = made->record.id;
    return made->token;
  }

  /// Ends a token, as another process would.
  void Revoke(const std::string& token) {
    EXPECT_OK(RevokeToken(directory_.path(), token_ids_.at(token)));
  }

  /// Does not wait for the answer.
  Mailbox Send(http::Method method,
               std::string_view target,
               const std::string& token = {},
               std::string body = {},
               const Pairs& headers = {},
               const std::string& peer = "127.0.0.1") {
    auto request = std::make_shared<http::Request>();
    request->id = "request-1";
    request->method = method;
    request->path = target.substr(0, target.find('?'));
    request->segments = SplitAt(request->path.substr(1), '/');
    request->query = QueryOf(target);
    request->peer = peer;
    request->loopback = peer == "127.0.0.1";
    request->body = std::move(body);
    for (const auto& [name, value] : headers) request->headers.Add(name, value);
    if (!token.empty()) request->headers.Add("Authorization", "Bearer " + token);
    Mailbox mailbox;
    application_->Handle(request, mailbox.Responder());
    return mailbox;
  }
  http::Response Ask(http::Method method,
                     std::string_view target,
                     const std::string& token = {},
                     std::string body = {},
                     const Pairs& headers = {},
                     const std::string& peer = "127.0.0.1") {
    auto response = Send(method, target, token, std::move(body), headers, peer).Wait();
    EXPECT_TRUE(response.has_value()) << target;
    return response.value_or(http::Response());
  }
  http::Response Get(std::string_view target, const std::string& token = {}) {
    return Ask(http::Method::kGet, target, token);
  }
  http::Response Sell(http::Method method,
                      std::string_view target,
                      const std::string& token,
                      const std::string& device = "d1",
                      std::string body = {}) {
    return Ask(method, target, token, std::move(body), {{"X-Basecrm-Device-UUID", device}});
  }
  http::Response Write(const std::string& lines, const std::string& token = {}) {
    return Ask(http::Method::kPost, "/v1/changes", token, lines);
  }

  tidemark::test::TempDirectory directory_;
  std::shared_ptr<StandingClock> clock_ = std::make_shared<StandingClock>();
  std::map<std::string, std::string> token_ids_;
  std::unique_ptr<Application> application_;
};

}  // namespace tidemark::server::test
