// pull: brings a replica up to date with a local data root.
#include <memory>
#include <string>

#include "replication/replica.h"
#include "replication/source.h"
#include "replication/transport.h"
#include "tools/command.h"
#include "tools/data_root.h"

namespace tidemark::tools {
namespace {

struct PullCommandOptions {
  std::string replica;
  std::string device;
};

void DeclarePull(Arguments& arguments, PullCommandOptions& options) {
  arguments.RequiredText("--replica", options.replica, "Data root of the replica");
  arguments.RequiredText("--device", options.device, "Id of the device that the replica is");
}

std::string GapsJson(const std::vector<Gap>& gaps) {
  JsonWriter writer;
  writer.BeginArray();
  for (const Gap& gap : gaps) {
    writer.BeginObject();
    writer.Key("entity").String(gap.entity);
    writer.Key("from").Unsigned(gap.range.first.value());
    writer.Key("to").Unsigned(gap.range.limit.value());
    writer.Key("count").Unsigned(gap.count);
    writer.EndObject();
  }
  writer.EndArray();
  return writer.Take();
}

void PrintResult(Context& context, const PullResult& result, SequenceNumber sequence) {
  Fields fields = {{"nothing_owed", result.nothing_owed},
                   {"pages", result.pages},
                   {"bytes", Cell::Bytes(result.bytes)},
                   {"created", result.created},
                   {"updated", result.updated},
                   {"deleted", result.deleted},
                   {"unchanged", result.unchanged},
                   {"reset", result.reset},
                   {"source_sequence", sequence.value()}};
  if (!result.gaps.empty()) fields.emplace_back("gaps", Cell::Json(GapsJson(result.gaps)));
  context.output.Object(fields);
}

Status RunPull(Context& context, const PullCommandOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(options.device));
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica_path,
                            InstancePath(options.replica, context.globals.instance));
  TIDEMARK_ASSIGN_OR_RETURN(const auto source_path,
                            InstancePath(context.globals.data, context.globals.instance));
  if (replica_path.lexically_normal() == source_path.lexically_normal()) {
    return {ErrorCode::kInvalidArgument, "--replica and --data are the same folder"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(const auto source, Source::Open(*store));
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(replica_path));
  Result<std::unique_ptr<Replica>> replica = Replica::Open(replica_path, options.device);
  if (!replica.ok()) return replica.status().WithContext("replica");

  LocalTransport transport(*source);
  context.progress.Begin("pull", ProgressUnit::kRecords);
  const Result<PullResult> result = (*replica)->Pull(transport, [&](const PullProgress& progress) {
    context.progress.Update(progress.records, progress.owed);
  });
  context.progress.End();
  if (!result.ok()) return result.status();
  PrintResult(context, *result, store->last_sequence());
  return {};
}

}  // namespace

void AddPullCommand(CommandTable& table) {
  table.Add<PullCommandOptions>(
      {"pull",
       "Bring a replica up to date",
       "  tidemark pull --data ./data --replica ./tablet --device tablet-7\n"
       "  tidemark scan --data ./tablet contact\n"},
      &DeclarePull,
      &RunPull);
}

}  // namespace tidemark::tools
