// pull: brings a replica up to date with a server, or with a local data root.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "replication/replica.h"
#include "replication/source.h"
#include "replication/transport.h"
#include "server/http_transport.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/remote.h"

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

void PrintResult(Context& context,
                 const PullResult& result,
                 std::optional<SequenceNumber> sequence) {
  Fields fields = {{"nothing_owed", result.nothing_owed},
                   {"pages", result.pages},
                   {"bytes", Cell::Bytes(result.bytes)},
                   {"created", result.created},
                   {"updated", result.updated},
                   {"deleted", result.deleted},
                   {"unchanged", result.unchanged},
                   {"reset", result.reset}};
  if (sequence) fields.emplace_back("source_sequence", sequence->value());
  if (!result.gaps.empty()) fields.emplace_back("gaps", Cell::Json(GapsJson(result.gaps)));
  context.output.Object(fields);
}

Result<std::unique_ptr<Replica>> OpenReplica(const std::filesystem::path& path,
                                             const PullCommandOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(path));
  Result<std::unique_ptr<Replica>> replica = Replica::Open(path, options.device);
  if (!replica.ok()) return replica.status().WithContext("replica");
  return replica;
}

Result<PullResult> Pull(Context& context, Replica& replica, Transport& transport) {
  std::string shown(kMainQueue);
  context.progress.Begin("pull", ProgressUnit::kRecords);
  Result<PullResult> result = replica.Pull(transport, [&](const PullProgress& progress) {
    if (progress.queue != shown) {
      context.progress.End();
      shown = progress.queue;
      context.progress.Begin("pull " + shown, ProgressUnit::kRecords);
    }
    context.progress.Update(progress.queue_records, progress.queue_owed);
  });
  context.progress.End();
  return result;
}

Status PullFromServer(Context& context,
                      const PullCommandOptions& options,
                      const std::filesystem::path& replica_path) {
  server::HttpTransportOptions where;
  where.url = context.globals.server;
  TIDEMARK_ASSIGN_OR_RETURN(where.token, ReadToken(context.globals));
  where.client.certificate_authority = context.globals.certificate_authority;
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica, OpenReplica(replica_path, options));
  server::HttpTransport transport(std::move(where), options.device);
  TIDEMARK_ASSIGN_OR_RETURN(const PullResult result, Pull(context, *replica, transport));
  PrintResult(context, result, std::nullopt);
  return {};
}

Status PullFromRoot(Context& context,
                    const PullCommandOptions& options,
                    const std::filesystem::path& replica_path) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto source_path,
                            InstancePath(context.globals.data, context.globals.instance));
  std::error_code different;  // or not there yet, which is different, too
  if (std::filesystem::equivalent(replica_path, source_path, different)) {
    return {ErrorCode::kInvalidArgument, "--replica and --data are the same folder"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(const auto source, Source::Open(*store));
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica, OpenReplica(replica_path, options));
  LocalTransport transport(*source);
  TIDEMARK_ASSIGN_OR_RETURN(const PullResult result, Pull(context, *replica, transport));
  PrintResult(context, result, store->last_sequence());
  // Nobody else owns this source, so nobody else forgets what its devices need no more.
  return result.nothing_owed ? Status() : source->Upkeep().status();
}

Status RunPull(Context& context, const PullCommandOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(options.device));
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica_path,
                            InstancePath(options.replica, context.globals.instance));
  if (!IsRemote(context)) return PullFromRoot(context, options, replica_path);
  return PullFromServer(context, options, replica_path);
}

}  // namespace

void AddPullCommand(CommandTable& table) {
  table.Add<PullCommandOptions>(
      {"pull",
       "Bring a replica up to date",
       "  tidemark pull --data ./data --replica ./tablet --device tablet-7\n"
       "  tidemark pull --server http://127.0.0.1:8787 --replica ./tablet --device tablet-7\n"
       "  tidemark scan --data ./tablet contact\n",
       /*over_http=*/true},
      &DeclarePull,
      &RunPull);
}

}  // namespace tidemark::tools
