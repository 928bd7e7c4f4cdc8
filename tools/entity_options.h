// Names of entity kinds, shared by the commands that declare entities.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "db/store.h"
#include "format/status.h"

namespace tidemark::tools {

std::string_view KindName(EntityKind kind);
/// "snapshot" or "incremental"; nullopt for the empty text.
std::optional<EntityKind> KindFromName(std::string_view name);

/// What an import says about its entity; empty means: as it is, or the default.
struct EntityExpectation {
  std::string kind;
  std::vector<std::string> id_fields;
};

/// An entity ready for an import.
struct PreparedEntity {
  EntityDeclaration declaration;
  bool declared_now = false;
};

class Remote;

/// Finds the entity's declaration, or declares it as `expected` when it is new and needs more than
/// the default. `kWrongKind` and `kConflict` when it exists and is otherwise.
Result<PreparedEntity> PrepareEntity(Store& store,
                                     const std::string& name,
                                     const EntityExpectation& expected);
/// The same at a server. A new entity is declared only when `expected` names id fields, for which
/// an administrator is needed; else the first write declares it.
Result<PreparedEntity> PrepareRemoteEntity(Remote& remote,
                                           const std::string& name,
                                           const EntityExpectation& expected);

}  // namespace tidemark::tools
