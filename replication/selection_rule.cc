#include "replication/selection_rule.h"

#include <algorithm>
#include <utility>

#include "format/json.h"
#include "format/record.h"

namespace tidemark {
namespace {

Status Wrong(std::string_view path, std::string_view expected) {
  return {ErrorCode::kInvalidArgument,
          "selection: " + std::string(path) + " must be " + std::string(expected)};
}

bool IsScalar(const JsonField& field) {
  return field.type != JsonType::kNull && field.type != JsonType::kArray &&
         field.type != JsonType::kObject;
}

// The field as JSON again.
std::string ScalarToJson(const JsonField& field) {
  if (field.type != JsonType::kString) return field.text;
  return JsonWriter().String(field.text).Take();
}

Status ReadValues(const JsonField& json, const std::string& path, std::vector<std::string>* out) {
  if (IsScalar(json)) {
    out->push_back(ScalarToJson(json));
    return {};
  }
  if (json.type != JsonType::kArray) return Wrong(path, "a value or an array of values");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> values, ReadJsonArray(json.text));
  if (values.empty()) return Wrong(path, "at least one value");
  for (const JsonField& value : values) {
    if (!IsScalar(value)) return Wrong(path, "strings, numbers or booleans");
    out->push_back(ScalarToJson(value));
  }
  return {};
}

Status ReadWhere(const JsonField& json, const std::string& path, Grant* out) {
  if (json.type != JsonType::kObject) return Wrong(path, "an object of fields and values");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(json.text));
  if (fields.empty() || fields.size() > kKeyFieldsMax) {
    return Wrong(path, "1 to " + std::to_string(kKeyFieldsMax) + " fields");
  }
  for (const JsonField& field : fields) {
    Grant::Field& read = out->where.emplace_back();
    read.name = field.name;
    TIDEMARK_RETURN_IF_ERROR(ReadValues(field, path + "." + field.name, &read.values));
  }
  return {};
}

Status ReadEntity(const JsonField& json, const std::string& path, Grant* out) {
  if (json.type != JsonType::kString) return Wrong(path, "the name of an entity");
  if (Status good = CheckName(json.text); !good.ok()) return good.WithContext("selection: " + path);
  out->entity = json.text;
  return {};
}

Status ReadGrant(const JsonField& json, const std::string& path, Grant* out) {
  if (json.type == JsonType::kString) return ReadEntity(json, path, out);
  if (json.type != JsonType::kObject) return Wrong(path, "the name of an entity or an object");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members, ReadJsonObject(json.text));
  for (const JsonField& member : members) {
    if (member.name == "entity") {
      TIDEMARK_RETURN_IF_ERROR(ReadEntity(member, path + ".entity", out));
    } else if (member.name == "where") {
      TIDEMARK_RETURN_IF_ERROR(ReadWhere(member, path + ".where", out));
    } else {
      return Wrong(path + "." + member.name, R"(left out: only "entity" and "where" are known)");
    }
  }
  if (out->entity.empty()) return Wrong(path + ".entity", "given");
  return {};
}

size_t CountPartsOf(const Grant& grant) {
  size_t parts = 1;
  for (const Grant::Field& field : grant.where) {
    parts = std::min(parts * field.values.size(), kSelectionPartsMax + 1);
  }
  return parts;
}

Status CheckSize(const SelectionRule& rule) {
  if (CountParts(rule) <= kSelectionPartsMax) return {};
  return {ErrorCode::kTooLarge,
          "selection: it has more than " + std::to_string(kSelectionPartsMax) + " parts"};
}

std::vector<std::string> FieldNames(const Grant& grant) {
  std::vector<std::string> names;
  for (const Grant::Field& field : grant.where) names.push_back(field.name);
  return names;
}

JsonField ParseScalar(const std::string& json) {
  auto parsed = ReadJsonArray("[" + json + "]");
  return parsed.ok() && parsed->size() == 1 ? std::move(parsed->front()) : JsonField();
}

// Adds the parts of every combination of the grant's values.
void AddParts(EntityNumber entity,
              const EntityKeys& keys,
              const Grant& grant,
              std::vector<Part>* parts) {
  const auto fields = keys.FindFields(FieldNames(grant));
  if (!fields.has_value()) return;
  std::vector<std::vector<JsonField>> combinations(1);
  for (const std::string& name : *fields) {
    const auto field = std::find_if(grant.where.begin(),
                                    grant.where.end(),
                                    [&](const Grant::Field& given) { return given.name == name; });
    std::vector<std::vector<JsonField>> longer;
    for (const std::string& value : field->values) {
      for (const std::vector<JsonField>& begun : combinations) {
        longer.push_back(begun);
        longer.back().push_back(ParseScalar(value));
      }
    }
    combinations = std::move(longer);
  }
  for (const std::vector<JsonField>& values : combinations) {
    if (const auto in = keys.Find(*fields, values)) parts->push_back(Part(entity, *in));
  }
}

}  // namespace

SelectionRule SelectionRule::Entities(const std::vector<std::string>& names) {
  SelectionRule rule{.everything = false};
  for (const std::string& name : names) rule.grants.push_back({.entity = name});
  return rule;
}

size_t CountParts(const SelectionRule& rule) {
  size_t parts = 0;
  for (const Grant& grant : rule.grants) parts += CountPartsOf(grant);
  return parts;
}

std::string SelectionRuleToJson(const SelectionRule& rule) {
  JsonWriter writer;
  writer.BeginObject();
  if (rule.everything) {
    writer.Key("everything").Bool(true);
    return writer.EndObject().Take();
  }
  writer.Key("entities").BeginArray();
  for (const Grant& grant : rule.grants) {
    if (grant.where.empty()) {
      writer.String(grant.entity);
      continue;
    }
    writer.BeginObject().Key("entity").String(grant.entity).Key("where").BeginObject();
    for (const Grant::Field& field : grant.where) {
      writer.Key(field.name).BeginArray();
      for (const std::string& value : field.values) writer.Raw(value);
      writer.EndArray();
    }
    writer.EndObject().EndObject();
  }
  return writer.EndArray().EndObject().Take();
}

Result<SelectionRule> SelectionRuleFromJson(std::string_view json) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members, ReadJsonObject(json));
  if (members.size() != 1) {
    return Status(ErrorCode::kInvalidArgument,
                  R"(selection: give either "entities" or "everything")");
  }
  const JsonField& member = members.front();
  if (member.name == "everything") {
    if (member.type != JsonType::kBool || !member.boolean) return Wrong(member.name, "true");
    return SelectionRule::Everything();
  }
  if (member.name != "entities") return Wrong(member.name, "\"entities\" or \"everything\"");
  if (member.type != JsonType::kArray) return Wrong(member.name, "an array");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> grants, ReadJsonArray(member.text));
  SelectionRule rule{.everything = false};
  for (size_t i = 0; i < grants.size(); ++i) {
    TIDEMARK_RETURN_IF_ERROR(
        ReadGrant(grants[i], "entities[" + std::to_string(i) + "]", &rule.grants.emplace_back()));
  }
  TIDEMARK_RETURN_IF_ERROR(CheckSize(rule));
  return rule;
}

Status CheckSelectionRule(const Store& store, const SelectionRule& rule) {
  TIDEMARK_RETURN_IF_ERROR(CheckSize(rule));
  for (const Grant& grant : rule.grants) {
    TIDEMARK_RETURN_IF_ERROR(CheckName(grant.entity));
    if (grant.where.empty()) continue;
    const auto info = store.FindEntity(grant.entity);
    if (info.has_value() && store.KeysOf(info->number).FindFields(FieldNames(grant)).has_value()) {
      continue;
    }
    std::string fields;
    for (const Grant::Field& field : grant.where) {
      fields += (fields.empty() ? "" : ", ") + field.name;
    }
    return {ErrorCode::kInvalidArgument,
            "selection: " + grant.entity + " has no key (" + fields +
                "); declare it among the entity's \"keys\" first"};
  }
  return {};
}

Selection Resolve(const Store& store, const SelectionRule& rule) {
  if (rule.everything) return Selection::Everything();
  std::vector<Part> parts;
  for (const Grant& grant : rule.grants) {
    const auto info = store.FindEntity(grant.entity);
    if (!info.has_value()) continue;
    if (grant.where.empty()) {
      parts.push_back(info->number);
    } else {
      AddParts(info->number, store.KeysOf(info->number), grant, &parts);
    }
  }
  return Selection::Of(parts);
}

}  // namespace tidemark
