// outbox: what was written to a replica and waits to be pushed, or was refused.
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
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

/// So many operations change in one step; more of them need several.
constexpr size_t kOperationsInOneStep = 1000;

struct OperationOptions {
  std::vector<std::string> operations;
  bool all_failed = false;
};

void DeclareOperations(Arguments& arguments, OperationOptions& options) {
  arguments.List("operation,--operation",
                 options.operations,
                 "Numbers of operations, all of them in one step or none");
  arguments.Flag("--all-failed", options.all_failed, "Every operation that failed");
}

Result<std::vector<uint64_t>> ReadNumbers(const std::vector<std::string>& texts) {
  std::vector<uint64_t> numbers;
  for (const std::string& text : texts) {
    uint64_t number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || stop != text.data() + text.size()) {
      return {ErrorCode::kInvalidArgument, "an operation has a number, not " + text};
    }
    numbers.push_back(number);
  }
  return numbers;
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

using Act = Status (Replica::*)(const std::vector<uint64_t>&);

/// Does `act` to the operations that the options name; answers how many they are.
Result<uint64_t> ForEach(Replica& replica, const OperationOptions& options, Act act) {
  if (options.operations.empty() != options.all_failed) {
    return {ErrorCode::kInvalidArgument, "give the numbers of operations, or --all-failed"};
  }
  if (!options.all_failed) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto numbers, ReadNumbers(options.operations));
    TIDEMARK_RETURN_IF_ERROR((replica.*act)(numbers));
    return static_cast<uint64_t>(numbers.size());
  }
  const std::vector<uint64_t> numbers = FailedOperations(replica.store());
  for (size_t first = 0; first < numbers.size(); first += kOperationsInOneStep) {
    const size_t last = std::min(first + kOperationsInOneStep, numbers.size());
    const std::vector<uint64_t> some(numbers.begin() + static_cast<std::ptrdiff_t>(first),
                                     numbers.begin() + static_cast<std::ptrdiff_t>(last));
    TIDEMARK_RETURN_IF_ERROR((replica.*act)(some));
  }
  return static_cast<uint64_t>(numbers.size());
}

/// Says how the outbox is after `count` operations were `what`.
Status Tell(Context& context, const char* what, uint64_t count, Replica& replica) {
  const OutboxStatus outbox = replica.outbox();
  context.output.Object({{what, count}, {"pending", outbox.pending}, {"failed", outbox.failed}});
  return replica.store().Close();
}

Status RunRetry(Context& context, const OperationOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica, OpenReplica(context));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t retried,
                            ForEach(*replica, options, &Replica::RetryOperations));
  return Tell(context, "retried", retried, *replica);
}

struct DropOptions {
  OperationOptions operations;
  std::string entity;
  std::string record;
};

void DeclareDrop(Arguments& arguments, DropOptions& options) {
  DeclareOperations(arguments, options.operations);
  arguments.Text("--entity", options.entity, "With --record: the entity of the record");
  arguments.Text("--record", options.record, "Every operation of the record with this id");
}

Status RunDrop(Context& context, const DropOptions& options) {
  const bool by_record = !options.record.empty();
  const bool by_number = !options.operations.operations.empty() || options.operations.all_failed;
  if (by_record == options.entity.empty() || by_record == by_number) {
    return {ErrorCode::kInvalidArgument,
            "give the numbers of operations, --all-failed, or --entity and --record"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica, OpenReplica(context));
  uint64_t dropped = 0;
  if (by_record) {
    const RecordId id = IdFromArgument(options.record, /*as_text=*/false);
    TIDEMARK_ASSIGN_OR_RETURN(dropped, replica->DropRecord(options.entity, id));
  } else {
    TIDEMARK_ASSIGN_OR_RETURN(dropped,
                              ForEach(*replica, options.operations, &Replica::DropOperations));
  }
  return Tell(context, "dropped", dropped, *replica);
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
                               "  tidemark outbox retry --data ./tablet 17 18 21\n"
                               "  tidemark outbox retry --data ./tablet --all-failed\n"},
                              &DeclareOperations,
                              &RunRetry);
  table.Add<DropOptions>({"outbox drop",
                          "Take operations off the outbox; their records are as without them",
                          "  tidemark outbox drop --data ./tablet 17\n"
                          "  tidemark outbox drop --data ./tablet --all-failed\n"
                          "  tidemark outbox drop --data ./tablet --entity visit --record 1001\n"},
                         &DeclareDrop,
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
