#include "server/push_routes.h"

#include <optional>
#include <string>

#include "format/batch.h"
#include "server/push_json.h"
#include "server/reply.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kType = "push";

http::Response TakePush(const Call& call) {
  const std::string& body = call.request->body;
  const auto rows = BatchView::Parse(body, BatchKind::kPush);
  if (!rows.ok()) return Refuse(call, rows.status());
  if (auto refused = RefuseForeignDevice(call, rows->header().device)) return *std::move(refused);
  const Result<PushResult> push = call.instance->source().Push(body, call.caller.selection.get());
  if (!push.ok()) return Refuse(call, push.status());
  return DataReply(200, PushToJson(*push), kType);
}

http::Response ShowPush(const Call& call) {
  const Result<PushResult> push = call.instance->source().FindPush(call.captures[0]);
  if (!push.ok()) return Refuse(call, push.status());
  // What is not the caller's is not there.
  const bool limited = call.caller.selection != nullptr;
  if (RefuseForeignDevice(call, push->device).has_value() ||
      (limited && call.caller.device.empty())) {
    return NothingHere(call.request->id);
  }
  return DataReply(200, PushToJson(*push), kType);
}

}  // namespace

std::vector<Route> PushRoutes() {
  using http::Method;
  return {
      {.method = Method::kPost,
       .pattern = "/v1/push",
       .role = Role::kWriter,
       .action = Answer(TakePush),
       .for_devices = true},
      {.method = Method::kGet,
       .pattern = "/v1/push/{push}",
       .role = Role::kWriter,
       .action = Answer(ShowPush),
       .for_devices = true},
  };
}

}  // namespace tidemark::server
