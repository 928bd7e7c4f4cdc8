#include "server/change_line.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/json.h"
#include "format/record.h"
#include "format/record_json.h"

namespace tidemark::server {
namespace {

struct ChangeLine {
  std::string op = "put";
  std::optional<std::string> entity;
  std::optional<RecordId> id;
  std::optional<TypedValue> data;
  WriteCondition condition;
  bool conditional = false;
};

Status FieldError(std::string_view field, std::string_view what) {
  return {ErrorCode::kInvalidArgument, "field \"" + std::string(field) + "\" " + std::string(what)};
}

Status ReadCondition(const JsonField& field, ChangeLine& change) {
  change.conditional = true;
  if (field.name == "if_absent") {
    if (field.type != JsonType::kBool) return FieldError(field.name, "must be true or false");
    change.condition.if_absent = field.boolean;
    return {};
  }
  if (field.type != JsonType::kInteger) return FieldError(field.name, "must be an integer");
  if (field.name == "if_newer") {
    change.condition.if_newer = field.integer;
    return {};
  }
  if (field.integer < 0) return FieldError(field.name, "must not be negative");
  change.condition.if_version = SequenceNumber(static_cast<uint64_t>(field.integer));
  return {};
}

Status ReadMember(const JsonField& field, ChangeLine& change) {
  if (field.name == "op" || field.name == "entity") {
    if (field.type != JsonType::kString) return FieldError(field.name, "must be a string");
    if (field.name == "op") {
      change.op = field.text;
    } else {
      change.entity = field.text;
    }
    return {};
  }
  if (field.name == "id") {
    if (field.type == JsonType::kNull) return {};
    TIDEMARK_ASSIGN_OR_RETURN(change.id, IdFromField(field));
    return {};
  }
  if (field.name == "data") {
    TIDEMARK_ASSIGN_OR_RETURN(change.data, ValueFromField(field));
    return {};
  }
  if (field.name == "if_absent" || field.name == "if_version" || field.name == "if_newer") {
    return ReadCondition(field, change);
  }
  if (field.name == "sequence" || field.name == "version" || field.name == "cursor") return {};
  return FieldError(field.name, "is not known");
}

Status CheckMembers(const ChangeLine& change) {
  if (change.op != "put" && change.op != "delete" && change.op != "append") {
    return FieldError("op", "must be put, delete or append");
  }
  if (!change.entity) return FieldError("entity", "is missing");
  if (Status status = CheckName(*change.entity); !status.ok()) {
    return status.WithContext("field \"entity\"");
  }
  if (!change.id && change.op != "append") return FieldError("id", "is missing");
  if (!change.data && change.op != "delete") return FieldError("data", "is missing");
  // `log tail` prints null for the data of a deletion.
  const bool has_data = change.data && change.data->bytes != "null";
  if (has_data && change.op == "delete") return FieldError("data", "has no place in a delete");
  if (change.conditional && change.op == "append") {
    return FieldError("op", "append takes no condition");
  }
  if (change.condition.if_absent && change.op == "delete") {
    return FieldError("if_absent", "has no place in a delete");
  }
  if (change.data && change.data->bytes.size() > kValueBytesMax) {
    return {ErrorCode::kTooLarge,
            "field \"data\" has " + std::to_string(change.data->bytes.size()) +
                " bytes, the limit is " + std::to_string(kValueBytesMax)};
  }
  return {};
}

}  // namespace

Status AddChangeLine(std::string_view line, IdFields& id_fields, WriteBatch& batch) {
  // The data stands in the line.
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members,
                            ReadJsonObject(line, kJsonDepthMax + 1));
  ChangeLine change;
  for (const JsonField& field : members) TIDEMARK_RETURN_IF_ERROR(ReadMember(field, change));
  TIDEMARK_RETURN_IF_ERROR(CheckMembers(change));

  if (change.op == "delete") {
    batch.Delete(*change.entity, *change.id, change.condition);
    return {};
  }
  const std::vector<std::string>& names = id_fields.Of(*change.entity);
  if (change.op == "put") {
    TIDEMARK_ASSIGN_OR_RETURN(const auto own, OwnIdOf(*change.data, change.id->text(), names));
    batch.Put(*change.entity,
              own ? *own : *change.id,
              change.data->bytes,
              change.data->kind,
              change.condition);
    return {};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto id, EventIdOf(*change.data, change.id, names));
  if (id) {
    batch.Append(*change.entity, *id, change.data->bytes, change.data->kind);
  } else {
    batch.Append(*change.entity, change.data->bytes, change.data->kind);
  }
  return {};
}

}  // namespace tidemark::server
