#include "server/entity_routes.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "format/json.h"
#include "format/record_json.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/schemas.h"

namespace tidemark::server {
namespace {

const std::string& NameOf(const Call& call) {
  return call.captures[0];
}

Status NoEntity(const std::string& name) {
  return {ErrorCode::kNotFound, "there is no entity \"" + name + "\""};
}

using ToJson = std::string (*)(const EntityInfo& entity);

http::Response List(const Call& call, ToJson to_json, std::string_view type) {
  // There are fewer than that: who does not ask for less gets all.
  const Result<uint64_t> limit =
      ReadNumber(*call.request, "limit", kListLimitMax, 1, kListLimitMax);
  if (!limit.ok()) return Refuse(call, limit.status());
  const std::string_view after = call.request->Query("after").value_or("");
  uint64_t count = 0;
  bool more = false;
  JsonWriter list;
  list.BeginObject().Key("items").BeginArray();
  for (const EntityInfo& entity : ListDeclared(call.instance->store())) {
    if (entity.name <= after) continue;
    more = count == *limit;
    if (more) break;
    ++count;
    list.BeginObject().Key("data").Raw(to_json(entity));
    list.Key("meta").BeginObject().Key("type").String(type).EndObject().EndObject();
  }
  list.EndArray().Key("meta").BeginObject().Key("type").String("collection");
  list.Key("count").Unsigned(count).Key("more").Bool(more).EndObject().EndObject();
  return JsonReply(200, list.Take());
}

http::Response Show(const Call& call, ToJson to_json, std::string_view type) {
  if (Status named = CheckReadableName(NameOf(call)); !named.ok()) return Refuse(call, named);
  const std::optional<EntityInfo> entity = FindDeclared(call.instance->store(), NameOf(call));
  if (!entity) return Refuse(call, NoEntity(NameOf(call)));
  return DataReply(200, to_json(*entity), type);
}

// A declaration as the body has it. The name of the entity may stand in it, as it does in answers;
// without a kind or keys, an entity keeps those that it has.
Result<EntityDeclaration> ReadDeclaration(const Call& call,
                                          const std::optional<EntityInfo>& before) {
  TIDEMARK_ASSIGN_OR_RETURN(std::vector<JsonField> members, ReadJsonObject(call.request->body));
  JsonWriter declaration;
  declaration.BeginObject();
  bool has_kind = false;
  bool has_keys = false;
  for (const JsonField& member : members) {
    if (member.name == "entity_name") {
      if (member.text == NameOf(call)) continue;
      return FieldError(member.name, "must be the name in the path");
    }
    has_kind = has_kind || member.name == "kind";
    has_keys = has_keys || member.name == "keys";
    declaration.Key(member.name).Raw(FieldToJson(member));
  }
  if (!has_kind && before && before->declaration.kind == EntityKind::kIncremental) {
    declaration.Key("kind").String("incremental");
  }
  declaration.EndObject();
  Result<EntityDeclaration> read = DeclarationFromJson(declaration.text());
  // Selections go by keys: they are dropped by name only.
  if (read.ok() && !has_keys && before) read->keys = before->declaration.keys;
  return read;
}

// Pages were checked, and their ids read, by the schema as it was: a finish under another one would
// let in what it forbids.
Status CheckNoPages(const Call& call, const EntityInfo& before, const EntityDeclaration& after) {
  Uploads& uploads = call.instance->uploads();
  const std::optional<std::string> active = uploads.active();
  const bool checks_the_same =
      before.declaration.id_fields == after.id_fields && before.declaration.fields == after.fields;
  if (!active || checks_the_same) return {};
  const Result<UploadInfo> sync = uploads.Get(*active);
  if (!sync.ok() || !sync->entities.contains(before.name)) return {};
  return {ErrorCode::kConflict,
          "upload sync " + *active + " has pages of " + before.name +
              " that were checked by its schema: finish or abort it first"};
}

http::Response Declare(const Call& call, ToJson to_json, std::string_view type) {
  if (Status named = CheckName(NameOf(call)); !named.ok()) return Refuse(call, named);
  Store& store = call.instance->store();
  const std::optional<EntityInfo> before = FindDeclared(store, NameOf(call));
  const Result<EntityDeclaration> declaration = ReadDeclaration(call, before);
  if (!declaration.ok()) return Refuse(call, declaration.status());
  if (before) {
    if (Status good = CheckNoPages(call, *before, *declaration); !good.ok()) {
      return Refuse(call, good);
    }
  }
  const Result<EntityInfo> entity = store.Declare(NameOf(call), *declaration);
  if (!entity.ok()) return Refuse(call, entity.status());
  return DataReply(before ? 200 : 201, to_json(*entity), type);
}

constexpr std::string_view kEntityType = "entity";
constexpr std::string_view kSchemaType = "schema";

http::Response ListEntities(const Call& call) {
  return List(call, EntityToJson, kEntityType);
}
http::Response ShowEntity(const Call& call) {
  return Show(call, EntityToJson, kEntityType);
}
http::Response DeclareEntity(const Call& call) {
  return Declare(call, EntityToJson, kEntityType);
}
http::Response ListSchemas(const Call& call) {
  return List(call, SchemaToJson, kSchemaType);
}
http::Response ShowSchema(const Call& call) {
  return Show(call, SchemaToJson, kSchemaType);
}
http::Response DeclareSchema(const Call& call) {
  return Declare(call, SchemaToJson, kSchemaType);
}

using Deletion = Result<CommitResult> (Store::*)(std::string_view);

http::Response Delete(const Call& call, Deletion deletion) {
  if (Status named = CheckName(NameOf(call)); !named.ok()) return Refuse(call, named);
  Store& store = call.instance->store();
  const Result<CommitResult> result = (store.*deletion)(NameOf(call));
  if (!result.ok()) return Refuse(call, result.status());
  JsonWriter data;
  data.BeginObject().Key("sequence").Unsigned(result->sequence.value());
  data.Key("deleted").Unsigned(result->applied).EndObject();
  return DataReply(200, data.text(), "commit");
}

http::Response EmptyEntity(const Call& call) {
  return Delete(call, &Store::Empty);
}
http::Response DropEntity(const Call& call) {
  return Delete(call, &Store::Drop);
}

}  // namespace

std::vector<Route> EntityRoutes() {
  using http::Method;
  const std::string entities = "/v1/entities";
  const std::string entity = "/v1/entities/{entity}";
  const std::string schemas = "/v2/integrations-sync/entities/schemas";
  const std::string schema = schemas + "/{entity}";
  return {
      Reading({"after", "limit"}, {Method::kGet, entities, Role::kReader, Answer(ListEntities)}),
      {Method::kGet, entity, Role::kReader, Answer(ShowEntity)},
      {Method::kPut, entity, Role::kAdmin, Answer(DeclareEntity)},
      {Method::kDelete, entity, Role::kAdmin, Answer(DropEntity)},
      {Method::kPost, entity + "/empty", Role::kAdmin, Answer(EmptyEntity)},
      Reading({"after", "limit"}, {Method::kGet, schemas, Role::kReader, Answer(ListSchemas)}),
      {Method::kGet, schema, Role::kReader, Answer(ShowSchema)},
      {Method::kPut, schema, Role::kAdmin, Answer(DeclareSchema)},
  };
}

}  // namespace tidemark::server
