#include "server/application.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "format/json.h"
#include "http/gzip.h"
#include "server/data_root.h"
#include "server/health_routes.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/routes.h"
#include "server/sync_operations.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kNoRoute = "(none)";

http::Response WrongMethod(const http::Request& request, const std::string& allow) {
  http::Response response = MakeError(
      {.status = 405, .code = "method_not_allowed", .message = "this path allows " + allow},
      request.id);
  response.headers.Add("Allow", allow);
  return response;
}

// Two fields that say who asks, or what a repeat means: a proxy before this server may have read
// the other one.
std::optional<http::Response> RefuseAmbiguity(const http::Request& request) {
  const auto refuse = [&](std::string_view field, std::string what) {
    return MakeError({.status = 400,
                      .code = "bad_request",
                      .message = std::move(what),
                      .field = std::string(field)},
                     request.id);
  };
  for (const std::string_view name :
       {"Authorization", "api-key", "X-Basecrm-Device-UUID", "Idempotency-Key"}) {
    if (request.headers.Count(name) > 1) {
      return refuse(name, "the header " + std::string(name) + " may be sent once only");
    }
  }
  if (request.headers.Count("Authorization") + request.headers.Count("api-key") > 1) {
    return refuse("api-key", "send the token either as Authorization or as api-key");
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<Application>> Application::Open(ApplicationOptions options,
                                                       Executor executor) {
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(options.data));
  std::unique_ptr<Application> app(new Application(std::move(options)));
  TIDEMARK_ASSIGN_OR_RETURN(app->runtime_, Runtime::Create(app->options_.runtime));
  Clock& clock = app->runtime_->clock();
  TIDEMARK_ASSIGN_OR_RETURN(ServingLock lock, ServingLock::Take(app->options_.data));
  app->serving_lock_.emplace(std::move(lock));
  TIDEMARK_ASSIGN_OR_RETURN(app->tokens_, Tokens::Open(app->options_.data, clock));
  app->admission_ = std::make_unique<Admission>(app->options_.admission, *app->tokens_, clock);
  InstancesOptions instances = app->options_.instances;
  instances.tell.delivery.log = app->LogLines("delivery");
  instances.store.log = app->LogLines("store");
  instances.traffic = &app->metrics_.traffic();
  app->instances_ = std::make_unique<Instances>(
      app->options_.data, std::move(instances), app->runtime_, std::move(executor));
  std::vector<Route> routes = AllRoutes();
  for (Route& route : app->OpenRoutes()) routes.push_back(std::move(route));
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
  auto call = std::make_shared<Call>();
  call->request = request;
  call->captures = match.captures;
  const http::Responder observed = Observed(call, route, std::move(respond));
  try {
    Dispatch(call, match, observed);
  } catch (const std::exception& failure) {
    LogFailure(request->id, failure.what());
    observed(MakeError(Status(ErrorCode::kInternal, ""), request->id));
  }
}

void Application::Dispatch(const std::shared_ptr<Call>& call,
                           const RouteMatch& match,
                           const http::Responder& respond) {
  const auto& request = call->request;
  if (auto refusal = RefuseAmbiguity(*request)) return respond(std::move(*refusal));
  if (auto refusal = admission_->RefuseForeignSite(*request)) return respond(std::move(*refusal));
  if (match.route == nullptr) {
    if (auto refusal = admission_->AdmitToNothing(*request)) return respond(std::move(*refusal));
    respond(match.allow.empty() ? NothingHere(request->id) : WrongMethod(*request, match.allow));
    return;
  }
  if (!match.route->open) {
    if (auto refusal = admission_->Admit(*request, match, &call->caller)) {
      respond(std::move(*refusal));
      return;
    }
    if (auto refusal = RefuseQuery(*request, *match.route)) return respond(std::move(*refusal));
    auto instance = instances_->Acquire(call->caller.instance);
    if (!instance.ok()) {
      respond(MakeError(instance.status(), request->id));
      return;
    }
    call->instance = std::move(*instance);
    call->admitted = [this, caller = call->caller] {
      return tokens_->StillGood(caller);
    };
  }
  match.route->action(call, respond);
}

http::Response Application::Refuse(int status,
                                   std::string_view code,
                                   std::string_view message,
                                   std::string_view request_id) {
  metrics_.traffic().CountAnswer("(refused)", status, code);
  return MakeError({.status = status, .code = std::string(code), .message = std::string(message)},
                   request_id);
}

http::Responder Application::Observed(const std::shared_ptr<Call>& call,
                                      std::string_view route,
                                      http::Responder respond) {
  const MonotonicTime begin = runtime_->clock().Now();
  const bool compress = http::AsksForGzip(call->request->headers);
  return [this, call, route, begin, compress, respond = std::move(respond)](
             http::Response response) {
    const auto code = response.headers.Find(kErrorHeader);
    Traffic& traffic = call->instance != nullptr ? call->instance->traffic() : metrics_.traffic();
    traffic.CountAnswer(route, response.status, code.value_or(""));
    const http::Request* request = call->request.get();
    if (!response.failure.empty()) LogFailure(request->id, response.failure);
    if (compress) http::Compress(&response);
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

void Application::LogFailure(std::string_view request_id, std::string_view what) {
  JsonWriter members;
  members.BeginObject().Key("request_id").String(request_id).Key("what").String(what).EndObject();
  Log("failure", members.text());
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

std::function<void(const std::string& line)> Application::LogLines(std::string_view event) {
  return [this, event](const std::string& line) {
    JsonWriter members;
    members.BeginObject().Key("what").String(line).EndObject();
    Log(event, members.text());
  };
}

void Application::NoteUpkeep(std::string_view of, const Status& status) {
  if (status.ok()) return;
  JsonWriter members;
  members.BeginObject().Key("of").String(of).Key("what").String(status.ToString()).EndObject();
  Log("upkeep_failed", members.text());
}

void Application::Upkeep() {
  NoteUpkeep("tokens", tokens_->SaveUse());
  for (const auto& instance : instances_->Open()) {
    NoteUpkeep(instance->name(), instance->source().Upkeep().status());
    instance->raw_pages().Forget();
  }
  instances_->CloseIdle();
  instances_->OpenUntold();
}

void Application::Watch() {
  const uint64_t tokens = tokens_->version();
  if (tokens_seen_.exchange(tokens) != tokens) instances_->WakeAll();
  for (const auto& instance : instances_->Open()) {
    instance->sync_operations().Expire();
    // One that is closed meanwhile interrupts its scopes by that.
    static_cast<void>(instance->tracker().InterruptIdleScopes(kSyncScopeIdleMax).ok());
  }
  instances_->ReopenFull();
}

void Application::BeginStop() {
  stopping_ = true;
  instances_->StopWaiting();
}

void Application::Close() {
  NoteUpkeep("tokens", tokens_->SaveUse());
  instances_->CloseAll();
}

std::vector<Route> Application::OpenRoutes() {
  HealthSources sources;
  sources.not_ready = [this] {
    return NotReady();
  };
  sources.metrics = [this](const http::Request& request) {
    return ShowMetrics(request);
  };
  return HealthRoutes(std::move(sources));
}

http::Response Application::ShowMetrics(const http::Request& request) {
  http::Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  Clock& clock = runtime_->clock();
  Caller caller;
  if (!options_.metrics_without_token) {
    if (auto refusal = admission_->AdmitAdministrator(request, &caller)) return *refusal;
  }
  // Who administers one instance learns nothing of the others. A caller without a name is this
  // machine, and there are no tokens.
  if (caller.token.empty()) {
    response.body =
        metrics_.Text(instances_->Open(),
                      listener_statistics_ ? listener_statistics_() : http::ListenerStatistics(),
                      clock);
  } else {
    response.body = metrics_.TextOf(instances_->Find(caller.instance), clock);
  }
  return response;
}

std::string Application::NotReady() const {
  if (stopping_) return "the server is stopping";
  // One tenant's trouble is no reason to send the others elsewhere.
  const auto open = instances_->Open();
  const bool all_stopped = std::none_of(open.begin(), open.end(), [](const auto& instance) {
    return instance->store().WritingState().ok();
  });
  if (open.empty() || !all_stopped) return {};
  return "writing has stopped: see the log of the server";
}

}  // namespace tidemark::server
