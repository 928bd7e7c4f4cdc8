// Entities as the faces see them: those of the store, and the built-in schemas that every instance
// starts with. A built-in one is written into the store when it is first used.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/status.h"

namespace tidemark::server {

/// The entity as it stands; one that only a built-in schema knows is empty.
std::optional<EntityInfo> FindDeclared(const Store& store, std::string_view entity);
/// All of them, by name.
std::vector<EntityInfo> ListDeclared(const Store& store);
/// Before the first write to `entity`: declares it if a built-in schema knows it.
Status DeclareBuiltIn(Store& store, std::string_view entity);

/// What devices and answers call a record of it.
std::string TypeLabel(const Store& store, std::string_view entity);

/// `{"name":...,"kind":...,"type":...,"records":...,"schema":{...}}`
std::string EntityToJson(const EntityInfo& entity);
/// `{"entity_name":...,"kind":...,"id":[...],"fields":[...],...}`
std::string SchemaToJson(const EntityInfo& entity);

}  // namespace tidemark::server
