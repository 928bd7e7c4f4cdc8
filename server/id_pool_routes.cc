#include "server/id_pool_routes.h"

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/coding.h"
#include "format/json.h"
#include "replication/id_pool.h"
#include "server/id_pool_json.h"
#include "server/reply.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kPoolType = "id_pool";
constexpr std::string_view kLeaseType = "id_lease";

IdPools& PoolsOf(const Call& call) {
  return call.instance->id_pools();
}
const std::string& NameOf(const Call& call) {
  return call.captures[0];
}

// --- Pools ---

http::Response PoolReply(const Call& call, const Result<IdPoolInfo>& pool) {
  if (!pool.ok()) return Refuse(call, pool.status());
  return DataReply(200, IdPoolToJson(*pool), kPoolType);
}

http::Response ShowPool(const Call& call) {
  return PoolReply(call, PoolsOf(call).Find(NameOf(call)));
}

http::Response DefinePool(const Call& call) {
  const Result<IdPoolDefinition> definition = IdPoolDefinitionFromJson(call.request->body);
  if (!definition.ok()) return Refuse(call, definition.status());
  return PoolReply(call, PoolsOf(call).Define(NameOf(call), *definition));
}

/// `{"from":N}`
http::Response ResumePool(const Call& call) {
  const auto fields = ReadJsonObject(call.request->body);
  if (!fields.ok()) return Refuse(call, fields.status());
  if (fields->size() != 1 || fields->front().name != "from") {
    return Refuse(call, FieldError("from", "must be given, and nothing else"));
  }
  const Result<uint64_t> from = ReadUnsigned(fields->front(), std::numeric_limits<int64_t>::max());
  if (!from.ok()) return Refuse(call, from.status());
  return PoolReply(call, PoolsOf(call).Resume(NameOf(call), *from));
}

/// A list's items, and where the next page begins.
class ListReply {
 public:
  ListReply() { out_.BeginObject().Key("items").BeginArray(); }

  void Add(std::string_view data, std::string_view type) {
    out_.BeginObject().Key("data").Raw(data);
    out_.Key("meta").BeginObject().Key("type").String(type).EndObject().EndObject();
    ++count_;
  }
  http::Response Finish(bool more, std::string_view next = {}) {
    out_.EndArray().Key("meta").BeginObject().Key("type").String("collection");
    out_.Key("count").Unsigned(count_).Key("more").Bool(more);
    if (more && !next.empty()) out_.Key("next").String(next);
    out_.EndObject().EndObject();
    return JsonReply(200, out_.Take());
  }

 private:
  JsonWriter out_;
  uint64_t count_ = 0;
};

http::Response ListPools(const Call& call) {
  const Result<uint64_t> limit = ReadLimit(*call.request);
  if (!limit.ok()) return Refuse(call, limit.status());
  const std::string after(call.request->Query("after").value_or(""));
  ListReply list;
  uint64_t left = *limit;
  for (const IdPoolInfo& pool : PoolsOf(call).List()) {
    if (pool.name <= after) continue;
    if (left-- == 0) return list.Finish(/*more=*/true);
    list.Add(IdPoolToJson(pool), kPoolType);
  }
  return list.Finish(/*more=*/false);
}

// --- Who holds what ---

std::string CursorOf(const IdHolder& holder) {
  std::string bytes;
  AppendBytes(&bytes, holder.device);
  AppendBytes(&bytes, holder.user);
  return Base64UrlEncode(bytes);
}

Result<std::optional<IdHolder>> ReadCursor(const http::Request& request) {
  const auto text = request.Query("after");
  if (!text || text->empty()) return std::optional<IdHolder>();
  const auto bytes = Base64UrlDecode(*text);
  ByteReader reader(bytes ? *bytes : std::string_view());
  IdHolder holder;
  holder.device = reader.Bytes();
  holder.user = reader.Bytes();
  if (!bytes || !reader.Finished()) return FieldError("after", "must be what a list called next");
  return std::optional(std::move(holder));
}

http::Response ListHolders(const Call& call) {
  const Result<uint64_t> limit = ReadLimit(*call.request);
  if (!limit.ok()) return Refuse(call, limit.status());
  const auto after = ReadCursor(*call.request);
  if (!after.ok()) return Refuse(call, after.status());
  auto holders = PoolsOf(call).ListHolders(NameOf(call), *after, *limit + 1);
  if (!holders.ok()) return Refuse(call, holders.status());
  const bool more = holders->size() > *limit;
  if (more) holders->pop_back();
  ListReply list;
  for (const IdHolderInfo& holder : *holders) list.Add(IdHolderToJson(holder), "id_holder");
  return list.Finish(more, holders->empty() ? "" : CursorOf(holders->back().holder));
}

http::Response ListLeases(const Call& call) {
  constexpr uint64_t kAnyLease = (uint64_t{1} << 53) - 1;
  const http::Request& request = *call.request;
  const Result<uint64_t> limit = ReadLimit(request);
  if (!limit.ok()) return Refuse(call, limit.status());
  const Result<uint64_t> after = ReadNumber(request, "after", 0, 0, kAnyLease);
  if (!after.ok()) return Refuse(call, after.status());
  const IdHolder holder{std::string(request.Query("device").value_or("")),
                        std::string(request.Query("user").value_or(""))};
  if (holder.device.empty()) return Refuse(call, FieldError("device", "must be given"));
  auto leases = PoolsOf(call).ListLeases(NameOf(call), holder, *after, *limit + 1);
  if (!leases.ok()) return Refuse(call, leases.status());
  const bool more = leases->size() > *limit;
  if (more) leases->pop_back();
  ListReply list;
  for (const IdLeaseInfo& lease : *leases) list.Add(IdLeaseInfoToJson(lease), kLeaseType);
  return list.Finish(more);
}

// --- Leases ---

http::Response Lease(const Call& call) {
  Result<IdLeaseRequest> request = IdLeaseRequestFromJson(call.request->body, call.caller.device);
  if (!request.ok()) return Refuse(call, request.status());
  if (auto refused = RefuseForeignDevice(call, request->holder.device)) return *std::move(refused);
  request->pool = NameOf(call);
  const Result<IdLease> lease = PoolsOf(call).Lease(*request);
  if (!lease.ok()) return Refuse(call, lease.status());
  return DataReply(200, IdLeaseToJson(*lease), kLeaseType);
}

http::Response ReportOn(const Call& call, bool release) {
  Result<IdReport> report = IdReportFromJson(call.request->body, call.caller.device);
  if (!report.ok()) return Refuse(call, report.status());
  if (auto refused = RefuseForeignDevice(call, report->holder.device)) return *std::move(refused);
  report->pool = NameOf(call);
  report->release = release;
  const Result<std::vector<VoidLease>> voided = PoolsOf(call).Report(*report);
  if (!voided.ok()) return Refuse(call, voided.status());
  return DataReply(200, VoidLeasesToJson(*voided), "id_report");
}

http::Response Report(const Call& call) {
  return ReportOn(call, /*release=*/false);
}
http::Response Release(const Call& call) {
  return ReportOn(call, /*release=*/true);
}

http::Response Reclaim(const Call& call) {
  Result<IdReclaim> reclaim = IdReclaimFromJson(call.request->body);
  if (!reclaim.ok()) return Refuse(call, reclaim.status());
  reclaim->pool = NameOf(call);
  const Result<uint64_t> count = PoolsOf(call).Reclaim(call.instance->source(), *reclaim);
  if (!count.ok()) return Refuse(call, count.status());
  JsonWriter data;
  data.BeginObject().Key("reclaimed").Unsigned(*count).EndObject();
  return DataReply(200, data.text(), "id_reclaim");
}

Route ForDevices(Route route) {
  route.for_devices = true;
  return route;
}

}  // namespace

std::vector<Route> IdPoolRoutes() {
  using http::Method;
  const std::string pools = "/v1/id-pools";
  const std::string pool = pools + "/{pool}";
  return {
      Reading({"after", "limit"}, {Method::kGet, pools, Role::kReader, Answer(ListPools)}),
      {Method::kGet, pool, Role::kReader, Answer(ShowPool)},
      {Method::kPut, pool, Role::kAdmin, Answer(DefinePool)},
      Reading({"after", "limit"},
              {Method::kGet, pool + "/holders", Role::kReader, Answer(ListHolders)}),
      Reading({"device", "user", "after", "limit"},
              {Method::kGet, pool + "/leases", Role::kReader, Answer(ListLeases)}),
      ForDevices({Method::kPost, pool + "/lease", Role::kWriter, Answer(Lease)}),
      ForDevices({Method::kPost, pool + "/report", Role::kWriter, Answer(Report)}),
      ForDevices({Method::kPost, pool + "/release", Role::kWriter, Answer(Release)}),
      {Method::kPost, pool + "/reclaim", Role::kAdmin, Answer(Reclaim)},
      {Method::kPost, pool + "/resume", Role::kAdmin, Answer(ResumePool)},
  };
}

}  // namespace tidemark::server
