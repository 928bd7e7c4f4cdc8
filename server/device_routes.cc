#include "server/device_routes.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/json.h"
#include "format/record.h"
#include "replication/source.h"
#include "server/device_json.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/why_json.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kType = "device";

Source& SourceOf(const Call& call) {
  return call.instance->source();
}
const std::string& DeviceOf(const Call& call) {
  return call.captures[0];
}

// --- Reading ---

http::Response ListDevices(const Call& call) {
  const Result<uint64_t> limit = ReadLimit(*call.request);
  if (!limit.ok()) return Refuse(call, limit.status());
  const std::string after(call.request->Query("after").value_or(""));
  const SequenceNumber last = call.instance->store().last_sequence();
  JsonWriter list;
  list.BeginObject().Key("items").BeginArray();
  uint64_t count = 0;
  bool more = false;
  std::vector<DeviceInfo> devices = SourceOf(call).ListDevices();
  std::sort(devices.begin(), devices.end(), [](const DeviceInfo& a, const DeviceInfo& b) {
    return a.id < b.id;
  });
  for (const DeviceInfo& device : devices) {
    if (device.id <= after) continue;
    more = count == *limit;
    if (more) break;
    list.BeginObject().Key("data").Raw(DeviceToJson(device, last));
    list.Key("meta").BeginObject().Key("type").String(kType).EndObject().EndObject();
    ++count;
  }
  list.EndArray().Key("meta").BeginObject().Key("type").String("collection");
  list.Key("count").Unsigned(count).Key("more").Bool(more).EndObject().EndObject();
  return JsonReply(200, list.Take());
}

http::Response DeviceReply(const Call& call) {
  const Result<DeviceInfo> device = SourceOf(call).GetDevice(DeviceOf(call));
  if (!device.ok()) return Refuse(call, device.status());
  return DataReply(200, DeviceToJson(*device, call.instance->store().last_sequence()), kType);
}

http::Response ShowDevice(const Call& call) {
  if (auto refused = RefuseForeignDevice(call, DeviceOf(call))) return std::move(*refused);
  if (call.caller.is_for_devices() && call.caller.device.empty()) {
    return MakeError(
        {.status = 403, .code = "device", .message = "a token with a selection shows no devices"},
        call.request->id);
  }
  return DeviceReply(call);
}

http::Response ExplainRecord(const Call& call) {
  const std::string entity(call.request->Query("entity").value_or(""));
  const std::string record(call.request->Query("record").value_or(""));
  for (const auto& [name, value] : {std::pair{"entity", &entity}, std::pair{"record", &record}}) {
    if (value->empty()) {
      return Refuse(call,
                    {ErrorCode::kInvalidArgument, "the query needs " + std::string(name) + "="});
    }
  }
  const auto explanation = SourceOf(call).Explain(DeviceOf(call), entity, record);
  if (!explanation.ok()) return Refuse(call, explanation.status());
  return DataReply(200, ExplanationToJson(*explanation), "explanation");
}

// --- Changing ---

http::Response SelectParts(const Call& call) {
  const Result<SelectionRule> rule = SelectionRuleFromJson(call.request->body);
  if (!rule.ok()) return Refuse(call, rule.status());
  const Status selected = SourceOf(call).Select(DeviceOf(call), *rule);
  if (!selected.ok()) return Refuse(call, selected);
  call.instance->waiters().WakeAll();
  return DeviceReply(call);
}

http::Response ResetDevice(const Call& call) {
  const Status reset = SourceOf(call).Reset(DeviceOf(call));
  if (!reset.ok()) return Refuse(call, reset);
  call.instance->waiters().WakeAll();
  return DeviceReply(call);
}

http::Response ForgetDevice(const Call& call) {
  const Status forgotten = SourceOf(call).Forget(DeviceOf(call));
  if (!forgotten.ok()) return Refuse(call, forgotten);
  // What it alone held back is released now; a failure leaves that to the next pass.
  (void)SourceOf(call).Purge();
  return DeviceReply(call);
}

}  // namespace

std::vector<Route> DeviceRoutes() {
  using http::Method;
  const std::string device = "/v1/devices/{id}";
  return {
      Reading({"after", "limit"},
              {Method::kGet, "/v1/devices", Role::kReader, Answer(ListDevices)}),
      {.method = Method::kGet,
       .pattern = device,
       .role = Role::kReader,
       .action = Answer(ShowDevice),
       .for_devices = true},
      Reading({"entity", "record"},
              {Method::kGet, device + "/why", Role::kReader, Answer(ExplainRecord)}),
      {Method::kDelete, device, Role::kAdmin, Answer(ForgetDevice)},
      {Method::kPut, device + "/selection", Role::kAdmin, Answer(SelectParts)},
      {Method::kPost, device + "/reset", Role::kAdmin, Answer(ResetDevice)},
  };
}

}  // namespace tidemark::server
