#include "format/record_json.h"

#include <charconv>
#include <optional>
#include <utility>

#include "format/base64.h"

namespace tidemark {
namespace {

constexpr std::string_view kBase64Member = "$base64";

bool IsCanonicalInteger(std::string_view text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end && std::to_string(number) == text;
}

std::string QuoteJson(std::string_view text) {
  JsonWriter writer;
  writer.String(text);
  return writer.Take();
}

Status WrongIdType(std::string_view field) {
  return {ErrorCode::kInvalidArgument,
          "field \"" + std::string(field) + "\" must be a string or a 64-bit integer to be an id"};
}

}  // namespace

std::string IdToJson(std::string_view id, IdForm form) {
  return form == IdForm::kInteger ? std::string(id) : QuoteJson(id);
}

std::string ValueToJson(std::string_view value, ValueKind kind) {
  if (kind == ValueKind::kJson) return std::string(value);
  JsonWriter writer;
  writer.BeginObject().Key(kBase64Member).String(EncodeBase64(value)).EndObject();
  return writer.Take();
}

std::string FieldToJson(const JsonField& field) {
  switch (field.type) {
    case JsonType::kNull:
      return "null";
    case JsonType::kString:
      return QuoteJson(field.text);
    case JsonType::kBool:
      return field.boolean ? "true" : "false";
    case JsonType::kInteger:
    case JsonType::kDouble:
    case JsonType::kArray:
    case JsonType::kObject:
      return field.text;
  }
  return {};
}

Result<RecordId> IdFromField(const JsonField& field) {
  if (field.type == JsonType::kInteger) return RecordId(field.integer);
  if (field.type != JsonType::kString) return WrongIdType(field.name);
  if (Status status = CheckRecordId(field.text); !status.ok()) {
    return status.WithContext("field \"" + field.name + "\"");
  }
  return RecordId(field.text);
}

Result<TypedValue> ValueFromField(const JsonField& field) {
  if (field.type == JsonType::kObject && field.text.find(kBase64Member) != std::string::npos) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members, ReadJsonObject(field.text));
    if (members.size() == 1 && members[0].name == kBase64Member &&
        members[0].type == JsonType::kString) {
      Result<std::string> bytes = DecodeBase64(members[0].text);
      if (!bytes.ok()) return bytes.status().WithContext("field \"" + field.name + "\"");
      return TypedValue{.kind = ValueKind::kBytes, .bytes = std::move(*bytes)};
    }
  }
  return TypedValue{.kind = ValueKind::kJson, .bytes = FieldToJson(field)};
}

RecordId IdFromArgument(std::string_view text, bool as_text) {
  const bool integer = !as_text && IsCanonicalInteger(text);
  return {text, integer ? IdForm::kInteger : IdForm::kText};
}

Result<std::optional<RecordId>> IdOfObject(std::string_view object,
                                           const std::vector<std::string>& id_fields) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonFields(object, id_fields));
  std::string composite = "[";
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!fields[i] || fields[i]->type == JsonType::kNull) return std::optional<RecordId>();
    JsonField field = *fields[i];
    field.name = id_fields[i];
    if (fields.size() == 1) {
      TIDEMARK_ASSIGN_OR_RETURN(RecordId id, IdFromField(field));
      return std::optional<RecordId>(std::move(id));
    }
    if (field.type != JsonType::kString && field.type != JsonType::kInteger) {
      return WrongIdType(field.name);
    }
    if (i > 0) composite += ',';
    composite += FieldToJson(field);
  }
  composite += ']';
  TIDEMARK_RETURN_IF_ERROR(CheckRecordId(composite));
  return std::optional<RecordId>(RecordId(composite));
}

uint64_t JsonErrorColumn(const Status& status) {
  constexpr std::string_view kMarker = "JSON, byte ";
  const std::string& message = status.message();
  const size_t found = message.find(kMarker);
  if (found == std::string::npos) return 0;
  uint64_t offset = 0;
  const char* begin = message.data() + found + kMarker.size();
  const auto [stop, error] = std::from_chars(begin, message.data() + message.size(), offset);
  return error == std::errc() && stop != begin ? offset + 1 : 0;
}

}  // namespace tidemark
