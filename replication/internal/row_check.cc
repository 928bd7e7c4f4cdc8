#include "replication/internal/row_check.h"

#include <algorithm>
#include <utility>

#include "replication/internal/timestamp.h"

namespace tidemark::internal {
namespace {

// Names of fields and values come from outside; messages stay short whatever they are.
constexpr size_t kShownBytesMax = 80;

std::string Shown(std::string_view text) {
  if (text.size() <= kShownBytesMax) return std::string(text);
  size_t end = kShownBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return std::string(text.substr(0, end)) + "...";
}

std::string Quoted(std::string_view text) {
  return std::string("'").append(Shown(text)).append("'");
}

RowFault Fault(std::string_view field, std::string_view code, std::string message) {
  return {std::string(field), std::string(code), std::move(message)};
}

bool IsAbsent(const std::optional<JsonField>& field) {
  return !field || field->type == JsonType::kNull;
}

std::string_view TypeName(FieldType type) {
  switch (type) {
    case FieldType::kAny:
      return "any value";
    case FieldType::kString:
      return "a string";
    case FieldType::kInteger:
      return "an integer";
    case FieldType::kNumber:
      return "a number";
    case FieldType::kBoolean:
      return "a boolean";
    case FieldType::kTimestamp:
      return "an ISO-8601 timestamp";
    case FieldType::kArray:
      return "an array";
    case FieldType::kObject:
      return "an object";
  }
  return "";
}

bool HasType(const JsonField& field, FieldType type) {
  switch (type) {
    case FieldType::kAny:
      return true;
    case FieldType::kString:
      return field.type == JsonType::kString;
    case FieldType::kInteger:
      return field.type == JsonType::kInteger;
    case FieldType::kNumber:
      return field.type == JsonType::kInteger || field.type == JsonType::kDouble;
    case FieldType::kBoolean:
      return field.type == JsonType::kBool;
    case FieldType::kTimestamp:
      return field.type == JsonType::kString;
    case FieldType::kArray:
      return field.type == JsonType::kArray;
    case FieldType::kObject:
      return field.type == JsonType::kObject;
  }
  return false;
}

bool IsAllowed(const JsonField& field, const std::vector<std::string>& allowed) {
  return allowed.empty() || std::find(allowed.begin(), allowed.end(), field.text) != allowed.end();
}

std::optional<RowFault> CheckField(const EntityField& declared,
                                   const std::optional<JsonField>& field) {
  if (IsAbsent(field)) {
    if (!declared.required) return std::nullopt;
    return Fault(declared.name, "required", Shown(declared.name) + " is required");
  }
  if (!HasType(*field, declared.type)) {
    return Fault(declared.name,
                 "type",
                 Shown(declared.name) + " must be " + std::string(TypeName(declared.type)));
  }
  if (declared.type == FieldType::kTimestamp && !IsIsoTimestamp(field->text)) {
    return Fault(declared.name, "timestamp", Quoted(field->text) + " is not an ISO-8601 timestamp");
  }
  if (!IsAllowed(*field, declared.allowed)) {
    return Fault(declared.name,
                 "not_allowed",
                 Quoted(field->text) + " is not an allowed value of " + Shown(declared.name));
  }
  return std::nullopt;
}

// Names the part of the value that no id can be made of.
RowFault IdFault(std::string_view field) {
  return Fault(field,
               "id",
               Shown(field) + " must be an integer, or a string of 1 to " +
                   std::to_string(kIdBytesMax) + " bytes without control characters");
}

}  // namespace

RowChecker::RowChecker(const EntityDeclaration& declaration)
    : declaration_(declaration), names_(declaration.id_fields) {
  for (const EntityField& field : declaration_.fields) names_.push_back(field.name);
}

CheckedRow RowChecker::Check(std::string_view json) const {
  CheckedRow row;
  Result<std::string> minified = MinifyJson(json);
  if (!minified.ok()) {
    row.fault = Fault("", "malformed_json", minified.status().message());
    return row;
  }
  row.value = std::move(minified).value();
  if (row.value.empty() || row.value.front() != '{') {
    row.fault = Fault("", "not_object", "a record is a JSON object");
    return row;
  }
  const Result<Fields> fields = ReadJsonFields(row.value, names_);
  if (!fields.ok()) {
    row.fault = Fault("", "malformed_json", fields.status().message());
    return row;
  }
  row.fault = ReadId(*fields, &row.id);
  if (!row.fault) row.fault = CheckFields(*fields);
  if (!row.fault && row.value.size() > kValueBytesMax) {
    row.fault = Fault("",
                      "too_large",
                      "the record has " + std::to_string(row.value.size()) + " bytes, more than " +
                          std::to_string(kValueBytesMax));
  }
  return row;
}

// An event may come without an id; a record of a snapshot may not.
std::optional<RowFault> RowChecker::ReadId(const Fields& fields,
                                           std::optional<RecordId>* id) const {
  const size_t parts = declaration_.id_fields.size();
  const bool optional = declaration_.kind == EntityKind::kIncremental;
  JsonWriter composite;
  composite.BeginArray();
  for (size_t i = 0; i < parts; ++i) {
    const std::string& name = declaration_.id_fields[i];
    if (IsAbsent(fields[i])) {
      if (optional) return std::nullopt;
      return Fault(name, "required", Shown(name) + " is required");
    }
    std::optional<RecordId> part = IdOfField(*fields[i]);
    if (!part) return IdFault(name);
    if (parts == 1) {
      *id = std::move(part);
      return std::nullopt;
    }
    if (part->form() == IdForm::kInteger) {
      composite.Raw(part->text());
    } else {
      composite.String(part->text());
    }
  }
  if (parts == 0) return std::nullopt;
  RecordId whole(composite.EndArray().text());
  if (!CheckRecordId(whole.text()).ok()) {
    return Fault(
        declaration_.id_fields.front(),
        "id",
        "the parts of the id together have more than " + std::to_string(kIdBytesMax) + " bytes");
  }
  *id = std::move(whole);
  return std::nullopt;
}

std::optional<RowFault> RowChecker::CheckFields(const Fields& fields) const {
  const size_t first = declaration_.id_fields.size();
  for (size_t i = 0; i < declaration_.fields.size(); ++i) {
    if (auto fault = CheckField(declaration_.fields[i], fields[first + i])) return fault;
  }
  return std::nullopt;
}

std::optional<RecordId> IdOfField(const JsonField& field) {
  if (field.type == JsonType::kInteger) return RecordId(field.integer);
  if (field.type != JsonType::kString || !CheckRecordId(field.text).ok()) return std::nullopt;
  return RecordId(field.text);
}

}  // namespace tidemark::internal
