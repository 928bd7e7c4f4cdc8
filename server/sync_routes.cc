#include "server/sync_routes.h"

#include <string>
#include <string_view>
#include <utility>

#include "format/json.h"
#include "replication/sync_tracker.h"
#include "server/reply.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kScopeType = "sync_scope";
constexpr std::string_view kStatusType = "sync_status";

SyncTracker& TrackerOf(const Call& call) {
  return call.instance->tracker();
}
const std::string& IdOf(const Call& call) {
  return call.captures[0];
}

/// A page of items that are sorted by id.
template <typename Item>
http::Response List(const Call& call,
                    const std::vector<Item>& items,
                    std::string (*to_json)(const Item&),
                    std::string_view type) {
  const Result<uint64_t> limit = ReadLimit(*call.request);
  if (!limit.ok()) return Refuse(call, limit.status());
  const std::string after(call.request->Query("after").value_or(""));
  JsonWriter list;
  list.BeginObject().Key("items").BeginArray();
  uint64_t count = 0;
  bool more = false;
  for (const Item& item : items) {
    if (item.id <= after) continue;
    more = count == *limit || list.text().size() > kListBytesMax;
    if (more) break;
    list.BeginObject().Key("data").Raw(to_json(item));
    list.Key("meta").BeginObject().Key("type").String(type).EndObject().EndObject();
    ++count;
  }
  list.EndArray().Key("meta").BeginObject().Key("type").String("collection");
  list.Key("count").Unsigned(count).Key("more").Bool(more).EndObject().EndObject();
  return JsonReply(200, list.Take());
}

http::Response NotThere(const Call& call, std::string_view what) {
  return Refuse(call, Status(ErrorCode::kNotFound, "there is no " + std::string(what)));
}

http::Response Deleted(const Call& call, const Result<bool>& deleted, std::string_view type) {
  if (!deleted.ok()) return Refuse(call, deleted.status());
  JsonWriter data;
  data.BeginObject().Key("deleted").Bool(*deleted).EndObject();
  return DataReply(200, data.text(), type);
}

// --- Scopes ---

http::Response ScopeReply(const Call& call, const Result<SyncScope>& scope) {
  if (!scope.ok()) return Refuse(call, scope.status());
  return DataReply(200, SyncScopeToJson(*scope), kScopeType);
}

http::Response ListScopes(const Call& call) {
  return List(call, TrackerOf(call).ListScopes(), &SyncScopeToJson, kScopeType);
}

http::Response ShowScope(const Call& call) {
  const auto scope = TrackerOf(call).FindScope(IdOf(call));
  return scope.has_value() ? ScopeReply(call, *scope) : NotThere(call, "such sync scope");
}

/// `{"members":["a","b"]}`
Result<std::vector<std::string>> ReadMembers(const http::Request& request) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(request.body));
  if (fields.size() != 1 || fields.front().name != "members") {
    return FieldError(fields.empty() ? "members" : fields.front().name,
                      "is wrong: give \"members\", the ids of the syncs in the scope");
  }
  const JsonField& field = fields.front();
  if (field.type != JsonType::kArray) return FieldError(field.name, "must be an array");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> elements, ReadJsonArray(field.text));
  std::vector<std::string> members;
  for (const JsonField& element : elements) {
    if (element.type != JsonType::kString) return FieldError(field.name, "must hold strings");
    members.push_back(element.text);
  }
  return members;
}

using Starting = Result<SyncScope> (SyncTracker::*)(std::string_view,
                                                    const std::vector<std::string>&);

http::Response Start(const Call& call, Starting start) {
  const Result<std::vector<std::string>> members = ReadMembers(*call.request);
  if (!members.ok()) return Refuse(call, members.status());
  return ScopeReply(call, (TrackerOf(call).*start)(IdOf(call), *members));
}

http::Response StartScope(const Call& call) {
  return Start(call, &SyncTracker::StartScope);
}
http::Response StartScopeIfIdle(const Call& call) {
  return Start(call, &SyncTracker::StartScopeIfIdle);
}
http::Response InterruptScope(const Call& call) {
  return ScopeReply(call, TrackerOf(call).InterruptScope(IdOf(call)));
}
http::Response DeleteScope(const Call& call) {
  const auto force = call.request->Query("force");
  if (force.has_value() && *force != "true" && *force != "false") {
    return Refuse(call, FieldError("force", "must be true or false"));
  }
  return Deleted(call, TrackerOf(call).DeleteScope(IdOf(call), force == "true"), kScopeType);
}

// --- Statuses ---

http::Response ListStatuses(const Call& call) {
  return List(call, TrackerOf(call).ListStatuses(), &SyncStatusToJson, kStatusType);
}
http::Response ShowStatus(const Call& call) {
  const auto status = TrackerOf(call).FindStatus(IdOf(call));
  if (!status.has_value()) return NotThere(call, "such sync status");
  return DataReply(200, SyncStatusToJson(*status), kStatusType);
}
http::Response DeleteStatus(const Call& call) {
  return Deleted(call, TrackerOf(call).DeleteStatus(IdOf(call)), kStatusType);
}

}  // namespace

std::vector<Route> SyncRoutes() {
  using http::Method;
  const std::string scope = "/v1/sync-scopes/{id}";
  const std::string status = "/v1/sync-status/{id}";
  return {
      Reading({"after", "limit"},
              {Method::kGet, "/v1/sync-scopes", Role::kReader, Answer(ListScopes)}),
      {Method::kGet, scope, Role::kReader, Answer(ShowScope)},
      {Method::kPost, scope + "/start", Role::kWriter, Answer(StartScope)},
      {Method::kPost, scope + "/start-if-idle", Role::kWriter, Answer(StartScopeIfIdle)},
      {Method::kPost, scope + "/interrupt", Role::kWriter, Answer(InterruptScope)},
      Reading({"force"}, {Method::kDelete, scope, Role::kWriter, Answer(DeleteScope)}),
      Reading({"after", "limit"},
              {Method::kGet, "/v1/sync-status", Role::kReader, Answer(ListStatuses)}),
      {Method::kGet, status, Role::kReader, Answer(ShowStatus)},
      {Method::kDelete, status, Role::kWriter, Answer(DeleteStatus)},
  };
}

}  // namespace tidemark::server
