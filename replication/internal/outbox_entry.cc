#include "replication/internal/outbox_entry.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "format/base64.h"
#include "format/json.h"
#include "format/record_json.h"

namespace tidemark::internal {
namespace {

constexpr std::string_view kQueueName = "main";
constexpr std::string_view kPayloadKey = ",\"payload\":";
constexpr size_t kIdDigits = 20;

constexpr std::array<std::string_view, 3> kTypeNames = {"put", "delete", "append"};
constexpr std::array<std::string_view, 2> kStateNames = {"pending", "failed"};

Status Damaged(std::string_view what) {
  return {ErrorCode::kCorruption, "a row of the outbox is damaged: " + std::string(what)};
}

template <typename Names>
std::optional<size_t> IndexOf(const Names& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<size_t>(found - names.begin());
}

void WriteError(JsonWriter* writer, const OperationError& error) {
  writer->Key("error");
  if (error.code.empty()) {
    writer->Null();
    return;
  }
  writer->BeginObject().Key("code").String(error.code);
  if (!error.field.empty()) writer->Key("field").String(error.field);
  writer->Key("message").String(error.message);
  if (error.version != 0) writer->Key("version").Unsigned(error.version);
  if (error.current.has_value()) writer->Key("current").Raw(*error.current);
  writer->EndObject();
}

// The payload stands last, as it is: of a value nothing may change on its way.
std::string PayloadOf(const OutboxOperation& operation) {
  if (operation.op == WriteOp::kDelete) return "null";
  return ValueToJson(operation.value, operation.value_kind);
}

Status ReadPayload(std::string_view payload, OutboxOperation* operation) {
  if (operation->op == WriteOp::kDelete) return {};
  if (operation->value_kind == ValueKind::kJson) {
    operation->value = payload;
    return {};
  }
  const auto members = ReadJsonObject(payload);
  if (!members.ok() || members->size() != 1) return Damaged("payload");
  auto bytes = DecodeBase64(members->front().text);
  if (!bytes.ok()) return Damaged("payload");
  operation->value = *std::move(bytes);
  return {};
}

Status ReadError(const JsonField& field, OperationError* error) {
  if (field.type == JsonType::kNull) return {};
  const auto members = ReadJsonObject(field.text, kJsonDepthMax + 1);
  if (!members.ok()) return Damaged("error");
  for (const JsonField& member : *members) {
    if (member.name == "code") {
      error->code = member.text;
    } else if (member.name == "field") {
      error->field = member.text;
    } else if (member.name == "message") {
      error->message = member.text;
    } else if (member.name == "version") {
      error->version = static_cast<uint64_t>(member.integer);
    }
  }
  // `current` is for people; nothing here goes by it.
  return {};
}

Status ReadMember(const JsonField& member, OutboxOperation* operation) {
  const std::string& name = member.name;
  if (name == "id") {
    operation->number = std::strtoull(member.text.c_str(), nullptr, 10);
  } else if (name == "type") {
    const auto type = IndexOf(kTypeNames, member.text);
    if (!type.has_value()) return Damaged("type");
    operation->op = static_cast<WriteOp>(*type);
  } else if (name == "entity") {
    operation->entity = member.text;
  } else if (name == "record") {
    operation->id = member.type == JsonType::kInteger ? RecordId(member.text, IdForm::kInteger)
                                                      : RecordId(member.text);
  } else if (name == "state") {
    const auto state = IndexOf(kStateNames, member.text);
    if (!state.has_value()) return Damaged("state");
    operation->state = static_cast<OperationState>(*state);
  } else if (name == "attempts") {
    operation->attempts = static_cast<uint64_t>(member.integer);
  } else if (name == "createdAt") {
    operation->created_at = member.integer;
  } else if (name == "ifNewer") {
    operation->if_newer = member.integer;
  } else if (name == "changed") {
    operation->changed = member.text;
  } else if (name == "bytes") {
    operation->value_kind = member.boolean ? ValueKind::kBytes : ValueKind::kJson;
  } else if (name == "error") {
    return ReadError(member, &operation->error);
  }
  return {};
}

}  // namespace

std::string OperationId(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(kIdDigits - digits.size(), '0') + digits;
}

std::string EncodeOperation(const OutboxOperation& operation) {
  const std::string payload = PayloadOf(operation);
  JsonWriter writer;
  writer.BeginObject();
  writer.Key("id").String(OperationId(operation.number));
  writer.Key("queue").String(kQueueName);
  writer.Key("type").String(kTypeNames[static_cast<size_t>(operation.op)]);
  writer.Key("entity").String(operation.entity);
  writer.Key("record").Raw(IdToJson(operation.id.text(), operation.id.form()));
  writer.Key("state").String(kStateNames[static_cast<size_t>(operation.state)]);
  writer.Key("attempts").Unsigned(operation.attempts);
  writer.Key("createdAt").Integer(operation.created_at);
  if (operation.if_newer.has_value()) writer.Key("ifNewer").Integer(*operation.if_newer);
  if (operation.changed.has_value()) writer.Key("changed").Raw(*operation.changed);
  writer.Key("bytes").Bool(operation.value_kind != ValueKind::kJson);
  WriteError(&writer, operation.error);
  writer.Key("payloadBytes").Unsigned(payload.size());
  writer.Key("payload").Raw(payload);
  writer.EndObject();
  return writer.Take();
}

Result<OutboxOperation> DecodeOperation(std::string_view json) {
  // What stands before the payload tells how long it is, so that it is found without being read.
  OutboxOperation operation;
  const auto whole = ReadJsonFields(json, {"payloadBytes"});
  if (!whole.ok() || !whole->front().has_value()) return Damaged("payloadBytes");
  const auto size = static_cast<size_t>(whole->front()->integer);
  if (json.size() < size + kPayloadKey.size() + 2) return Damaged("payload");
  const size_t begin = json.size() - 1 - size;
  const std::string head(json.substr(0, begin - kPayloadKey.size()));
  const auto members = ReadJsonObject(head + "}", kJsonDepthMax + 2);
  if (!members.ok()) return Damaged(members.status().message());
  for (const JsonField& member : *members) {
    TIDEMARK_RETURN_IF_ERROR(ReadMember(member, &operation));
  }
  TIDEMARK_RETURN_IF_ERROR(ReadPayload(json.substr(begin, size), &operation));
  return operation;
}

}  // namespace tidemark::internal
