#include "server/health_routes.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/reply.h"

namespace tidemark::server {
namespace {

// For a person who opens the address in a browser. Says nothing that a stranger may not know.
constexpr std::string_view kFrontPage =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tidemark</title>"
    "<h1>Tidemark</h1><p>This server syncs records with devices. Its calls are described in "
    "docs/http_api.md and docs/openapi.json of its sources.</p>"
    "<ul><li><a href=\"/livez\">Does it live?</a></li>"
    "<li><a href=\"/readyz\">Is it ready for work?</a></li>"
    "<li><a href=\"/metrics\">What it counts</a>, for administrators</li></ul></html>\n";

http::Response FrontPage(const Call& /*call*/) {
  http::Response response;
  response.content_type = "text/html; charset=utf-8";
  response.headers.Add("Content-Security-Policy", "default-src 'none'");
  response.body = kFrontPage;
  return response;
}

http::Response Live(const Call& /*call*/) {
  return DataReply(200, R"({"live":true})", "health");
}

http::Response Ready(const HealthSources& sources, const Call& call) {
  const std::string reason = sources.not_ready();
  if (reason.empty()) return DataReply(200, R"({"ready":true})", "health");
  return MakeError({.status = 503, .code = "not_ready", .message = reason}, call.request->id);
}

http::Response MetricsText(const HealthSources& sources, const Call& call) {
  if (auto refusal = sources.admit_to_metrics(*call.request)) return std::move(*refusal);
  http::Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = sources.metrics();
  return response;
}

Route OpenRoute(http::Method method, std::string pattern, Action action) {
  return {
      .method = method, .pattern = std::move(pattern), .action = std::move(action), .open = true};
}

}  // namespace

std::vector<Route> HealthRoutes(HealthSources sources) {
  const auto shared = std::make_shared<const HealthSources>(std::move(sources));
  const Action ready = Answer([shared](const Call& call) { return Ready(*shared, call); });
  const Action metrics = Answer([shared](const Call& call) { return MetricsText(*shared, call); });
  std::vector<Route> routes;
  for (const http::Method method : {http::Method::kGet, http::Method::kHead}) {
    routes.push_back(OpenRoute(method, "/livez", Answer(Live)));
    routes.push_back(OpenRoute(method, "/readyz", ready));
  }
  routes.push_back(OpenRoute(http::Method::kGet, "/metrics", metrics));
  routes.push_back(OpenRoute(http::Method::kGet, "/", Answer(FrontPage)));
  return routes;
}

}  // namespace tidemark::server
