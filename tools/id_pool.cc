// id-pool: ids that the store makes, leased in blocks to devices.
#include "replication/id_pool.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/id_pool_json.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/remote.h"

namespace tidemark::tools {
namespace {

struct OpenPools {
  std::unique_ptr<Store> store;  // outlives the others
  std::unique_ptr<Source> source;
  std::unique_ptr<IdPools> pools;
};

Result<OpenPools> Open(Context& context, Access access) {
  OpenPools open;
  TIDEMARK_ASSIGN_OR_RETURN(open.store, OpenInstance(context.globals, access));
  TIDEMARK_ASSIGN_OR_RETURN(open.source, Source::Open(*open.store));
  TIDEMARK_ASSIGN_OR_RETURN(open.pools, IdPools::Open(*open.store));
  return open;
}

// --- What is shown: the same columns from a folder and from a server ---

std::vector<RemoteColumn> Columns(const std::vector<std::string>& members) {
  std::vector<RemoteColumn> columns;
  columns.reserve(members.size());
  for (const std::string& member : members) columns.push_back({member, {member}});
  return columns;
}

std::vector<RemoteColumn> InItems(std::vector<RemoteColumn> columns) {
  for (RemoteColumn& column : columns) column.path.insert(column.path.begin(), "data");
  return columns;
}

const std::vector<RemoteColumn> kPool = [] {
  auto columns = Columns({"id",
                          "from",
                          "to",
                          "digits",
                          "free",
                          "held",
                          "used",
                          "reclaimed",
                          "lost",
                          "leases",
                          "low",
                          "suspended",
                          "block_max",
                          "expires_after",
                          "per_day",
                          "per_holder",
                          "low_mark"});
  columns.front().name = "pool";
  return columns;
}();
const std::vector<RemoteColumn> kPoolRow(kPool.begin(), kPool.begin() + 12);
const std::vector<RemoteColumn> kHolder =
    Columns({"device", "user", "leases", "held", "used", "leased_today"});
const std::vector<RemoteColumn> kLease =
    Columns({"lease", "ranges", "count", "digits", "expires_at", "pool_free", "pool_low"});

/// What a call of the library answers, in the form in which a server answers it.
Status PrintLocal(Context& context,
                  const std::string& data,
                  const std::vector<RemoteColumn>& columns) {
  return PrintRemoteObject(context, R"({"data":)" + data + "}", columns);
}

std::string PathOf(const std::string& pool, const std::string& what = {}) {
  return "/v1/id-pools/" + Escape(pool) + what;
}

Result<std::string> Ask(Context& context,
                        http::Method method,
                        const std::string& path,
                        const std::string& body = {}) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  return remote->Ask(method, path, body);
}

// --- Commands ---

struct DefineOptions {
  std::string pool;
  std::optional<uint64_t> from;
  std::optional<uint64_t> to;
  std::optional<uint64_t> digits;
  std::optional<uint64_t> block_max;
  std::optional<uint64_t> expires_after;
  std::optional<uint64_t> per_day;
  std::optional<uint64_t> per_holder;
  std::optional<uint64_t> low_mark;
};

void DeclareDefine(Arguments& arguments, DefineOptions& options) {
  arguments.RequiredText("pool,--pool", options.pool, "Name of the pool");
  arguments.Unsigned("--from", options.from, "The first id; 1 by default");
  arguments.Unsigned("--to", options.to, "The id after the last one");
  arguments.Unsigned(
      "--digits", options.digits, "Ids are text of so many digits, with zeros first");
  arguments.Unsigned("--block-max", options.block_max, "Ids of one lease; 1,000 by default");
  arguments.Unsigned(
      "--expires-after", options.expires_after, "Seconds until a lease may be reclaimed");
  arguments.Unsigned("--per-day", options.per_day, "Ids for a device and user in a day");
  arguments.Unsigned("--per-holder", options.per_holder, "Ids for a device and user altogether");
  arguments.Unsigned("--low-mark", options.low_mark, "Fewer free ids are few; a tenth by default");
}

Result<IdPoolDefinition> DefinitionOf(const DefineOptions& options) {
  if (!options.to) return {ErrorCode::kInvalidArgument, "give --to, the id after the last one"};
  if (options.digits.value_or(0) > kIdDigitsMax) {
    return {ErrorCode::kInvalidArgument, "--digits is at most " + std::to_string(kIdDigitsMax)};
  }
  IdPoolDefinition definition;
  definition.range = {options.from.value_or(1), *options.to};
  definition.digits = static_cast<uint32_t>(options.digits.value_or(0));
  definition.block_max = options.block_max.value_or(kIdBlockDefault);
  definition.expires_after_s = options.expires_after.value_or(0);
  definition.per_day = options.per_day.value_or(0);
  definition.per_holder = options.per_holder.value_or(0);
  definition.low_mark = options.low_mark;
  return definition;
}

Status RunDefine(Context& context, const DefineOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const IdPoolDefinition definition, DefinitionOf(options));
  if (IsRemote(context)) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              Ask(context,
                                  http::Method::kPut,
                                  PathOf(options.pool),
                                  server::IdPoolDefinitionToJson(definition)));
    return PrintRemoteObject(context, answer, kPool);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenPools open, Open(context, Access::kCreate));
  TIDEMARK_ASSIGN_OR_RETURN(const IdPoolInfo pool, open.pools->Define(options.pool, definition));
  return PrintLocal(context, server::IdPoolToJson(pool), kPool);
}

Status RunList(Context& context, const NoOptions& /*options*/) {
  if (IsRemote(context)) return PrintRemoteList(context, "/v1/id-pools", InItems(kPoolRow));
  TIDEMARK_ASSIGN_OR_RETURN(const OpenPools open, Open(context, Access::kRead));
  std::vector<std::string> pools;
  for (const IdPoolInfo& pool : open.pools->List()) pools.push_back(server::IdPoolToJson(pool));
  return PrintObjects(context, pools, kPoolRow);
}

struct StatusOptions {
  std::string pool;
  bool devices = false;
};

void DeclareStatus(Arguments& arguments, StatusOptions& options) {
  arguments.RequiredText("pool,--pool", options.pool, "Name of the pool");
  arguments.Flag("--devices", options.devices, "What each device and user holds of it");
}

Status RunStatus(Context& context, const StatusOptions& options) {
  constexpr size_t kStep = 1000;
  if (IsRemote(context)) {
    if (options.devices) {
      return PrintRemoteList(context, PathOf(options.pool, "/holders"), InItems(kHolder));
    }
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              Ask(context, http::Method::kGet, PathOf(options.pool)));
    return PrintRemoteObject(context, answer, kPool);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenPools open, Open(context, Access::kRead));
  if (!options.devices) {
    TIDEMARK_ASSIGN_OR_RETURN(const IdPoolInfo pool, open.pools->Find(options.pool));
    return PrintLocal(context, server::IdPoolToJson(pool), kPool);
  }
  std::vector<std::string> rows;
  std::optional<IdHolder> after;
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<IdHolderInfo> holders,
                              open.pools->ListHolders(options.pool, after, kStep));
    for (const IdHolderInfo& holder : holders) rows.push_back(server::IdHolderToJson(holder));
    if (holders.size() < kStep) break;
    after = holders.back().holder;
  }
  return PrintObjects(context, rows, kHolder);
}

struct LeaseOptions {
  std::string pool;
  IdHolder holder;
  std::optional<uint64_t> count;
  std::string request_id;
};

void DeclareHolder(Arguments& arguments, std::string& pool, IdHolder& holder) {
  arguments.RequiredText("pool,--pool", pool, "Name of the pool");
  arguments.RequiredText("--device", holder.device, "Id of the device");
  arguments.Text("--user", holder.user, "Its user, if ids are leased to one");
}

void DeclareLease(Arguments& arguments, LeaseOptions& options) {
  DeclareHolder(arguments, options.pool, options.holder);
  arguments.Unsigned("--count", options.count, "Ids wanted; 100 by default");
  arguments.Text("--request-id", options.request_id, "Asking again by it answers the same lease");
}

Status RunLease(Context& context, const LeaseOptions& options) {
  constexpr uint64_t kCountDefault = 100;
  const IdLeaseRequest request{
      options.pool, options.holder, options.count.value_or(kCountDefault), options.request_id};
  if (IsRemote(context)) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              Ask(context,
                                  http::Method::kPost,
                                  PathOf(options.pool, "/lease"),
                                  server::WriteIdLeaseBody(request)));
    return PrintRemoteObject(context, answer, kLease);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenPools open, Open(context, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(const IdLease lease, open.pools->Lease(request));
  return PrintLocal(context, server::IdLeaseToJson(lease), kLease);
}

struct ReleaseOptions {
  std::string pool;
  IdHolder holder;
  std::optional<uint64_t> lease;
  std::optional<uint64_t> used;
};

void DeclareRelease(Arguments& arguments, ReleaseOptions& options) {
  DeclareHolder(arguments, options.pool, options.holder);
  arguments.Unsigned("--lease", options.lease, "Number of the lease");
  arguments.Unsigned("--used", options.used, "Ids at its beginning that were used");
}

Status RunRelease(Context& context, const ReleaseOptions& options) {
  if (!options.lease || !options.used) {
    return {ErrorCode::kInvalidArgument, "give --lease and --used, which no default can know"};
  }
  const IdReport report{options.pool, options.holder, {{*options.lease, *options.used}}, true};
  if (IsRemote(context)) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              Ask(context,
                                  http::Method::kPost,
                                  PathOf(options.pool, "/release"),
                                  server::WriteIdReportBody(report)));
    return PrintRemoteObject(context, answer, Columns({"void"}));
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenPools open, Open(context, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<VoidLease> voided, open.pools->Report(report));
  return PrintLocal(context, server::VoidLeasesToJson(voided), Columns({"void"}));
}

struct ReclaimOptions {
  std::string pool;
  IdHolder holder;
  std::optional<uint64_t> lease;
};

void DeclareReclaim(Arguments& arguments, ReclaimOptions& options) {
  DeclareHolder(arguments, options.pool, options.holder);
  arguments.Unsigned("--lease", options.lease, "Only this lease");
}

Status RunReclaim(Context& context, const ReclaimOptions& options) {
  const IdReclaim reclaim{options.pool, options.holder, options.lease};
  if (IsRemote(context)) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              Ask(context,
                                  http::Method::kPost,
                                  PathOf(options.pool, "/reclaim"),
                                  server::WriteIdReclaimBody(reclaim)));
    return PrintRemoteObject(context, answer, Columns({"reclaimed"}));
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenPools open, Open(context, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t count, open.pools->Reclaim(*open.source, reclaim));
  context.output.Object({{"reclaimed", count}});
  return {};
}

struct ResumeOptions {
  std::string pool;
  std::optional<uint64_t> from;
};

void DeclareResume(Arguments& arguments, ResumeOptions& options) {
  arguments.RequiredText("pool,--pool", options.pool, "Name of the pool");
  arguments.Unsigned("--from", options.from, "No id from this one on was ever leased");
}

Status RunResume(Context& context, const ResumeOptions& options) {
  if (!options.from) {
    return {ErrorCode::kInvalidArgument, "give --from, from where on no id was ever leased"};
  }
  if (IsRemote(context)) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                              Ask(context,
                                  http::Method::kPost,
                                  PathOf(options.pool, "/resume"),
                                  R"({"from":)" + std::to_string(*options.from) + "}"));
    return PrintRemoteObject(context, answer, kPool);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenPools open, Open(context, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(const IdPoolInfo pool, open.pools->Resume(options.pool, *options.from));
  return PrintLocal(context, server::IdPoolToJson(pool), kPool);
}

}  // namespace

void AddIdPoolCommands(CommandTable& table) {
  table.AddGroup("id-pool", "Id pools: ids that the store makes, leased in blocks to devices");
  table.Add<DefineOptions>({"id-pool define",
                            "Make a pool of ids, or widen one",
                            "  tidemark id-pool define registration --to 1000000 --digits 12\n",
                            /*over_http=*/true},
                           &DeclareDefine,
                           &RunDefine);
  table.Add<NoOptions>({"id-pool list",
                        "List the pools",
                        "  tidemark id-pool list --data ./data\n",
                        /*over_http=*/true},
                       &DeclareNothing,
                       &RunList);
  table.Add<StatusOptions>({"id-pool status",
                            "How a pool stands, or what devices hold of it",
                            "  tidemark id-pool status registration\n"
                            "  tidemark id-pool status registration --devices\n",
                            /*over_http=*/true},
                           &DeclareStatus,
                           &RunStatus);
  table.Add<LeaseOptions>({"id-pool lease",
                           "Lease a block of ids to a device and user",
                           "  tidemark id-pool lease registration --device tablet-7 --count 500\n",
                           /*over_http=*/true},
                          &DeclareLease,
                          &RunLease);
  table.Add<ReleaseOptions>(
      {"id-pool release",
       "Give back what was not used of a lease",
       "  tidemark id-pool release registration --device tablet-7 --lease 4294967297 --used 12\n",
       /*over_http=*/true},
      &DeclareRelease,
      &RunRelease);
  table.Add<ReclaimOptions>({"id-pool reclaim",
                             "Take back what a device holds that is gone for good: it was "
                             "forgotten, or its leases expired",
                             "  tidemark devices forget tablet-7\n"
                             "  tidemark id-pool reclaim registration --device tablet-7\n",
                             /*over_http=*/true},
                            &DeclareReclaim,
                            &RunReclaim);
  table.Add<ResumeOptions>({"id-pool resume",
                            "Lease again after a restore, from an id on that was never leased",
                            "  tidemark id-pool resume registration --from 250000\n",
                            /*over_http=*/true},
                           &DeclareResume,
                           &RunResume);
}

}  // namespace tidemark::tools
