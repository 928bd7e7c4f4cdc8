// queues: parts of what devices are owed that are drained first.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "replication/source.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/grants.h"
#include "tools/remote.h"

namespace tidemark::tools {
namespace {

constexpr std::string_view kPath = "/v1/queues";

const std::vector<RemoteColumn> kRemoteQueue = {
    {"queue", {"name"}}, {"order", {"order"}}, {"parts", {"entities"}}};

Cell PartsCell(const QueueDeclaration& queue) {
  std::vector<std::string> parts;
  for (const Grant& grant : queue.parts.grants) parts.push_back(DescribeGrant(grant));
  return Cell::List(parts);
}

std::string PathOf(const std::string& queue) {
  return std::string(kPath) + "/" + Escape(queue);
}

Status RunList(Context& context, const NoOptions& /*options*/) {
  if (IsRemote(context)) {
    std::vector<RemoteColumn> columns = kRemoteQueue;
    for (RemoteColumn& column : columns) column.path.insert(column.path.begin(), "data");
    return PrintRemoteList(context, std::string(kPath), columns);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kRead));
  Rows rows(context.output, {"queue", "order", "parts"});
  for (const QueueDeclaration& queue : open.source->ListQueues()) {
    rows.Add({queue.name, uint64_t{queue.order}, PartsCell(queue)});
  }
  rows.Finish();
  return {};
}

struct DeclareOptions {
  std::string name;
  std::optional<uint64_t> order;
  std::vector<std::string> entities;
  std::vector<std::string> where;
};

void DeclareDeclare(Arguments& arguments, DeclareOptions& options) {
  arguments.RequiredText("name,--queue", options.name, "Name of the queue");
  arguments.Unsigned("--order", options.order, "Lower ones come first; 0 by default");
  arguments.List("--entity", options.entities, "What is in it; give it several times");
  arguments.Texts("--where",
                  options.where,
                  "Records of an entity by values of a declared key, as "
                  "ENTITY:FIELD=VALUE[,VALUE...][;FIELD=...]; give it several times");
}

Status RunDeclare(Context& context, const DeclareOptions& options) {
  const uint64_t order = options.order.value_or(0);
  if (order > kQueueOrderMax) {
    return {ErrorCode::kInvalidArgument, "--order is 0 to " + std::to_string(kQueueOrderMax)};
  }
  QueueDeclaration queue{.name = options.name,
                         .order = static_cast<uint32_t>(order),
                         .parts = SelectionRule::Entities(options.entities)};
  for (const std::string& text : options.where) {
    TIDEMARK_ASSIGN_OR_RETURN(Grant grant, ParseGrant(text));
    queue.parts.grants.push_back(std::move(grant));
  }
  if (IsRemote(context)) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
    TIDEMARK_ASSIGN_OR_RETURN(
        const std::string answer,
        remote->Ask(http::Method::kPut, PathOf(queue.name), QueueToJson(queue)));
    return PrintRemoteObject(context, answer, kRemoteQueue);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kWrite));
  TIDEMARK_RETURN_IF_ERROR(open.source->DeclareQueue(queue));
  context.output.Object({{"queue", queue.name}, {"order", order}, {"parts", PartsCell(queue)}});
  return {};
}

struct DropOptions {
  std::string name;
};

void DeclareDrop(Arguments& arguments, DropOptions& options) {
  arguments.RequiredText("name,--queue", options.name, "Name of the queue");
}

Status RunDrop(Context& context, const DropOptions& options) {
  if (IsRemote(context)) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
    TIDEMARK_RETURN_IF_ERROR(remote->Ask(http::Method::kDelete, PathOf(options.name)).status());
  } else {
    TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kWrite));
    TIDEMARK_RETURN_IF_ERROR(open.source->DropQueue(options.name));
  }
  context.output.Object({{"dropped", options.name}});
  return {};
}

}  // namespace

void AddQueueCommands(CommandTable& table) {
  table.AddGroup("queues", "Queues beside main: what devices drain first");
  table.Add<NoOptions>({"queues list",
                        "List the queues, the most important first",
                        "  tidemark queues list --data ./data\n",
                        /*over_http=*/true},
                       &DeclareNothing,
                       &RunList);
  table.Add<DeclareOptions>(
      {"queues declare",
       "Declare a queue, or replace its declaration, for sessions to come",
       "  tidemark queues declare --data ./data today --order 1 --where 'visit:state=\"open\"'\n"
       "  tidemark queues declare --data ./data people --order 2 --entity contact\n",
       /*over_http=*/true},
      &DeclareDeclare,
      &RunDeclare);
  table.Add<DropOptions>({"queues drop",
                          "Drop a queue; what was in it stays in the others and in main",
                          "  tidemark queues drop --data ./data today\n",
                          /*over_http=*/true},
                         &DeclareDrop,
                         &RunDrop);
}

}  // namespace tidemark::tools
