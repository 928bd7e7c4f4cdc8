// outbox: what was written to a replica and waits to be pushed, or was refused.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/json.h"
#include "format/record_json.h"
#include "replication/replica.h"
#include "tools/command.h"
#include "tools/data_root.h"

namespace tidemark::tools {
namespace {

uint64_t NumberOf(const std::string& row_id) {
  return std::strtoull(row_id.c_str(), nullptr, 10);
}

Result<std::unique_ptr<Replica>> OpenReplica(Context& context) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto path,
                            InstancePath(context.globals.data, context.globals.instance));
  if (!std::filesystem::exists(path)) {
    return {ErrorCode::kNotFound, path.string() + " is not there"};
  }
  return Replica::Open(path, /*device=*/{});
}

Status RunList(Context& context, const NoOptions& /*options*/) {
  // The outbox is a table like any other, so that it can be read beside a running owner.
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  Rows rows(context.output,
            {"operation", "type", "entity", "record", "state", "attempts", "error", "payload"});
  RecordIterator records = store->GetView().Scan(kOutboxEntity, ScanOptions{});
  while (records.Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(
        const auto fields,
        ReadJsonFields(records.value(),
                       {"type", "entity", "record", "state", "attempts", "error", "payload"}));
    const auto text = [&](size_t at) {
      return fields[at] ? fields[at]->text : std::string();
    };
    const auto json = [&](size_t at) {
      return Cell::Json(fields[at] ? FieldToJson(*fields[at]) : "null");
    };
    rows.Add({NumberOf(records.id()),
              text(0),
              text(1),
              json(2),
              text(3),
              fields[4] ? static_cast<uint64_t>(fields[4]->integer) : 0,
              json(5),
              json(6)});
  }
  TIDEMARK_RETURN_IF_ERROR(records.status());
  rows.Finish();
  return {};
}

struct OperationOptions {
  std::optional<uint64_t> operation;
  bool all_failed = false;
};

void DeclareOperation(Arguments& arguments, OperationOptions& options) {
  arguments.Unsigned("operation,--operation", options.operation, "Number of the operation");
  arguments.Flag("--all-failed", options.all_failed, "Every operation that failed");
}

std::vector<uint64_t> FailedOperations(const Store& store) {
  std::vector<uint64_t> failed;
  RecordIterator records = store.GetView().Scan(kOutboxEntity, ScanOptions{});
  while (records.Next()) {
    const auto state = ReadJsonFields(records.value(), {"state"});
    if (state.ok() && state->front() && state->front()->text == "failed") {
      failed.push_back(NumberOf(records.id()));
    }
  }
  return failed;
}

/// Does `act` to the operations that the options name, and says how the outbox is then.
Status ForEach(Context& context,
               const OperationOptions& options,
               const char* what,
               Status (Replica::*act)(uint64_t)) {
  if (options.operation.has_value() == options.all_failed) {
    return {ErrorCode::kInvalidArgument, "give the number of an operation, or --all-failed"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica, OpenReplica(context));
  const std::vector<uint64_t> numbers = options.all_failed
                                            ? FailedOperations(replica->store())
                                            : std::vector<uint64_t>{*options.operation};
  for (const uint64_t number : numbers) {
    const Status done = (*replica.*act)(number);
    if (!done.ok()) return done.WithContext("operation " + std::to_string(number));
  }
  const OutboxStatus outbox = replica->outbox();
  context.output.Object({{what, static_cast<uint64_t>(numbers.size())},
                         {"pending", outbox.pending},
                         {"failed", outbox.failed}});
  return replica->store().Close();
}

Status RunRetry(Context& context, const OperationOptions& options) {
  return ForEach(context, options, "retried", &Replica::RetryOperation);
}

Status RunDrop(Context& context, const OperationOptions& options) {
  return ForEach(context, options, "dropped", &Replica::DropOperation);
}

struct ReplaceIdOptions {
  std::string entity;
  std::string temporary;
  std::string real;
  std::vector<std::string> references;
};

void DeclareReplaceId(Arguments& arguments, ReplaceIdOptions& options) {
  arguments.RequiredText("entity,--entity", options.entity, "Name of the entity");
  arguments.RequiredText("temporary,--temporary", options.temporary, "Id that the record has");
  arguments.RequiredText("real,--real", options.real, "Id that it is to have");
  arguments.List("--reference",
                 options.references,
                 "ENTITY.FIELD that may hold the id; give it several times");
}

Status RunReplaceId(Context& context, const ReplaceIdOptions& options) {
  IdReplacement what{.entity = options.entity,
                     .temporary = IdFromArgument(options.temporary, /*as_text=*/false),
                     .real = IdFromArgument(options.real, /*as_text=*/false)};
  for (const std::string& reference : options.references) {
    const size_t dot = reference.find('.');
    if (dot == std::string::npos) {
      return {ErrorCode::kInvalidArgument, "--reference is ENTITY.FIELD, not " + reference};
    }
    what.references.push_back(
        {.field = reference.substr(dot + 1), .entity = reference.substr(0, dot)});
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica, OpenReplica(context));
  TIDEMARK_RETURN_IF_ERROR(replica->ReplaceId(what));
  context.output.Object({{"entity", options.entity},
                         {"id", Cell::Id(what.real.text(), what.real.form())},
                         {"pending", replica->outbox().pending}});
  return replica->store().Close();
}

}  // namespace

void AddOutboxCommands(CommandTable& table) {
  table.AddGroup("outbox", "What was written to a replica and is not taken by its source yet");
  table.Add<NoOptions>({"outbox list",
                        "List what waits to be pushed, and what was refused, with the reason",
                        "  tidemark outbox list --data ./tablet\n"
                        "  tidemark outbox list --data ./tablet --output ndjson\n"},
                       &DeclareNothing,
                       &RunList);
  table.Add<OperationOptions>({"outbox retry",
                               "Write refused operations again, on top of what the source has now",
                               "  tidemark outbox retry --data ./tablet 17\n"
                               "  tidemark outbox retry --data ./tablet --all-failed\n"},
                              &DeclareOperation,
                              &RunRetry);
  table.Add<OperationOptions>({"outbox drop",
                               "Take operations off the outbox; their records are as without them",
                               "  tidemark outbox drop --data ./tablet 17\n"
                               "  tidemark outbox drop --data ./tablet --all-failed\n"},
                              &DeclareOperation,
                              &RunDrop);
  table.Add<ReplaceIdOptions>(
      {"outbox replace-id",
       "Give a record that waits under a temporary id its real one, wherever it is named",
       "  tidemark outbox replace-id --data ./tablet household tmp-1 4711 --reference "
       "member.household\n"},
      &DeclareReplaceId,
      &RunReplaceId);
}

}  // namespace tidemark::tools
