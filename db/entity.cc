// Declarations as JSON, both ways.

#include "db/entity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "format/json.h"

namespace tidemark {
namespace {

// Bounds of what one declaration may hold, so that a schema can be read and checked in one piece.
constexpr size_t kFieldsMax = 256;
constexpr size_t kFieldNameBytesMax = 256;
constexpr size_t kAllowedMax = 1000;
constexpr size_t kReferencesMax = 64;
constexpr size_t kIdFieldsMax = 8;
constexpr size_t kTypeLabelBytesMax = 128;

template <typename Value>
using Named = std::pair<Value, std::string_view>;

constexpr std::array<Named<EntityKind>, 2> kKindNames = {{
    {EntityKind::kSnapshot, "snapshot"},
    {EntityKind::kIncremental, "incremental"},
}};
constexpr std::array<Named<FieldType>, 8> kFieldTypeNames = {{
    {FieldType::kAny, "any"},
    {FieldType::kString, "string"},
    {FieldType::kInteger, "integer"},
    {FieldType::kNumber, "number"},
    {FieldType::kBoolean, "boolean"},
    {FieldType::kTimestamp, "timestamp"},
    {FieldType::kArray, "array"},
    {FieldType::kObject, "object"},
}};
constexpr std::array<Named<ReferencePolicy>, 3> kPolicyNames = {{
    {ReferencePolicy::kWarn, "warn"},
    {ReferencePolicy::kStrict, "strict"},
    {ReferencePolicy::kOff, "off"},
}};

constexpr std::array<Named<ConflictPolicy>, 4> kConflictNames = {{
    {ConflictPolicy::kReject, "reject"},
    {ConflictPolicy::kLastWriter, "last_writer"},
    {ConflictPolicy::kByField, "by_field"},
    {ConflictPolicy::kCallback, "callback"},
}};

template <typename Table, typename Value>
std::string_view NameIn(const Table& table, Value value) {
  for (const auto& [candidate, name] : table) {
    if (candidate == value) return name;
  }
  return {};
}

// Errors name the member as a path, such as `fields[2].type`.
Status Wrong(std::string_view path, std::string_view expected) {
  return {ErrorCode::kInvalidArgument,
          "declaration: " + std::string(path) + " must be " + std::string(expected)};
}

std::string Inside(std::string_view parent, std::string_view member) {
  return std::string(parent) + "." + std::string(member);
}

std::string Element(std::string_view parent, size_t index) {
  return std::string(parent) + "[" + std::to_string(index) + "]";
}

Status Unknown(std::string_view path) {
  return {ErrorCode::kInvalidArgument,
          "declaration: " + std::string(path) + " is not a member of a declaration"};
}

template <typename Table, typename Value>
Status ReadNamed(const JsonField& field, std::string_view path, const Table& table, Value* out) {
  std::string expected;
  for (const auto& [value, name] : table) {
    if (field.type == JsonType::kString && field.text == name) {
      *out = value;
      return {};
    }
    expected += (expected.empty() ? "" : ", ") + std::string(name);
  }
  return Wrong(path, "one of " + expected);
}

Status ReadText(const JsonField& field,
                std::string_view path,
                size_t bytes_min,
                size_t bytes_max,
                std::string* out) {
  if (field.type != JsonType::kString || field.text.size() < bytes_min ||
      field.text.size() > bytes_max) {
    return Wrong(
        path,
        "a string of " + std::to_string(bytes_min) + " to " + std::to_string(bytes_max) + " bytes");
  }
  *out = field.text;
  return {};
}

Status ReadFieldName(const JsonField& field, std::string_view path, std::string* out) {
  return ReadText(field, path, 1, kFieldNameBytesMax, out);
}

Status ReadBool(const JsonField& field, std::string_view path, bool* out) {
  if (field.type != JsonType::kBool) return Wrong(path, "true or false");
  *out = field.boolean;
  return {};
}

Status ReadShare(const JsonField& field, std::string_view path, double* out) {
  double share = -1;
  if (field.type == JsonType::kInteger || field.type == JsonType::kDouble) {
    const char* const end = field.text.data() + field.text.size();
    if (std::from_chars(field.text.data(), end, share).ec != std::errc{}) share = -1;
  }
  if (!(share >= 0 && share <= 1)) return Wrong(path, "a share from 0 to 1");
  *out = share;
  return {};
}

template <typename Integer>
Status ReadBound(const JsonField& field, std::string_view path, std::optional<Integer>* out) {
  if (field.type == JsonType::kNull) {
    out->reset();
    return {};
  }
  if (field.type != JsonType::kInteger || field.integer < 0) {
    return Wrong(path, "an integer that is not negative");
  }
  *out = static_cast<Integer>(field.integer);
  return {};
}

Result<std::vector<JsonField>> ReadArray(const JsonField& field,
                                         std::string_view path,
                                         size_t elements_max) {
  if (field.type != JsonType::kArray) return Wrong(path, "an array");
  TIDEMARK_ASSIGN_OR_RETURN(std::vector<JsonField> elements, ReadJsonArray(field.text));
  if (elements.size() > elements_max) {
    return Status(ErrorCode::kTooLarge,
                  "declaration: " + std::string(path) + " has more than " +
                      std::to_string(elements_max) + " elements");
  }
  return elements;
}

Result<std::vector<JsonField>> ReadObject(const JsonField& field, std::string_view path) {
  if (field.type != JsonType::kObject) return Wrong(path, "an object");
  return ReadJsonObject(field.text);
}

Status ReadIdFields(const JsonField& field, std::vector<std::string>* out) {
  out->clear();
  if (field.type == JsonType::kString) {
    return ReadFieldName(field, "id", &out->emplace_back());
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadArray(field, "id", kIdFieldsMax));
  for (size_t i = 0; i < elements.size(); ++i) {
    std::string name;
    TIDEMARK_RETURN_IF_ERROR(ReadFieldName(elements[i], Element("id", i), &name));
    if (std::find(out->begin(), out->end(), name) != out->end()) {
      return Wrong(Element("id", i), "a field not named before");
    }
    out->push_back(std::move(name));
  }
  return {};
}

// A value of an enumeration is compared as text: strings unescaped, numbers and booleans as
// written.
Status ReadAllowed(const JsonField& field, std::string_view path, std::vector<std::string>* out) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadArray(field, path, kAllowedMax));
  for (size_t i = 0; i < elements.size(); ++i) {
    const JsonType type = elements[i].type;
    if (type == JsonType::kNull || type == JsonType::kArray || type == JsonType::kObject) {
      return Wrong(Element(path, i), "a string, a number or a boolean");
    }
    out->push_back(elements[i].text);
  }
  return {};
}

Status ReadField(const JsonField& json, std::string_view path, EntityField* out) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadObject(json, path));
  for (const JsonField& member : members) {
    const std::string at = Inside(path, member.name);
    if (member.name == "name") {
      TIDEMARK_RETURN_IF_ERROR(ReadFieldName(member, at, &out->name));
    } else if (member.name == "type") {
      TIDEMARK_RETURN_IF_ERROR(ReadNamed(member, at, kFieldTypeNames, &out->type));
    } else if (member.name == "required") {
      TIDEMARK_RETURN_IF_ERROR(ReadBool(member, at, &out->required));
    } else if (member.name == "allowed") {
      TIDEMARK_RETURN_IF_ERROR(ReadAllowed(member, at, &out->allowed));
    } else {
      return Unknown(at);
    }
  }
  if (out->name.empty()) return Wrong(Inside(path, "name"), "given");
  return {};
}

Status ReadFields(const JsonField& json, std::vector<EntityField>* out) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadArray(json, "fields", kFieldsMax));
  for (size_t i = 0; i < elements.size(); ++i) {
    EntityField field;
    TIDEMARK_RETURN_IF_ERROR(ReadField(elements[i], Element("fields", i), &field));
    const bool repeated = std::any_of(out->begin(), out->end(), [&](const EntityField& other) {
      return other.name == field.name;
    });
    if (repeated) return Wrong(Element("fields", i) + ".name", "a field not named before");
    out->push_back(std::move(field));
  }
  return {};
}

Status ReadReference(const JsonField& json, std::string_view path, EntityReference* out) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadObject(json, path));
  for (const JsonField& member : members) {
    const std::string at = Inside(path, member.name);
    if (member.name == "field") {
      TIDEMARK_RETURN_IF_ERROR(ReadFieldName(member, at, &out->field));
    } else if (member.name == "entity") {
      if (member.type != JsonType::kString || !CheckName(member.text).ok()) {
        return Wrong(at, "the name of an entity");
      }
      out->entity = member.text;
    } else {
      return Unknown(at);
    }
  }
  if (out->field.empty()) return Wrong(Inside(path, "field"), "given");
  if (out->entity.empty()) return Wrong(Inside(path, "entity"), "given");
  return {};
}

Status ReadReferences(const JsonField& json, std::vector<EntityReference>* out) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadArray(json, "references", kReferencesMax));
  for (size_t i = 0; i < elements.size(); ++i) {
    TIDEMARK_RETURN_IF_ERROR(
        ReadReference(elements[i], Element("references", i), &out->emplace_back()));
  }
  return {};
}

Status ReadRetention(const JsonField& json, Retention* out) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadObject(json, "retention"));
  for (const JsonField& member : members) {
    const std::string at = Inside("retention", member.name);
    if (member.name == "age_ms") {
      TIDEMARK_RETURN_IF_ERROR(ReadBound(member, at, &out->age_ms));
    } else if (member.name == "count") {
      TIDEMARK_RETURN_IF_ERROR(ReadBound(member, at, &out->count));
    } else if (member.name == "bytes") {
      TIDEMARK_RETURN_IF_ERROR(ReadBound(member, at, &out->bytes));
    } else {
      return Unknown(at);
    }
  }
  return {};
}

// One key: a field, or a list of fields.
Status ReadKey(const JsonField& json, std::string_view path, EntityKey* out) {
  if (json.type == JsonType::kString) return ReadFieldName(json, path, &out->fields.emplace_back());
  TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadArray(json, path, kKeyFieldsMax));
  if (elements.empty()) return Wrong(path, "a field, or a list of fields");
  for (size_t i = 0; i < elements.size(); ++i) {
    std::string name;
    TIDEMARK_RETURN_IF_ERROR(ReadFieldName(elements[i], Element(path, i), &name));
    if (std::find(out->fields.begin(), out->fields.end(), name) != out->fields.end()) {
      return Wrong(Element(path, i), "a field not named before");
    }
    out->fields.push_back(std::move(name));
  }
  return {};
}

Status ReadKeys(const JsonField& json, std::vector<EntityKey>* out) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadArray(json, "keys", kEntityKeysMax));
  for (size_t i = 0; i < elements.size(); ++i) {
    EntityKey key;
    TIDEMARK_RETURN_IF_ERROR(ReadKey(elements[i], Element("keys", i), &key));
    if (std::find(out->begin(), out->end(), key) != out->end()) {
      return Wrong(Element("keys", i), "a key not named before");
    }
    out->push_back(std::move(key));
  }
  return {};
}

Status ReadMember(const JsonField& member, EntityDeclaration* out) {
  const std::string& name = member.name;
  if (name == "kind") return ReadNamed(member, name, kKindNames, &out->kind);
  if (name == "type") return ReadText(member, name, 0, kTypeLabelBytesMax, &out->type_label);
  if (name == "id") return ReadIdFields(member, &out->id_fields);
  if (name == "fields") return ReadFields(member, &out->fields);
  if (name == "references") return ReadReferences(member, &out->references);
  if (name == "reference_policy") {
    return ReadNamed(member, name, kPolicyNames, &out->reference_policy);
  }
  if (name == "dangling_share_max") return ReadShare(member, name, &out->dangling_share_max);
  if (name == "strict") return ReadBool(member, name, &out->strict);
  if (name == "delete_share_max") {
    if (member.type == JsonType::kNull) {
      out->delete_share_max.reset();
      return {};
    }
    return ReadShare(member, name, &out->delete_share_max.emplace());
  }
  if (name == "time_field") return ReadFieldName(member, name, &out->time_field);
  if (name == "retention") return ReadRetention(member, &out->retention);
  if (name == "conflicts") return ReadNamed(member, name, kConflictNames, &out->conflicts);
  if (name == "keys") return ReadKeys(member, &out->keys);
  return Unknown(name);
}

void WriteFields(const std::vector<EntityField>& fields, JsonWriter* writer) {
  writer->Key("fields").BeginArray();
  for (const EntityField& field : fields) {
    writer->BeginObject().Key("name").String(field.name);
    writer->Key("type").String(NameIn(kFieldTypeNames, field.type));
    writer->Key("required").Bool(field.required);
    if (!field.allowed.empty()) {
      writer->Key("allowed").BeginArray();
      for (const std::string& value : field.allowed) writer->String(value);
      writer->EndArray();
    }
    writer->EndObject();
  }
  writer->EndArray();
}

void WriteReferences(const std::vector<EntityReference>& references, JsonWriter* writer) {
  writer->Key("references").BeginArray();
  for (const EntityReference& reference : references) {
    writer->BeginObject().Key("field").String(reference.field);
    writer->Key("entity").String(reference.entity).EndObject();
  }
  writer->EndArray();
}

void WriteKeys(const std::vector<EntityKey>& keys, JsonWriter* writer) {
  if (keys.empty()) return;
  writer->Key("keys").BeginArray();
  for (const EntityKey& key : keys) {
    writer->BeginArray();
    for (const std::string& field : key.fields) writer->String(field);
    writer->EndArray();
  }
  writer->EndArray();
}

void WriteRetention(const Retention& retention, JsonWriter* writer) {
  if (retention == Retention{}) return;
  writer->Key("retention").BeginObject();
  if (retention.age_ms) writer->Key("age_ms").Integer(*retention.age_ms);
  if (retention.count) writer->Key("count").Unsigned(*retention.count);
  if (retention.bytes) writer->Key("bytes").Unsigned(*retention.bytes);
  writer->EndObject();
}

}  // namespace

std::string_view ConflictPolicyName(ConflictPolicy policy) {
  return NameIn(kConflictNames, policy);
}

std::optional<ConflictPolicy> ConflictPolicyNamed(std::string_view name) {
  for (const auto& [policy, known] : kConflictNames) {
    if (known == name) return policy;
  }
  return std::nullopt;
}

std::string DeclarationToJson(const EntityDeclaration& declaration) {
  JsonWriter writer;
  writer.BeginObject().Key("kind").String(NameIn(kKindNames, declaration.kind));
  if (!declaration.type_label.empty()) writer.Key("type").String(declaration.type_label);
  writer.Key("id").BeginArray();
  for (const std::string& field : declaration.id_fields) writer.String(field);
  writer.EndArray();
  WriteFields(declaration.fields, &writer);
  WriteReferences(declaration.references, &writer);
  writer.Key("reference_policy").String(NameIn(kPolicyNames, declaration.reference_policy));
  writer.Key("dangling_share_max").Double(declaration.dangling_share_max);
  writer.Key("strict").Bool(declaration.strict);
  if (declaration.delete_share_max) {
    writer.Key("delete_share_max").Double(*declaration.delete_share_max);
  }
  writer.Key("time_field").String(declaration.time_field);
  WriteRetention(declaration.retention, &writer);
  if (declaration.conflicts != ConflictPolicy::kReject) {
    writer.Key("conflicts").String(ConflictPolicyName(declaration.conflicts));
  }
  WriteKeys(declaration.keys, &writer);
  writer.EndObject();
  return writer.Take();
}

Result<EntityDeclaration> DeclarationFromJson(std::string_view json) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members, ReadJsonObject(json));
  EntityDeclaration declaration;
  for (const JsonField& member : members) {
    TIDEMARK_RETURN_IF_ERROR(ReadMember(member, &declaration));
  }
  if (declaration.id_fields.empty() && declaration.kind == EntityKind::kSnapshot) {
    return Wrong("id", "given for a snapshot entity: its records are told apart by it");
  }
  return declaration;
}

}  // namespace tidemark
