// entities: kinds, schemas, retention.
#include <string>
#include <utility>
#include <vector>

#include "replication/source.h"
#include "tools/byte_source.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/entity_options.h"
#include "tools/remote.h"
#include "tools/units.h"

namespace tidemark::tools {
namespace {

constexpr size_t kSchemaBytesMax = 1024 * 1024;

std::string LabelOf(const EntityInfo& entity) {
  const std::string& label = entity.declaration.type_label;
  return label.empty() ? entity.name : label;
}

Status RunList(Context& context, const NoOptions& /*options*/) {
  if (IsRemote(context)) {
    return PrintRemoteList(context,
                           "/v1/entities",
                           {{"name", {"data", "name"}},
                            {"kind", {"data", "kind"}},
                            {"records", {"data", "records"}},
                            {"deletions", {"data", "deletions"}},
                            {"generation", {"data", "generation"}},
                            {"label", {"data", "type"}}});
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  Rows rows(context.output, {"name", "kind", "records", "deletions", "generation", "label"});
  for (const EntityInfo& entity : store->ListEntities()) {
    rows.Add({entity.name,
              KindName(entity.declaration.kind),
              entity.record_count,
              entity.tombstone_count,
              entity.generation,
              LabelOf(entity)});
  }
  rows.Finish();
  return {};
}

struct NameOptions {
  std::string name;
};

void DeclareName(Arguments& arguments, NameOptions& options) {
  arguments.RequiredText("name,--entity", options.name, "Name of the entity");
}

void PrintEntity(Context& context, const EntityInfo& entity) {
  Fields fields = {{"name", entity.name},
                   {"kind", KindName(entity.declaration.kind)},
                   {"label", LabelOf(entity)},
                   {"id_fields", Cell::List(entity.declaration.id_fields)},
                   {"records", entity.record_count},
                   {"deletions", entity.tombstone_count},
                   {"generation", entity.generation}};
  if (entity.declaration.kind == EntityKind::kIncremental) {
    fields.emplace_back("trimmed_through", entity.trimmed_through.value());
    fields.emplace_back("trimmed", entity.trimmed_count);
  }
  if (!entity.declaration.keys.empty()) {
    fields.emplace_back("keys_indexed_through", entity.keys_indexed_through.value());
  }
  fields.emplace_back("declaration", Cell::Json(DeclarationToJson(entity.declaration)));
  context.output.Object(fields);
}

Status NoEntity(const std::string& name) {
  return {ErrorCode::kNotFound, "no entity \"" + name + "\""};
}

Status RunShow(Context& context, const NameOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  const std::optional<EntityInfo> entity = store->FindEntity(options.name);
  if (!entity) return NoEntity(options.name);
  PrintEntity(context, *entity);
  return {};
}

struct DeclareOptions {
  std::string name;
  std::string kind;
  std::optional<std::string> schema;
  std::string schema_file;
  std::optional<std::string> label;
  std::vector<std::string> id_fields;
  std::vector<std::string> keys;
  std::string conflicts;
  std::optional<double> delete_share_max;
  std::optional<std::string> retain_age;
  std::optional<uint64_t> retain_count;
  std::optional<std::string> retain_bytes;
};

void DeclareDeclare(Arguments& arguments, DeclareOptions& options) {
  arguments.RequiredText("name,--entity", options.name, "Name of the entity");
  arguments.Choice("--kind", options.kind, {"snapshot", "incremental"}, "Kind of the entity");
  arguments.Text("--schema", options.schema, "The whole declaration, as JSON");
  arguments.Text("--file", options.schema_file, "The whole declaration, from a file or -");
  arguments.Text("--label", options.label, "Type label that devices see; the name by default");
  arguments.List("--id-field", options.id_fields, "Field that holds the id; several are composite");
  arguments.List("--key",
                 options.keys,
                 "A key that selections may go by: FIELD, or FIELD+FIELD; give it several times");
  arguments.Choice("--conflicts",
                   options.conflicts,
                   {"reject", "last_writer", "by_field", "callback"},
                   "What becomes of a device's write whose record somebody else changed meanwhile");
  arguments.Share("--max-delete-share",
                  options.delete_share_max,
                  "Uploads that would delete more than this share are refused");
  arguments.Text("--retain-age", options.retain_age, "Events: keep so long, such as 30d");
  arguments.Unsigned("--retain-count", options.retain_count, "Events: keep so many");
  arguments.Text("--retain-bytes", options.retain_bytes, "Events: keep so much, such as 10GiB");
}

// A whole declaration. Selections go by keys: an entity keeps them unless the text names others.
Result<EntityDeclaration> ReadSchema(const std::string& json,
                                     const std::optional<EntityInfo>& before) {
  TIDEMARK_ASSIGN_OR_RETURN(EntityDeclaration declaration, DeclarationFromJson(json));
  TIDEMARK_ASSIGN_OR_RETURN(const auto keys, ReadJsonFields(json, {"keys"}));
  if (!keys.front().has_value() && before) declaration.keys = before->declaration.keys;
  return declaration;
}

// The declaration to start from: a whole new one, the present one, or the default.
Result<EntityDeclaration> BaseDeclaration(const Store& store, const DeclareOptions& options) {
  if (options.schema && !options.schema_file.empty()) {
    return Status(ErrorCode::kInvalidArgument, "give --schema or --file, not both");
  }
  const std::optional<EntityInfo> entity = store.FindEntity(options.name);
  if (options.schema) return ReadSchema(*options.schema, entity);
  if (!options.schema_file.empty()) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto source, OpenInput(options.schema_file));
    TIDEMARK_ASSIGN_OR_RETURN(const std::string json, ReadAll(*source, kSchemaBytesMax));
    Result<EntityDeclaration> declaration = ReadSchema(json, entity);
    if (!declaration.ok()) return declaration.status().WithContext(options.schema_file);
    return declaration;
  }
  return entity ? entity->declaration : EntityDeclaration();
}

std::vector<std::string> SplitFields(const std::string& key) {
  std::vector<std::string> fields(1);
  for (const char c : key) {
    if (c == '+') {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  return fields;
}

Status ApplyOptions(const DeclareOptions& options, EntityDeclaration& declaration) {
  if (const auto kind = KindFromName(options.kind)) declaration.kind = *kind;
  if (options.label) declaration.type_label = *options.label;
  if (!options.id_fields.empty()) declaration.id_fields = options.id_fields;
  if (!options.keys.empty()) declaration.keys.clear();
  for (const std::string& key : options.keys) declaration.keys.push_back({SplitFields(key)});
  if (const auto policy = ConflictPolicyNamed(options.conflicts)) declaration.conflicts = *policy;
  if (options.delete_share_max) declaration.delete_share_max = options.delete_share_max;
  if (options.retain_age) {
    TIDEMARK_ASSIGN_OR_RETURN(declaration.retention.age_ms, ParseDuration(*options.retain_age));
  }
  if (options.retain_count) declaration.retention.count = options.retain_count;
  if (options.retain_bytes) {
    TIDEMARK_ASSIGN_OR_RETURN(declaration.retention.bytes, ParseByteCount(*options.retain_bytes));
  }
  return {};
}

Status RunDeclare(Context& context, const DeclareOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(options.name));
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kCreate));
  TIDEMARK_ASSIGN_OR_RETURN(EntityDeclaration declaration, BaseDeclaration(*store, options));
  TIDEMARK_RETURN_IF_ERROR(ApplyOptions(options, declaration));
  TIDEMARK_ASSIGN_OR_RETURN(const EntityInfo entity, store->Declare(options.name, declaration));
  TIDEMARK_RETURN_IF_ERROR(store->Close());
  PrintEntity(context, entity);
  return {};
}

Status RunDeletion(Context& context,
                   const std::string& name,
                   Result<CommitResult> (Store::*deletion)(std::string_view)) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kWrite));
  if (!store->FindEntity(name)) return NoEntity(name);
  TIDEMARK_ASSIGN_OR_RETURN(const CommitResult result, (store.get()->*deletion)(name));
  TIDEMARK_RETURN_IF_ERROR(store->Close());
  context.output.Object(
      {{"name", name}, {"deleted", result.applied}, {"sequence", result.sequence.value()}});
  return {};
}

Status RunEmpty(Context& context, const NameOptions& options) {
  return RunDeletion(context, options.name, &Store::Empty);
}

Status RunDrop(Context& context, const NameOptions& options) {
  return RunDeletion(context, options.name, &Store::Drop);
}

struct TrimOptions {
  std::string name;
  std::optional<uint64_t> through;
};

void DeclareTrim(Arguments& arguments, TrimOptions& options) {
  arguments.RequiredText("name,--entity", options.name, "Name of the incremental entity");
  arguments.Unsigned("--through", options.through, "Forget the events up to this sequence number");
}

Status RunTrim(Context& context, const TrimOptions& options) {
  if (!options.through) return {ErrorCode::kInvalidArgument, "give --through SEQUENCE"};
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kWrite));
  if (!store->FindEntity(options.name)) return NoEntity(options.name);
  TIDEMARK_ASSIGN_OR_RETURN(auto source, Source::Open(*store));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t trimmed,
                            source->Trim(options.name, SequenceNumber(*options.through)));
  source.reset();  // before its store
  TIDEMARK_RETURN_IF_ERROR(store->Close());
  context.output.Object({{"name", options.name}, {"trimmed", trimmed}});
  return {};
}

}  // namespace

void AddEntityCommands(CommandTable& table) {
  table.AddGroup("entities", "Kinds, schemas and retention of entities");
  table.Add<NoOptions>({"entities list",
                        "List the entities",
                        "  tidemark entities list --data ./data\n",
                        /*over_http=*/true},
                       &DeclareNothing,
                       &RunList);
  table.Add<NameOptions>({"entities show",
                          "Show one entity and its declaration",
                          "  tidemark entities show --data ./data contact\n"},
                         &DeclareName,
                         &RunShow);
  table.Add<DeclareOptions>(
      {"entities declare",
       "Declare an entity, or change its declaration",
       "  tidemark entities declare --data ./data contact --id-field email --label person\n"
       "  tidemark entities declare --data ./data visits --kind incremental --retain-age 90d\n"
       "  tidemark entities declare --data ./data users --file users.schema.json\n"},
      &DeclareDeclare,
      &RunDeclare);
  table.Add<NameOptions>({"entities empty",
                          "Delete every record of an entity; devices are told",
                          "  tidemark entities empty --data ./data contact\n"},
                         &DeclareName,
                         &RunEmpty);
  table.Add<NameOptions>({"entities drop",
                          "Empty an entity and free its name",
                          "  tidemark entities drop --data ./data contact\n"},
                         &DeclareName,
                         &RunDrop);
  table.Add<TrimOptions>({"entities trim",
                          "Forget old events of an incremental entity",
                          "  tidemark entities trim --data ./data visits --through 120000\n"},
                         &DeclareTrim,
                         &RunTrim);
}

}  // namespace tidemark::tools
