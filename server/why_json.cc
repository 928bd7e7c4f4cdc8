#include "server/why_json.h"

#include "format/json.h"

namespace tidemark::server {

std::string ExplanationToJson(const DeliveryExplanation& explanation) {
  JsonWriter writer;
  writer.BeginObject().Key("device").String(explanation.device);
  writer.Key("entity").String(explanation.entity);
  writer.Key("record").String(explanation.id);
  writer.Key("state").String(ToString(explanation.state));
  writer.Key("live").Bool(explanation.live);
  writer.Key("version").Unsigned(explanation.version.value());
  writer.Key("birth").Unsigned(explanation.birth.value());
  writer.Key("selected").Bool(explanation.selected);
  writer.Key("held").Bool(explanation.held);
  writer.Key("acknowledged").Bool(explanation.acknowledged);
  writer.Key("next");
  if (explanation.next.empty()) {
    writer.Null();
  } else {
    writer.String(explanation.next);
  }
  writer.Key("unconfirmed").BeginArray();
  for (const UnconfirmedInstruction& instruction : explanation.unconfirmed) {
    writer.BeginObject().Key("session").Unsigned(instruction.session);
    writer.Key("page").Unsigned(instruction.page);
    writer.Key("label").String(instruction.label);
    writer.Key("version").Unsigned(instruction.version.value()).EndObject();
  }
  writer.EndArray().Key("reasons").BeginArray();
  for (const std::string& reason : explanation.reasons) writer.String(reason);
  writer.EndArray().EndObject();
  return writer.Take();
}

}  // namespace tidemark::server
