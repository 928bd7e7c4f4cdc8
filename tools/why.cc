// why: what a device was or was not sent, and why.
#include <string>

#include "replication/source.h"
#include "server/why_json.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/remote.h"

namespace tidemark::tools {
namespace {

struct WhyOptions {
  std::string device;
  std::string entity;
  std::string id;
};

void DeclareWhy(Arguments& arguments, WhyOptions& options) {
  arguments.RequiredText("--device", options.device, "Id of the device");
  arguments.RequiredText("entity,--entity", options.entity, "Name of the entity");
  arguments.RequiredText("record,--record", options.id, "Id of the record");
}

Status WhyRemote(Context& context, const WhyOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  const std::string path = "/v1/devices/" + Escape(options.device) +
                           "/why?entity=" + Escape(options.entity) +
                           "&record=" + Escape(options.id);
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, remote->Ask(http::Method::kGet, path));
  TIDEMARK_ASSIGN_OR_RETURN(const auto data, ReadJsonFields(answer, {"data"}));
  if (!data.front()) return {ErrorCode::kUnavailable, "the answer explains nothing"};
  if (context.output.format() != OutputFormat::kTable) {
    context.output.Line(data.front()->text);
    return {};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto parts,
                            ReadJsonFields(data.front()->text, {"state", "reasons"}));
  if (!parts[0] || !parts[1]) return {ErrorCode::kUnavailable, "the answer explains nothing"};
  TIDEMARK_ASSIGN_OR_RETURN(const auto reasons, ReadJsonArray(parts[1]->text));
  context.output.Line(options.entity + " " + options.id + " on " + options.device + ": " +
                      parts[0]->text);
  for (const JsonField& reason : reasons) context.output.Line("  " + reason.text);
  return {};
}

Status RunWhy(Context& context, const WhyOptions& options) {
  if (IsRemote(context)) return WhyRemote(context, options);
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  TIDEMARK_ASSIGN_OR_RETURN(const auto source, Source::Open(*store));
  TIDEMARK_ASSIGN_OR_RETURN(const DeliveryExplanation explanation,
                            source->Explain(options.device, options.entity, options.id));
  if (context.output.format() != OutputFormat::kTable) {
    context.output.Line(server::ExplanationToJson(explanation));
    return {};
  }
  context.output.Line(explanation.entity + " " + explanation.id + " on " + explanation.device +
                      ": " + std::string(ToString(explanation.state)));
  for (const std::string& reason : explanation.reasons) context.output.Line("  " + reason);
  return {};
}

}  // namespace

void AddWhyCommand(CommandTable& table) {
  table.Add<WhyOptions>({"why",
                         "Explain what a device was or was not sent, and why",
                         "  tidemark why --data ./data --device tablet-7 contact 1001\n"
                         "  tidemark why --data ./data --device tablet-7 contact 1001 "
                         "--output json\n",
                         /*over_http=*/true},
                        &DeclareWhy,
                        &RunWhy);
}

}  // namespace tidemark::tools
