#include "tools/entity_options.h"

#include <fmt/format.h>

#include "replication/built_in_schemas.h"
#include "tools/remote.h"

namespace tidemark::tools {
namespace {

// The schema that an instance starts with under this name, unless the user says otherwise.
EntityDeclaration BuiltInOr(std::string_view name,
                            std::optional<EntityKind> kind,
                            const std::vector<std::string>& id_fields) {
  for (const auto& [built_in, declaration] : BuiltInDeclarations()) {
    const bool same_kind = !kind || *kind == declaration.kind;
    const bool same_id = id_fields.empty() || id_fields == declaration.id_fields;
    if (built_in == name && same_kind && same_id) return declaration;
  }
  return {};
}

Status CheckExpected(const std::string& name,
                     const EntityDeclaration& declared,
                     const EntityExpectation& expected) {
  const std::optional<EntityKind> kind = KindFromName(expected.kind);
  if (kind && *kind != declared.kind) {
    return {ErrorCode::kWrongKind,
            fmt::format("{} is {}, not {}", name, KindName(declared.kind), expected.kind)};
  }
  if (!expected.id_fields.empty() && expected.id_fields != declared.id_fields) {
    return {ErrorCode::kConflict,
            fmt::format("{} is declared with id field {}, not {}; see `entities declare`",
                        name,
                        fmt::join(declared.id_fields, ","),
                        fmt::join(expected.id_fields, ","))};
  }
  return {};
}

}  // namespace

std::string_view KindName(EntityKind kind) {
  return kind == EntityKind::kSnapshot ? "snapshot" : "incremental";
}

std::optional<EntityKind> KindFromName(std::string_view name) {
  if (name == "snapshot") return EntityKind::kSnapshot;
  if (name == "incremental") return EntityKind::kIncremental;
  return {};
}

Result<PreparedEntity> PrepareEntity(Store& store,
                                     const std::string& name,
                                     const EntityExpectation& expected) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(name));
  const std::optional<EntityKind> kind = KindFromName(expected.kind);
  if (const std::optional<EntityInfo> entity = store.FindEntity(name)) {
    TIDEMARK_RETURN_IF_ERROR(CheckExpected(name, entity->declaration, expected));
    return PreparedEntity{.declaration = entity->declaration};
  }
  PreparedEntity prepared;
  prepared.declaration = BuiltInOr(name, kind, expected.id_fields);
  if (kind) prepared.declaration.kind = *kind;
  if (!expected.id_fields.empty()) prepared.declaration.id_fields = expected.id_fields;
  TIDEMARK_ASSIGN_OR_RETURN(const EntityInfo info, store.Declare(name, prepared.declaration));
  prepared.declaration = info.declaration;
  prepared.declared_now = true;
  return prepared;
}

Result<PreparedEntity> PrepareRemoteEntity(Remote& remote,
                                           const std::string& name,
                                           const EntityExpectation& expected) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(name));
  const std::string path = "/v1/entities/" + Escape(name);
  const Result<std::string> answer = remote.Ask(http::Method::kGet, path);
  PreparedEntity prepared;
  if (answer.ok()) {
    TIDEMARK_ASSIGN_OR_RETURN(prepared.declaration,
                              DeclarationFromJson(TextAt(*answer, {"data", "schema"})));
    TIDEMARK_RETURN_IF_ERROR(CheckExpected(name, prepared.declaration, expected));
    return prepared;
  }
  if (answer.status().code() != ErrorCode::kNotFound) return answer.status();
  prepared.declaration.kind = KindFromName(expected.kind).value_or(EntityKind::kSnapshot);
  if (expected.id_fields.empty()) return prepared;
  prepared.declaration.id_fields = expected.id_fields;
  TIDEMARK_RETURN_IF_ERROR(
      remote.Ask(http::Method::kPut, path, DeclarationToJson(prepared.declaration)).status());
  prepared.declared_now = true;
  return prepared;
}

}  // namespace tidemark::tools
