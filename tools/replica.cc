// pull, push, sync: a replica and its source, which is a server or a local data root.
#include "replication/replica.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "replication/source.h"
#include "replication/transport.h"
#include "server/http_transport.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/remote.h"
#include "tools/sync_fields.h"

namespace tidemark::tools {
namespace {

struct ReplicaCommandOptions {
  std::string replica;
  std::string device;
  std::optional<uint64_t> retry_after_max;  // seconds
};

void DeclareReplica(Arguments& arguments, ReplicaCommandOptions& options) {
  arguments.RequiredText("--replica", options.replica, "Data root of the replica");
  arguments.RequiredText("--device", options.device, "Id of the device that the replica is");
  arguments.Unsigned("--retry-after-max",
                     options.retry_after_max,
                     "Seconds to wait for a server that asks for time; 60 by default");
}

/// A replica, its source, and the way there, whichever it is.
struct Connection {
  std::unique_ptr<Store> store;    // of a local source
  std::unique_ptr<Source> source;  // the same
  std::unique_ptr<Replica> replica;
  std::unique_ptr<Transport> transport;
};

Result<std::unique_ptr<Replica>> OpenReplica(const std::filesystem::path& path,
                                             const ReplicaCommandOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(path));
  Result<std::unique_ptr<Replica>> replica = Replica::Open(path, options.device);
  if (!replica.ok()) return replica.status().WithContext("replica");
  return replica;
}

Result<Connection> ConnectToServer(Context& context,
                                   const ReplicaCommandOptions& options,
                                   const std::filesystem::path& replica_path) {
  server::HttpTransportOptions where;
  where.url = context.globals.server;
  if (options.retry_after_max.has_value()) {
    constexpr uint64_t kDay = 86'400;
    if (*options.retry_after_max > kDay) {
      return {ErrorCode::kInvalidArgument, "--retry-after-max is at most a day, 86400"};
    }
    where.retry_after_max = std::chrono::seconds(*options.retry_after_max);
  }
  TIDEMARK_ASSIGN_OR_RETURN(where.token, ReadToken(context.globals));
  where.client.certificate_authority = context.globals.certificate_authority;
  Connection connection;
  TIDEMARK_ASSIGN_OR_RETURN(connection.replica, OpenReplica(replica_path, options));
  connection.transport = std::make_unique<server::HttpTransport>(std::move(where), options.device);
  return connection;
}

Result<Connection> ConnectToRoot(Context& context,
                                 const ReplicaCommandOptions& options,
                                 const std::filesystem::path& replica_path) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto source_path,
                            InstancePath(context.globals.data, context.globals.instance));
  std::error_code different;  // or not there yet, which is different, too
  if (std::filesystem::equivalent(replica_path, source_path, different)) {
    return {ErrorCode::kInvalidArgument, "--replica and --data are the same folder"};
  }
  Connection connection;
  TIDEMARK_ASSIGN_OR_RETURN(connection.store, OpenInstance(context.globals, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(connection.source, Source::Open(*connection.store));
  TIDEMARK_ASSIGN_OR_RETURN(connection.replica, OpenReplica(replica_path, options));
  connection.transport = std::make_unique<LocalTransport>(*connection.source);
  return connection;
}

Result<Connection> Connect(Context& context, const ReplicaCommandOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(options.device));
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica_path,
                            InstancePath(options.replica, context.globals.instance));
  return IsRemote(context) ? ConnectToServer(context, options, replica_path)
                           : ConnectToRoot(context, options, replica_path);
}

Result<PullResult> Pull(Context& context, const Connection& connection) {
  std::string shown(kMainQueue);
  context.progress.Begin("pull", ProgressUnit::kRecords);
  Result<PullResult> result =
      connection.replica->Pull(*connection.transport, [&](const PullProgress& progress) {
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

Result<PushTotals> Push(Context& context, const Connection& connection) {
  const uint64_t pending = connection.replica->outbox().pending;
  context.progress.Begin("push", ProgressUnit::kRecords);
  Result<PushTotals> totals =
      connection.replica->Push(*connection.transport, [&](const PushTotals& sofar) {
        uint64_t answered = 0;
        for (const uint64_t count : sofar.counts) answered += count;
        context.progress.Update(answered, pending);
      });
  context.progress.End();
  return totals;
}

/// Nobody else owns a local source, so nobody else forgets what its devices need no more.
Status TidyUp(const Connection& connection) {
  return connection.source == nullptr ? Status() : connection.source->Upkeep().status();
}

void AddSourceFields(const Connection& connection, Fields* fields) {
  if (connection.store == nullptr) return;
  fields->emplace_back("source_sequence", connection.store->last_sequence().value());
}

Status RunPull(Context& context, const ReplicaCommandOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const Connection connection, Connect(context, options));
  TIDEMARK_ASSIGN_OR_RETURN(const PullResult result, Pull(context, connection));
  Fields fields;
  AddPullFields(result, &fields);
  AddSourceFields(connection, &fields);
  context.output.Object(fields);
  return result.nothing_owed ? Status() : TidyUp(connection);
}

Status RunPush(Context& context, const ReplicaCommandOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const Connection connection, Connect(context, options));
  TIDEMARK_ASSIGN_OR_RETURN(const PushTotals totals, Push(context, connection));
  Fields fields;
  AddPushFields(totals, connection.replica->outbox(), &fields);
  AddSourceFields(connection, &fields);
  context.output.Object(fields);
  return CheckRefused(totals);
}

struct SyncCommandOptions {
  ReplicaCommandOptions replica;
  std::optional<uint64_t> retries;
};

void DeclareSync(Arguments& arguments, SyncCommandOptions& options) {
  DeclareReplica(arguments, options.replica);
  arguments.Unsigned("--retries",
                     options.retries,
                     "Try again so often, ever later, when the source cannot be asked");
}

Status RunSync(Context& context, const SyncCommandOptions& options) {
  constexpr uint64_t kRetriesMax = 1000;
  if (options.retries.value_or(0) > kRetriesMax) {
    return {ErrorCode::kInvalidArgument, "--retries is at most 1000"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const Connection connection, Connect(context, options.replica));
  const RetryPolicy retry{.attempts = 1 + static_cast<int>(options.retries.value_or(0))};
  context.progress.Begin("sync", ProgressUnit::kRecords);
  const Result<SyncResult> result = connection.replica->Sync(
      *connection.transport,
      [&](const PullProgress& progress) {
        context.progress.Update(progress.records, progress.owed);
      },
      retry);
  context.progress.End();
  if (!result.ok()) return result.status();
  Fields fields;
  AddPushFields(result->push, connection.replica->outbox(), &fields);
  AddPullFields(result->pull, &fields);
  AddSourceFields(connection, &fields);
  context.output.Object(fields);
  TIDEMARK_RETURN_IF_ERROR(TidyUp(connection));
  return CheckRefused(result->push);
}

}  // namespace

void AddReplicaCommands(CommandTable& table) {
  table.Add<ReplicaCommandOptions>(
      {"pull",
       "Bring a replica up to date",
       "  tidemark pull --data ./data --replica ./tablet --device tablet-7\n"
       "  tidemark pull --server http://127.0.0.1:8787 --replica ./tablet --device tablet-7\n"
       "  tidemark scan --data ./tablet contact\n",
       /*over_http=*/true},
      &DeclareReplica,
      &RunPull);
  table.Add<ReplicaCommandOptions>(
      {"push",
       "Send what was written to a replica to its source",
       "  tidemark put --data ./tablet contact 7 '{\"name\":\"Ada\"}'\n"
       "  tidemark push --server http://127.0.0.1:8787 --replica ./tablet --device tablet-7\n"
       "  tidemark outbox list --data ./tablet\n",
       /*over_http=*/true},
      &DeclareReplica,
      &RunPush);
  table.Add<SyncCommandOptions>(
      {"sync",
       "Push, then pull",
       "  tidemark sync --data ./data --replica ./tablet --device tablet-7\n"
       "  tidemark sync --server http://127.0.0.1:8787 --replica ./tablet --device tablet-7 "
       "--retries 5\n",
       /*over_http=*/true},
      &DeclareSync,
      &RunSync);
}

}  // namespace tidemark::tools
