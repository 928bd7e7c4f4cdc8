#include "tools/entity_options.h"

#include <fmt/format.h>

#include "replication/built_in_schemas.h"

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
    const EntityDeclaration& declared = entity->declaration;
    if (kind && *kind != declared.kind) {
      return Status(ErrorCode::kWrongKind,
                    fmt::format("{} is {}, not {}", name, KindName(declared.kind), expected.kind));
    }
    if (!expected.id_fields.empty() && expected.id_fields != declared.id_fields) {
      return Status(ErrorCode::kConflict,
                    fmt::format("{} is declared with id field {}, not {}; see `entities declare`",
                                name,
                                fmt::join(declared.id_fields, ","),
                                fmt::join(expected.id_fields, ",")));
    }
    return PreparedEntity{.declaration = declared};
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

}  // namespace tidemark::tools
