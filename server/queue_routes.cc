#include "server/queue_routes.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "format/json.h"
#include "replication/source.h"
#include "server/reply.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kType = "queue";

std::string ToJson(const QueueDeclaration& queue) {
  // Its members, and the name before them.
  JsonWriter name;
  name.BeginObject().Key("name").String(queue.name);
  return name.Take().append(",").append(QueueToJson(queue), 1);
}

const QueueDeclaration* Find(const std::vector<QueueDeclaration>& queues, std::string_view name) {
  const auto at = std::find_if(queues.begin(), queues.end(), [&](const QueueDeclaration& queue) {
    return queue.name == name;
  });
  return at == queues.end() ? nullptr : &*at;
}

http::Response NoSuchQueue(const Call& call) {
  return Refuse(
      call, {ErrorCode::kNotFound, "there is no queue \"" + call.captures[0] + "\" beside main"});
}

http::Response ListQueues(const Call& call) {
  const Result<uint64_t> limit =
      ReadNumber(*call.request, "limit", kListLimitMax, 1, kListLimitMax);
  if (!limit.ok()) return Refuse(call, limit.status());
  const std::string_view after = call.request->Query("after").value_or("");
  const std::vector<QueueDeclaration> queues = call.instance->source().ListQueues();
  const QueueDeclaration* before = Find(queues, after);
  uint64_t count = 0;
  bool more = false;
  JsonWriter list;
  list.BeginObject().Key("items").BeginArray();
  for (const QueueDeclaration& queue : queues) {
    if (before != nullptr && &queue <= before) continue;
    more = count == *limit;
    if (more) break;
    ++count;
    list.BeginObject().Key("data").Raw(ToJson(queue));
    list.Key("meta").BeginObject().Key("type").String(kType).EndObject().EndObject();
  }
  list.EndArray().Key("meta").BeginObject().Key("type").String("collection");
  list.Key("count").Unsigned(count).Key("more").Bool(more).EndObject().EndObject();
  return JsonReply(200, list.Take());
}

http::Response ShowQueue(const Call& call) {
  const std::vector<QueueDeclaration> queues = call.instance->source().ListQueues();
  const QueueDeclaration* queue = Find(queues, call.captures[0]);
  return queue == nullptr ? NoSuchQueue(call) : DataReply(200, ToJson(*queue), kType);
}

http::Response DeclareQueue(const Call& call) {
  Source& source = call.instance->source();
  const auto queue = QueueFromJson(call.captures[0], call.request->body);
  if (!queue.ok()) return Refuse(call, queue.status());
  const bool known = Find(source.ListQueues(), queue->name) != nullptr;
  if (Status declared = source.DeclareQueue(*queue); !declared.ok()) return Refuse(call, declared);
  return DataReply(known ? 200 : 201, ToJson(*queue), kType);
}

http::Response DropQueue(const Call& call) {
  const Status dropped = call.instance->source().DropQueue(call.captures[0]);
  if (dropped.code() == ErrorCode::kNotFound) return NoSuchQueue(call);
  if (!dropped.ok()) return Refuse(call, dropped);
  return EmptyReply(204);
}

}  // namespace

std::vector<Route> QueueRoutes() {
  using http::Method;
  const std::string queue = "/v1/queues/{queue}";
  return {
      Reading({"after", "limit"}, {Method::kGet, "/v1/queues", Role::kReader, Answer(ListQueues)}),
      {Method::kGet, queue, Role::kReader, Answer(ShowQueue)},
      {Method::kPut, queue, Role::kAdmin, Answer(DeclareQueue)},
      {Method::kDelete, queue, Role::kAdmin, Answer(DropQueue)},
  };
}

}  // namespace tidemark::server
