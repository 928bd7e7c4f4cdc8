#include "server/schemas.h"

#include <algorithm>
#include <utility>

#include "format/json.h"
#include "replication/built_in_schemas.h"

namespace tidemark::server {
namespace {

const EntityDeclaration* FindBuiltIn(std::string_view entity) {
  const auto& all = BuiltInDeclarations();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.first == entity; });
  return found == all.end() ? nullptr : &found->second;
}

EntityInfo Undeclared(std::string_view name, const EntityDeclaration& declaration) {
  EntityInfo info;
  info.name = name;
  info.declaration = declaration;
  info.declaration.type_label = name;  // as the store would have it
  return info;
}

std::string LabelOf(const EntityInfo& entity) {
  const std::string& label = entity.declaration.type_label;
  return label.empty() ? entity.name : label;
}

std::string_view KindName(EntityKind kind) {
  return kind == EntityKind::kSnapshot ? "snapshot" : "incremental";
}

}  // namespace

std::optional<EntityInfo> FindDeclared(const Store& store, std::string_view entity) {
  std::optional<EntityInfo> info = store.FindEntity(entity);
  if (info) return info;
  const EntityDeclaration* built_in = FindBuiltIn(entity);
  if (built_in == nullptr) return std::nullopt;
  return Undeclared(entity, *built_in);
}

std::vector<EntityInfo> ListDeclared(const Store& store) {
  std::vector<EntityInfo> entities = store.ListEntities();
  const auto by_name = [](const EntityInfo& a, const EntityInfo& b) {
    return a.name < b.name;
  };
  for (const auto& [name, declaration] : BuiltInDeclarations()) {
    EntityInfo built_in = Undeclared(name, declaration);
    const auto place = std::lower_bound(entities.begin(), entities.end(), built_in, by_name);
    if (place == entities.end() || place->name != name) entities.insert(place, std::move(built_in));
  }
  return entities;
}

Status DeclareBuiltIn(Store& store, std::string_view entity) {
  const EntityDeclaration* built_in = FindBuiltIn(entity);
  if (built_in == nullptr || store.FindEntity(entity)) return {};
  return store.Declare(entity, *built_in).status();
}

std::string TypeLabel(const Store& store, std::string_view entity) {
  const std::optional<EntityInfo> info = FindDeclared(store, entity);
  return info ? LabelOf(*info) : std::string(entity);
}

std::string EntityToJson(const EntityInfo& entity) {
  JsonWriter writer;
  writer.BeginObject().Key("name").String(entity.name);
  writer.Key("kind").String(KindName(entity.declaration.kind));
  writer.Key("type").String(LabelOf(entity));
  writer.Key("records").Unsigned(entity.record_count);
  writer.Key("deletions").Unsigned(entity.tombstone_count);
  writer.Key("generation").Unsigned(entity.generation);
  if (!entity.declaration.keys.empty()) {
    writer.Key("keys_indexed_through").Unsigned(entity.keys_indexed_through.value());
  }
  if (entity.declaration.kind == EntityKind::kIncremental) {
    writer.Key("trimmed").Unsigned(entity.trimmed_count);
    writer.Key("trimmed_through").Unsigned(entity.trimmed_through.value());
  }
  writer.Key("schema").Raw(DeclarationToJson(entity.declaration)).EndObject();
  return writer.Take();
}

std::string SchemaToJson(const EntityInfo& entity) {
  JsonWriter name;
  name.String(entity.name);
  // The declaration is an object that has members.
  return "{\"entity_name\":" + name.text() + "," + DeclarationToJson(entity.declaration).substr(1);
}

}  // namespace tidemark::server
