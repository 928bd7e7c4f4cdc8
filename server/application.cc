#include "server/application.h"

#include <chrono>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "format/json.h"
#include "server/data_root.h"
#include "server/reply.h"
#include "server/routes.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kNoRoute = "(none)";
constexpr std::string_view kUpkeepFailed = "upkeep_failed";

http::Response Unauthorized(const http::Request& request) {
  http::Response response =
      MakeError({.status = 401,
                 .code = "unauthorized",
                 .message = "send a valid token: Authorization: Bearer TOKEN"},
                request.id);
  response.headers.Add("WWW-Authenticate", "Bearer");
  return response;
}

http::Response NotFound(const http::Request& request) {
  return MakeError({.status = 404, .code = "not_found", .message = "there is nothing at this path"},
                   request.id);
}

http::Response WrongMethod(const http::Request& request, const std::string& allow) {
  http::Response response = MakeError(
      {.status = 405, .code = "method_not_allowed", .message = "this path allows " + allow},
      request.id);
  response.headers.Add("Allow", allow);
  return response;
}

http::Response TooOften(const http::Request& request, std::chrono::milliseconds wait) {
  http::Response response = MakeError(
      {.status = 429, .code = "rate_limited", .message = "this token asks too often"}, request.id);
  response.headers.Add("Retry-After", std::to_string((wait.count() + 999) / 1000));
  return response;
}

}  // namespace

Result<std::unique_ptr<Application>> Application::Open(ApplicationOptions options,
                                                       Executor executor) {
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(options.data));
  std::unique_ptr<Application> app(new Application(std::move(options)));
  TIDEMARK_ASSIGN_OR_RETURN(app->runtime_, Runtime::Create(app->options_.runtime));
  Clock& clock = app->runtime_->clock();
  TIDEMARK_ASSIGN_OR_RETURN(app->tokens_, Tokens::Open(app->options_.data, clock));
  app->limiter_ = std::make_unique<RateLimiter>(
      app->options_.requests_per_second, app->options_.request_burst, clock);
  InstancesOptions instances = app->options_.instances;
  instances.webhook.delivery.log = [application = app.get()](const std::string& line) {
    JsonWriter members;
    members.BeginObject().Key("what").String(line).EndObject();
    application->Log("delivery", members.text());
  };
  app->instances_ = std::make_unique<Instances>(
      app->options_.data, std::move(instances), app->runtime_, std::move(executor));
  std::vector<Route> routes = AllRoutes(app->metrics_);
  for (Route& route : app->HealthRoutes()) routes.push_back(std::move(route));
  app->router_ = std::make_unique<Router>(std::move(routes));
  return app;
}

Application::Application(ApplicationOptions options) : options_(std::move(options)) {}

Application::~Application() = default;

void Application::SetListenerStatistics(std::function<http::ListenerStatistics()> statistics) {
  listener_statistics_ = std::move(statistics);
}

void Application::Handle(std::shared_ptr<const http::Request> request, http::Responder respond) {
  const RouteMatch match = router_->Find(request->method, request->segments);
  const std::string_view route = match.route == nullptr ? kNoRoute : match.route->pattern;
  const http::Responder observed = Observed(request, route, std::move(respond));
  try {
    Dispatch(request, match, observed);
  } catch (const std::exception& failure) {
    JsonWriter members;
    members.BeginObject().Key("what").String(failure.what()).EndObject();
    Log("exception", members.text());
    observed(MakeError(Status(ErrorCode::kInternal, ""), request->id));
  }
}

void Application::Dispatch(const std::shared_ptr<const http::Request>& request,
                           const RouteMatch& match,
                           const http::Responder& respond) {
  if (match.route == nullptr) {
    respond(match.allow.empty() ? NotFound(*request) : WrongMethod(*request, match.allow));
    return;
  }
  auto call = std::make_shared<Call>();
  call->request = request;
  call->captures = match.captures;
  if (!match.route->open) {
    if (auto refusal = Admit(*request, match, &call->caller)) {
      respond(std::move(*refusal));
      return;
    }
    auto instance = instances_->Acquire(call->caller.instance);
    if (!instance.ok()) {
      respond(MakeError(instance.status(), request->id));
      return;
    }
    call->instance = std::move(*instance);
  }
  match.route->action(call, respond);
}

std::optional<http::Response> Application::Admit(const http::Request& request,
                                                 const RouteMatch& match,
                                                 Caller* caller) {
  std::optional<Caller> known = tokens_->Identify(request);
  if (!known) return Unauthorized(request);
  *caller = std::move(*known);
  if (!caller->token.empty()) {
    const auto wait = limiter_->Take(caller->token);
    if (wait.count() > 0) return TooOften(request, wait);
  }
  const auto instance = Router::CaptureIndex(*match.route, "instance");
  if (instance && match.captures[*instance] != caller->instance) return NotFound(request);
  if (caller->role < match.route->role) {
    return MakeError(
        {.status = 403,
         .code = "role",
         .message = "this call needs the role " + std::string(RoleName(match.route->role)) +
                    ", the token has " + std::string(RoleName(caller->role))},
        request.id);
  }
  return std::nullopt;
}

http::Response Application::Refuse(int status,
                                   std::string_view code,
                                   std::string_view message,
                                   std::string_view request_id) {
  metrics_.CountAnswer("(refused)", status, code);
  return MakeError({.status = status, .code = std::string(code), .message = std::string(message)},
                   request_id);
}

http::Responder Application::Observed(const std::shared_ptr<const http::Request>& request,
                                      std::string_view route,
                                      http::Responder respond) {
  const MonotonicTime begin = runtime_->clock().Now();
  return [this, request, route, begin, respond = std::move(respond)](http::Response response) {
    const auto code = response.headers.Find(kErrorHeader);
    metrics_.CountAnswer(route, response.status, code.value_or(""));
    if (options_.log && options_.log_requests) {
      const auto took =
          std::chrono::duration_cast<std::chrono::microseconds>(runtime_->clock().Now() - begin);
      JsonWriter members;
      members.BeginObject();
      members.Key("request_id").String(request->id);
      members.Key("method").String(http::MethodName(request->method));
      members.Key("route").String(route);
      members.Key("status").Integer(response.status);
      if (code) members.Key("code").String(*code);
      members.Key("milliseconds").Double(static_cast<double>(took.count()) / 1000.0);
      members.EndObject();
      Log("request", members.text());
    }
    respond(std::move(response));
  };
}

void Application::Log(std::string_view event, std::string_view members) {
  if (!options_.log) return;
  JsonWriter writer;
  writer.BeginObject().Key("time_ms").Integer(runtime_->clock().WallMilliseconds());
  writer.Key("event").String(event);
  if (!members.empty()) writer.Key("data").Raw(members);
  writer.EndObject();
  options_.log(writer.Take());
}

void Application::Upkeep() {
  if (Status status = tokens_->SaveUse(); !status.ok()) Log(kUpkeepFailed, "");
  for (const auto& instance : instances_->Open()) {
    if (!instance->source().Purge().ok()) Log(kUpkeepFailed, "");
  }
  instances_->CloseIdle();
}

void Application::BeginStop() {
  stopping_ = true;
  instances_->StopWaiting();
}

void Application::Close() {
  if (Status status = tokens_->SaveUse(); !status.ok()) Log(kUpkeepFailed, "");
  instances_->CloseAll();
}

std::vector<Route> Application::HealthRoutes() {
  std::vector<Route> routes;
  for (const http::Method method : {http::Method::kGet, http::Method::kHead}) {
    routes.push_back({.method = method,
                      .pattern = "/livez",
                      .action = Answer([](const Call& /*call*/) {
                        return DataReply(200, R"({"live":true})", "health");
                      }),
                      .open = true});
    routes.push_back({.method = method,
                      .pattern = "/readyz",
                      .action = Answer([this](const Call& call) { return Ready(call); }),
                      .open = true});
  }
  routes.push_back({.method = http::Method::kGet,
                    .pattern = "/metrics",
                    .action = Answer([this](const Call& call) { return MetricsText(call); }),
                    .open = true});
  return routes;
}

http::Response Application::Ready(const Call& call) const {
  if (stopping_) {
    return MakeError({.status = 503, .code = "not_ready", .message = "the server is stopping"},
                     call.request->id);
  }
  for (const auto& instance : instances_->Open()) {
    if (instance->store().Sync().ok()) continue;
    return MakeError({.status = 503,
                      .code = "not_ready",
                      .message = "an instance stopped writing: see the log of the server"},
                     call.request->id);
  }
  return DataReply(200, R"({"ready":true})", "health");
}

http::Response Application::MetricsText(const Call& call) {
  // Totals over all instances: for this machine, or for whoever administers one of them.
  if (!call.request->loopback) {
    const auto caller = tokens_->Identify(*call.request);
    if (!caller) return Unauthorized(*call.request);
    if (caller->role != Role::kAdmin) {
      return MakeError({.status = 403, .code = "role", .message = "metrics need the role admin"},
                       call.request->id);
    }
  }
  http::Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body =
      metrics_.Text(instances_->Open(),
                    listener_statistics_ ? listener_statistics_() : http::ListenerStatistics());
  return response;
}

}  // namespace tidemark::server
