#include "server/own_id.h"

#include <algorithm>
#include <utility>

#include "format/json.h"
#include "server/schemas.h"

namespace tidemark::server {
namespace {

using Fields = std::vector<std::optional<JsonField>>;

Status Contradiction(std::string_view field) {
  return {ErrorCode::kInvalidArgument,
          "field \"" + std::string(field) + "\" contradicts the id of the record"};
}

bool IsObject(const TypedValue& value) {
  return value.kind == ValueKind::kJson && value.bytes.starts_with('{');
}

// The parts of an id that is made of `count` fields; none when it is no array of so many.
std::vector<JsonField> PartsOf(std::string_view id, size_t count) {
  auto parts = ReadJsonArray(id);
  if (!parts.ok() || parts->size() != count) return {};
  return std::move(*parts);
}

Status CheckParts(const Fields& fields,
                  std::string_view id,
                  const std::vector<std::string>& id_fields) {
  const std::vector<JsonField> parts = PartsOf(id, id_fields.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!fields[i]) continue;
    const bool same =
        i < parts.size() && fields[i]->type == parts[i].type && fields[i]->text == parts[i].text;
    if (!same) return Contradiction(id_fields[i]);
  }
  return {};
}

// "ID~N": the store's name for a further event of the same id.
bool IsFurtherEvent(std::string_view id, std::string_view own) {
  if (!id.starts_with(own) || id.size() < own.size() + 2 || id[own.size()] != '~') return false;
  return id.find_first_not_of("0123456789", own.size() + 1) == std::string_view::npos;
}

}  // namespace

const std::vector<std::string>& IdFields::Of(std::string_view entity) {
  const auto known = known_.find(entity);
  if (known != known_.end()) return known->second;
  const std::optional<EntityInfo> info = FindDeclared(store_, entity);
  std::vector<std::string> fields =
      info ? info->declaration.id_fields : EntityDeclaration().id_fields;
  return known_.emplace(std::string(entity), std::move(fields)).first->second;
}

Result<std::optional<RecordId>> OwnIdOf(const TypedValue& value,
                                        std::string_view id,
                                        const std::vector<std::string>& id_fields) {
  if (!IsObject(value)) return std::optional<RecordId>();
  TIDEMARK_ASSIGN_OR_RETURN(const Fields fields, ReadJsonFields(value.bytes, id_fields));
  if (fields.size() != 1) {
    TIDEMARK_RETURN_IF_ERROR(CheckParts(fields, id, id_fields));
    return std::optional<RecordId>();
  }
  if (!fields[0]) return std::optional<RecordId>();
  if (fields[0]->type == JsonType::kNull) return Contradiction(id_fields[0]);
  TIDEMARK_ASSIGN_OR_RETURN(RecordId own, IdFromField(*fields[0]));
  if (own.text() != id) return Contradiction(id_fields[0]);
  return std::optional<RecordId>(std::move(own));
}

Result<std::optional<RecordId>> EventIdOf(const TypedValue& value,
                                          const std::optional<RecordId>& given,
                                          const std::vector<std::string>& id_fields) {
  if (!IsObject(value) || id_fields.empty()) return given;
  TIDEMARK_ASSIGN_OR_RETURN(std::optional<RecordId> own, IdOfObject(value.bytes, id_fields));
  if (!own || !given) return own ? own : given;
  if (IsFurtherEvent(given->text(), own->text())) return given;
  if (given->text() != own->text()) return Contradiction(id_fields.front());
  return own;
}

}  // namespace tidemark::server
