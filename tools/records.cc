// put, get, delete, append: single records.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "format/json.h"
#include "format/record_json.h"
#include "replication/replica.h"
#include "server/own_id.h"
#include "tools/byte_source.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/line_reader.h"
#include "tools/remote.h"

namespace tidemark::tools {
namespace {

// Where a value comes from, and what it is.
struct ValueOptions {
  std::optional<std::string> text;
  std::string file;
  bool bytes = false;
};

void DeclareValue(Arguments& arguments, ValueOptions& value) {
  arguments.Text("value,--value", value.text, "The value, as JSON");
  arguments.Text("--file", value.file, "Read the value from this file, or - for standard input");
  arguments.Flag("--bytes", value.bytes, "The value is bytes, kept as they are, not JSON");
}

Result<TypedValue> ReadValue(const ValueOptions& options) {
  std::string raw;
  const bool from_file = !options.file.empty();
  if (options.text.has_value() == from_file) {
    return Status(ErrorCode::kInvalidArgument,
                  from_file ? "give a value or --file, not both" : "give a value, or --file FILE");
  }
  if (options.text) {
    raw = *options.text;
  } else {
    TIDEMARK_ASSIGN_OR_RETURN(const auto source, OpenInput(options.file));
    TIDEMARK_ASSIGN_OR_RETURN(raw, ReadAll(*source, kLineBytesMax));
  }
  if (options.bytes) return TypedValue{.kind = ValueKind::kBytes, .bytes = std::move(raw)};

  Result<std::string> json = MinifyJson(raw);
  if (!json.ok()) {
    return json.status().WithContext(options.text ? "value" : options.file);
  }
  // One door for `{"$base64":"..."}`: the value is read as the member of a change would be.
  TIDEMARK_ASSIGN_OR_RETURN(auto elements, ReadJsonArray("[" + *json + "]", kJsonDepthMax + 1));
  elements.front().name = "value";
  TIDEMARK_ASSIGN_OR_RETURN(TypedValue value, ValueFromField(elements.front()));
  if (value.kind == ValueKind::kJson) value.bytes = std::move(*json);
  return value;
}

struct ConditionOptions {
  bool if_absent = false;
  std::optional<uint64_t> if_version;
  std::optional<int64_t> if_newer;
};

void DeclareVersionConditions(Arguments& arguments, ConditionOptions& condition) {
  arguments.Unsigned("--if-version", condition.if_version, "Only if this is its version");
  arguments.Signed("--if-newer",
                   condition.if_newer,
                   "Only if this timestamp is newer than the one of the last write");
}

WriteCondition MakeCondition(const ConditionOptions& options) {
  WriteCondition condition;
  condition.if_absent = options.if_absent;
  if (options.if_version) condition.if_version = SequenceNumber(*options.if_version);
  condition.if_newer = options.if_newer;
  return condition;
}

std::string_view OutcomeName(WriteOutcome outcome) {
  switch (outcome) {
    case WriteOutcome::kCreated:
      return "created";
    case WriteOutcome::kUpdated:
      return "updated";
    case WriteOutcome::kDeleted:
      return "deleted";
    case WriteOutcome::kAppended:
      return "appended";
    case WriteOutcome::kUnchanged:
      return "unchanged";
  }
  return "";
}

// A replica takes the write at once, and queues it for its source.
Status WriteToReplica(Context& context, std::unique_ptr<Store> store, const WriteBatch& batch) {
  const std::filesystem::path path = store->directory();
  TIDEMARK_RETURN_IF_ERROR(store->Close());
  store.reset();
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica, Replica::Open(path, /*device=*/{}));
  TIDEMARK_ASSIGN_OR_RETURN(const LocalWriteResult result, replica->Write(batch));
  const OutboxStatus outbox = replica->outbox();
  context.output.Object({{"applied", result.applied},
                         {"unchanged", result.unchanged},
                         {"id", result.ids.front()},
                         {"pending", outbox.pending}});
  return replica->store().Close();
}

// Commits a batch of one operation and says what came of it.
Status CommitOne(Context& context,
                 std::unique_ptr<Store> opened,
                 const WriteBatch& batch,
                 const RecordId* id) {
  if (opened->is_replica()) return WriteToReplica(context, std::move(opened), batch);
  Store& store = *opened;
  CommitOptions options;
  options.want_outcomes = true;
  TIDEMARK_ASSIGN_OR_RETURN(const CommitResult result, store.Commit(batch, options));
  Fields fields = {{"sequence", result.sequence.value()},
                   {"applied", result.applied},
                   {"unchanged", result.unchanged}};
  if (!result.outcomes.empty()) {
    const OperationOutcome& outcome = result.outcomes.front();
    fields.emplace_back("outcome", OutcomeName(outcome.outcome));
    if (!outcome.id.empty()) {
      fields.emplace_back("id", outcome.id);
    } else if (id != nullptr) {
      fields.emplace_back("id", Cell::Id(id->text(), id->form()));
    }
    if (outcome.version != kSequenceZero) fields.emplace_back("version", outcome.version.value());
  }
  if (result.replayed) fields.emplace_back("replayed", true);
  context.output.Object(fields);
  return store.Close();
}

// The same over a server: one line of a batch of changes. Returns how much was applied.
Result<uint64_t> SendOne(Context& context,
                         const std::string& line,
                         const std::string& operation_id,
                         const RecordId* id) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  http::Headers headers;
  if (!operation_id.empty()) headers.Add("Idempotency-Key", operation_id);
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                            remote->Ask(http::Method::kPost, "/v1/changes", line, headers));
  TIDEMARK_ASSIGN_OR_RETURN(const auto data, ReadJsonFields(answer, {"data"}));
  if (!data.front()) return Status(ErrorCode::kUnavailable, "the answer lacks its data");
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto counts, ReadJsonFields(data.front()->text, {"sequence", "applied", "unchanged"}));
  for (const auto& count : counts) {
    if (!count || count->type != JsonType::kInteger) {
      return Status(ErrorCode::kUnavailable, "the answer lacks its counts");
    }
  }
  const auto count = [&](size_t at) {
    return static_cast<uint64_t>(counts[at]->integer);
  };
  Fields fields = {{"sequence", count(0)}, {"applied", count(1)}, {"unchanged", count(2)}};
  if (id != nullptr) fields.emplace_back("id", Cell::Id(id->text(), id->form()));
  context.output.Object(fields);
  return count(1);
}

// A line of `POST /v1/changes`.
std::string ChangeLine(std::string_view op,
                       std::string_view entity,
                       const RecordId* id,
                       const TypedValue* value,
                       const ConditionOptions& condition) {
  JsonWriter line;
  line.BeginObject().Key("op").String(op).Key("entity").String(entity);
  if (id != nullptr) line.Key("id").Raw(IdToJson(id->text(), id->form()));
  if (value != nullptr) line.Key("data").Raw(ValueToJson(value->bytes, value->kind));
  if (condition.if_absent) line.Key("if_absent").Bool(true);
  if (condition.if_version) line.Key("if_version").Unsigned(*condition.if_version);
  if (condition.if_newer) line.Key("if_newer").Integer(*condition.if_newer);
  line.EndObject();
  return line.Take();
}

struct PutOptions {
  std::string entity;
  std::string id;
  bool text_id = false;
  ValueOptions value;
  ConditionOptions condition;
  std::string operation_id;
};

void DeclareEntity(Arguments& arguments, std::string& entity) {
  arguments.RequiredText("entity,--entity", entity, "Name of the entity");
}

void DeclareId(Arguments& arguments, std::string& id, bool& text_id) {
  arguments.RequiredText(
      "id,--id", id, "Id of the record; write -- before an id that begins with -");
  arguments.Flag("--text-id", text_id, "The id is text, also if it looks like an integer");
}

void DeclarePut(Arguments& arguments, PutOptions& options) {
  DeclareEntity(arguments, options.entity);
  DeclareId(arguments, options.id, options.text_id);
  DeclareValue(arguments, options.value);
  arguments.Flag("--if-absent", options.condition.if_absent, "Only if there is no such record");
  DeclareVersionConditions(arguments, options.condition);
  arguments.Text("--operation-id",
                 options.operation_id,
                 "Makes a repeat of this write answer what the first one answered");
}

Status RunPut(Context& context, const PutOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const TypedValue value, ReadValue(options.value));
  TIDEMARK_RETURN_IF_ERROR(CheckName(options.entity));
  TIDEMARK_RETURN_IF_ERROR(CheckRecordId(options.id));
  RecordId id = IdFromArgument(options.id, options.text_id);
  if (IsRemote(context)) {
    const std::string line = ChangeLine("put", options.entity, &id, &value, options.condition);
    return SendOne(context, line, options.operation_id, &id).status();
  }
  TIDEMARK_ASSIGN_OR_RETURN(auto store, OpenInstance(context.globals, Access::kCreate));
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto own,
      server::OwnIdOf(value, options.id, server::IdFields(*store).Of(options.entity)));
  if (own) id = *own;
  WriteBatch batch;
  batch.Put(options.entity, id, value.bytes, value.kind, MakeCondition(options.condition));
  if (!options.operation_id.empty()) batch.SetOperationId(options.operation_id);
  return CommitOne(context, std::move(store), batch, &id);
}

struct DeleteOptions {
  std::string entity;
  std::string id;
  bool text_id = false;
  bool if_exists = false;
  ConditionOptions condition;
};

void DeclareDelete(Arguments& arguments, DeleteOptions& options) {
  DeclareEntity(arguments, options.entity);
  DeclareId(arguments, options.id, options.text_id);
  arguments.Flag("--if-exists", options.if_exists, "Deleting what is not there is no error");
  DeclareVersionConditions(arguments, options.condition);
}

Status DeleteRemote(Context& context, const DeleteOptions& options, const RecordId& id) {
  const std::string line = ChangeLine("delete", options.entity, &id, nullptr, options.condition);
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t applied, SendOne(context, line, {}, &id));
  if (applied > 0 || options.if_exists) return {};
  return {ErrorCode::kNotFound, options.entity + " has no record \"" + options.id + "\""};
}

Status RunDelete(Context& context, const DeleteOptions& options) {
  if (IsRemote(context)) {
    return DeleteRemote(context, options, IdFromArgument(options.id, options.text_id));
  }
  TIDEMARK_ASSIGN_OR_RETURN(auto store, OpenInstance(context.globals, Access::kWrite));
  const RecordId id = IdFromArgument(options.id, options.text_id);
  const auto entity = store->FindEntity(options.entity);
  if (entity && entity->declaration.kind == EntityKind::kIncremental) {
    return {ErrorCode::kWrongKind,
            options.entity + " is incremental: its events are trimmed, not deleted"};
  }
  if (!options.if_exists) {
    // This process owns the store: nobody writes between the look and the commit.
    TIDEMARK_ASSIGN_OR_RETURN(const auto record, store->Get(options.entity, id));
    if (!record) {
      return {ErrorCode::kNotFound, options.entity + " has no record \"" + options.id + "\""};
    }
  }
  WriteBatch batch;
  batch.Delete(options.entity, id, MakeCondition(options.condition));
  return CommitOne(context, std::move(store), batch, &id);
}

struct AppendOptions {
  std::string entity;
  ValueOptions value;
  std::string id;
  bool text_id = false;
  std::string operation_id;
};

void DeclareAppend(Arguments& arguments, AppendOptions& options) {
  DeclareEntity(arguments, options.entity);
  DeclareValue(arguments, options.value);
  arguments.Text("--id", options.id, "Id of the event; without one the store makes one");
  arguments.Flag("--text-id", options.text_id, "The id is text, also if it looks like an integer");
  arguments.Text("--operation-id",
                 options.operation_id,
                 "Makes a repeat of this write answer what the first one answered");
}

Status RunAppend(Context& context, const AppendOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const TypedValue value, ReadValue(options.value));
  TIDEMARK_RETURN_IF_ERROR(CheckName(options.entity));
  std::optional<RecordId> given;
  if (!options.id.empty()) given = IdFromArgument(options.id, options.text_id);
  if (IsRemote(context)) {
    const RecordId* id = given ? &*given : nullptr;
    const std::string line = ChangeLine("append", options.entity, id, &value, {});
    return SendOne(context, line, options.operation_id, id).status();
  }
  TIDEMARK_ASSIGN_OR_RETURN(auto store, OpenInstance(context.globals, Access::kCreate));
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto id, server::EventIdOf(value, given, server::IdFields(*store).Of(options.entity)));
  WriteBatch batch;
  if (id) {
    batch.Append(options.entity, *id, value.bytes, value.kind);
  } else {
    batch.Append(options.entity, value.bytes, value.kind);
  }
  if (!options.operation_id.empty()) batch.SetOperationId(options.operation_id);
  return CommitOne(context, std::move(store), batch, nullptr);
}

struct GetOptions {
  std::string entity;
  std::string id;
};

void DeclareGet(Arguments& arguments, GetOptions& options) {
  DeclareEntity(arguments, options.entity);
  arguments.RequiredText("id,--id", options.id, "Id of the record");
}

Status GetRemote(Context& context, const GetOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  const std::string path =
      "/v1/entities/" + Escape(options.entity) + "/records/" + Escape(options.id);
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, remote->Ask(http::Method::kGet, path));
  TIDEMARK_ASSIGN_OR_RETURN(const auto parts, ReadJsonFields(answer, {"data", "meta"}));
  if (!parts[0] || !parts[1]) return {ErrorCode::kUnavailable, "the answer has no record"};
  const std::string value = FieldToJson(*parts[0]);
  if (context.output.format() == OutputFormat::kTable) {
    context.output.Line(value);
    return {};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto meta, ReadJsonFields(parts[1]->text, {"id", "version"}));
  if (!meta[0] || !meta[1]) return {ErrorCode::kUnavailable, "the answer has no record"};
  context.output.Object({{"entity", options.entity},
                         {"id", Cell::Json(FieldToJson(*meta[0]))},
                         {"version", Cell::Json(FieldToJson(*meta[1]))},
                         {"data", Cell::Json(value)}});
  return {};
}

Status RunGet(Context& context, const GetOptions& options) {
  if (IsRemote(context)) return GetRemote(context, options);
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  TIDEMARK_ASSIGN_OR_RETURN(const auto record, store->Get(options.entity, RecordId(options.id)));
  if (!record) {
    return {ErrorCode::kNotFound, options.entity + " has no record \"" + options.id + "\""};
  }
  if (context.output.format() == OutputFormat::kTable) {
    context.output.sink().Write(record->value);
    if (record->value_kind == ValueKind::kJson) context.output.sink().Write("\n");
    return {};
  }
  context.output.Object({{"entity", options.entity},
                         {"id", Cell::Id(record->id, record->id_form)},
                         {"version", record->version.value()},
                         {"data", Cell::Json(ValueToJson(record->value, record->value_kind))}});
  return {};
}

}  // namespace

void AddRecordCommands(CommandTable& table) {
  table.Add<PutOptions>({"put",
                         "Write one record",
                         "  tidemark put --data ./data contact 1001 '{\"name\":\"Ada\"}'\n"
                         "  tidemark put --data ./data photo p1 --file p1.jpg --bytes\n"
                         "  tidemark put --data ./data contact 1001 '{}' --if-version 17\n",
                         /*over_http=*/true},
                        &DeclarePut,
                        &RunPut);
  table.Add<GetOptions>({"get",
                         "Print the value of one record",
                         "  tidemark get --data ./data contact 1001\n"
                         "  tidemark get --data ./data contact 1001 --output json\n",
                         /*over_http=*/true},
                        &DeclareGet,
                        &RunGet);
  table.Add<DeleteOptions>({"delete",
                            "Delete one record",
                            "  tidemark delete --data ./data contact 1001\n"
                            "  tidemark delete --data ./data contact 1001 --if-exists\n",
                            /*over_http=*/true},
                           &DeclareDelete,
                           &RunDelete);
  table.Add<AppendOptions>({"append",
                            "Append one event to an incremental entity",
                            "  tidemark append --data ./data visits '{\"patients\":18}'\n"
                            "  tidemark append --data ./data visits --id v7 --file visit.json\n",
                            /*over_http=*/true},
                           &DeclareAppend,
                           &RunAppend);
}

}  // namespace tidemark::tools
