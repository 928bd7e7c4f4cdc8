#include "server/device_json.h"

#include "format/json.h"

namespace tidemark::server {

std::string DeviceToJson(const DeviceInfo& device, SequenceNumber last) {
  JsonWriter writer;
  writer.BeginObject().Key("id").String(device.id);
  writer.Key("marks").BeginObject().Key("floor").Unsigned(device.floor.value());
  writer.Key("sessions").Unsigned(device.sessions);
  writer.Key("unacknowledged").Unsigned(device.unacknowledged).EndObject();
  // What is new to nobody, such as the rows that the engine keeps for itself, is no lag.
  writer.Key("lag").Unsigned(device.owed > 0 && device.floor < last ? last - device.floor : 0);
  writer.Key("owed").Unsigned(device.owed);
  writer.Key("holding").Unsigned(device.holding);
  writer.Key("at_rest").Bool(device.at_rest);
  writer.Key("session_open").Bool(device.session_open);
  writer.Key("reset_pending").Bool(device.reset_pending);
  writer.Key("forgotten").Bool(device.forgotten);
  writer.Key("selection").Raw(SelectionRuleToJson(device.rule));
  writer.Key("token_selection");
  device.limit.has_value() ? writer.Raw(SelectionRuleToJson(*device.limit)) : writer.Null();
  writer.EndObject();
  return writer.Take();
}

}  // namespace tidemark::server
