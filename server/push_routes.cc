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

/// The device that a push is of. The source checks all of it again; a batch that is none at all is
/// refused there, too.
std::optional<http::Response> RefuseForeign(const Call& call, std::string_view device) {
  if (call.caller.device.empty() || call.caller.device == device) return std::nullopt;
  return MakeError(
      {.status = 403, .code = "device", .message = "the token is bound to another device"},
      call.request->id);
}

http::Response TakePush(const Call& call) {
  const std::string& body = call.request->body;
  const auto rows = BatchView::Parse(body, BatchKind::kPush);
  if (!rows.ok()) return Refuse(call, rows.status());
  if (auto refusal = RefuseForeign(call, rows->header().device)) return std::move(*refusal);
  const Result<PushResult> push = call.instance->source().Push(body, call.caller.selection.get());
  if (!push.ok()) return Refuse(call, push.status());
  return DataReply(200, PushToJson(*push), kType);
}

http::Response ShowPush(const Call& call) {
  Result<PushResult> push = call.instance->source().FindPush(call.captures[0]);
  if (!push.ok()) return Refuse(call, push.status());
  // What is not the caller's is not there; nor are values that another token may have been granted.
  const bool limited = call.caller.selection != nullptr;
  if (RefuseForeign(call, push->device).has_value() || (limited && call.caller.device.empty())) {
    return NothingHere(call.request->id);
  }
  for (PushAnswer& answer : push->answers) {
    if (limited && answer.current.has_value()) answer.current->value.reset();
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
