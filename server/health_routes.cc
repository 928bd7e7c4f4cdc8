#include "server/health_routes.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/reply.h"

namespace tidemark::server {
namespace {

http::Response Live(const Call& /*call*/) {
  return DataReply(200, R"({"live":true})", "health");
}

http::Response Ready(const HealthSources& sources, const Call& call) {
  const std::string reason = sources.not_ready();
  if (reason.empty()) return DataReply(200, R"({"ready":true})", "health");
  return MakeError({.status = 503, .code = "not_ready", .message = reason}, call.request->id);
}

Route OpenRoute(http::Method method, std::string pattern, Action action) {
  return {
      .method = method, .pattern = std::move(pattern), .action = std::move(action), .open = true};
}

}  // namespace

std::vector<Route> HealthRoutes(HealthSources sources) {
  const auto shared = std::make_shared<const HealthSources>(std::move(sources));
  const Action ready = Answer([shared](const Call& call) { return Ready(*shared, call); });
  const Action metrics =
      Answer([shared](const Call& call) { return shared->metrics(*call.request); });
  std::vector<Route> routes;
  for (const http::Method method : {http::Method::kGet, http::Method::kHead}) {
    routes.push_back(OpenRoute(method, "/livez", Answer(Live)));
    routes.push_back(OpenRoute(method, "/readyz", ready));
  }
  routes.push_back(OpenRoute(http::Method::kGet, "/metrics", metrics));
  return routes;
}

}  // namespace tidemark::server
