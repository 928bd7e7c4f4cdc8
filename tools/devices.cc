// devices: marks, what is owed, what is held back, selections.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replication/source.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/grants.h"
#include "tools/remote.h"

namespace tidemark::tools {
namespace {

std::string_view StateOf(const DeviceInfo& device) {
  if (device.forgotten) return "forgotten";
  if (device.reset_pending) return "reset pending";
  if (device.session_open) return "in session";
  return device.at_rest ? "at rest" : "not settled";
}

Cell SelectionCell(const DeviceInfo& device) {
  if (device.rule.everything) return "everything";
  if (device.rule.grants.empty()) return "nothing";
  std::vector<std::string> grants;
  for (const Grant& grant : device.rule.grants) grants.push_back(DescribeGrant(grant));
  return Cell::List(grants);
}

const std::vector<RemoteColumn> kRemoteDevice = {{"device", {"id"}},
                                                 {"floor", {"marks", "floor"}},
                                                 {"sessions", {"marks", "sessions"}},
                                                 {"lag", {"lag"}},
                                                 {"owed", {"owed"}},
                                                 {"unacknowledged", {"marks", "unacknowledged"}},
                                                 {"holding", {"holding"}},
                                                 {"at_rest", {"at_rest"}},
                                                 {"reset_pending", {"reset_pending"}},
                                                 {"forgotten", {"forgotten"}},
                                                 {"selection", {"selection"}}};

Status ListRemote(Context& context) {
  std::vector<RemoteColumn> columns = kRemoteDevice;
  for (RemoteColumn& column : columns) column.path.insert(column.path.begin(), "data");
  return PrintRemoteList(context, "/v1/devices", columns);
}

// One call about one device, which answers how it stands then.
Status AskAbout(Context& context,
                const std::string& device,
                http::Method method,
                const std::string& what = {},
                const std::string& body = {}) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer,
                            remote->Ask(method, "/v1/devices/" + Escape(device) + what, body));
  return PrintRemoteObject(context, answer, kRemoteDevice);
}

Status RunList(Context& context, const NoOptions& /*options*/) {
  if (IsRemote(context)) return ListRemote(context);
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kRead));
  Rows rows(
      context.output,
      {"device", "state", "floor", "sessions", "owed", "unacknowledged", "holding", "selection"});
  for (const DeviceInfo& device : open.source->ListDevices()) {
    rows.Add({device.id,
              StateOf(device),
              device.floor.value(),
              device.sessions,
              device.owed,
              device.unacknowledged,
              device.holding,
              SelectionCell(device)});
  }
  rows.Finish();
  return {};
}

Status RunLag(Context& context, const NoOptions& /*options*/) {
  if (IsRemote(context)) return ListRemote(context);
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kRead));
  const SequenceNumber last = open.store->last_sequence();
  Rows rows(context.output, {"device", "floor", "lag", "owed", "unacknowledged", "holding"});
  for (const DeviceInfo& device : open.source->ListDevices()) {
    // What is new to nobody, such as the rows that the engine keeps for itself, is no lag.
    const uint64_t lag = device.owed > 0 && device.floor < last ? last - device.floor : 0;
    rows.Add(
        {device.id, device.floor.value(), lag, device.owed, device.unacknowledged, device.holding});
  }
  rows.Finish();
  return {};
}

struct DeviceOptions {
  std::string device;
};

void DeclareDevice(Arguments& arguments, DeviceOptions& options) {
  arguments.RequiredText("device,--device", options.device, "Id of the device");
}

Status PrintDevice(Context& context, const Source& source, const std::string& id) {
  TIDEMARK_ASSIGN_OR_RETURN(const DeviceInfo device, source.GetDevice(id));
  context.output.Object({{"device", device.id},
                         {"state", StateOf(device)},
                         {"floor", device.floor.value()},
                         {"sessions", device.sessions},
                         {"owed", device.owed},
                         {"unacknowledged", device.unacknowledged},
                         {"holding", device.holding},
                         {"at_rest", device.at_rest},
                         {"reset_pending", device.reset_pending},
                         {"forgotten", device.forgotten},
                         {"selection", SelectionCell(device)}});
  return {};
}

Status RunShow(Context& context, const DeviceOptions& options) {
  if (IsRemote(context)) return AskAbout(context, options.device, http::Method::kGet);
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kRead));
  return PrintDevice(context, *open.source, options.device);
}

Status RunForget(Context& context, const DeviceOptions& options) {
  if (IsRemote(context)) return AskAbout(context, options.device, http::Method::kDelete);
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kWrite));
  TIDEMARK_RETURN_IF_ERROR(open.source->Forget(options.device));
  TIDEMARK_RETURN_IF_ERROR(open.source->Purge().status());
  return PrintDevice(context, *open.source, options.device);
}

Status RunReset(Context& context, const DeviceOptions& options) {
  if (IsRemote(context)) return AskAbout(context, options.device, http::Method::kPost, "/reset");
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kWrite));
  TIDEMARK_RETURN_IF_ERROR(open.source->Reset(options.device));
  return PrintDevice(context, *open.source, options.device);
}

struct SelectOptions {
  std::string device;
  std::vector<std::string> entities;
  std::vector<std::string> where;
  bool everything = false;
  bool nothing = false;
};

void DeclareSelect(Arguments& arguments, SelectOptions& options) {
  arguments.RequiredText("device,--device", options.device, "Id of the device");
  arguments.List("--entity", options.entities, "What it may see; give it several times");
  arguments.Texts("--where",
                  options.where,
                  "Records of an entity by values of a declared key, as "
                  "ENTITY:FIELD=VALUE[,VALUE...][;FIELD=...]; give it several times");
  arguments.Flag("--everything", options.everything, "It may see everything");
  arguments.Flag("--nothing", options.nothing, "It may see nothing");
}

Status RunSelect(Context& context, const SelectOptions& options) {
  const bool parts = !options.entities.empty() || !options.where.empty();
  const int given = (parts ? 1 : 0) + (options.everything ? 1 : 0) + (options.nothing ? 1 : 0);
  if (given != 1) {
    return {ErrorCode::kInvalidArgument,
            "give --entity E, --where E:FIELD=VALUE, --everything or --nothing"};
  }
  SelectionRule rule = SelectionRule::Entities(options.entities);
  if (options.everything) rule = SelectionRule::Everything();
  for (const std::string& text : options.where) {
    TIDEMARK_ASSIGN_OR_RETURN(Grant grant, ParseGrant(text));
    rule.grants.push_back(std::move(grant));
  }
  if (IsRemote(context)) {
    return AskAbout(
        context, options.device, http::Method::kPut, "/selection", SelectionRuleToJson(rule));
  }
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource open, OpenSource(context.globals, Access::kWrite));
  TIDEMARK_RETURN_IF_ERROR(open.source->Select(options.device, rule));
  return PrintDevice(context, *open.source, options.device);
}

}  // namespace

void AddDeviceCommands(CommandTable& table) {
  table.AddGroup("devices", "Devices: marks, what is owed, what is held back, selections");
  table.Add<NoOptions>({"devices list",
                        "List the devices",
                        "  tidemark devices list --data ./data\n",
                        /*over_http=*/true},
                       &DeclareNothing,
                       &RunList);
  table.Add<DeviceOptions>({"devices show",
                            "Show how one device stands",
                            "  tidemark devices show --data ./data tablet-7\n",
                            /*over_http=*/true},
                           &DeclareDevice,
                           &RunShow);
  table.Add<NoOptions>({"devices lag",
                        "Show how far every device is behind",
                        "  tidemark devices lag --data ./data\n",
                        /*over_http=*/true},
                       &DeclareNothing,
                       &RunLag);
  table.Add<DeviceOptions>({"devices forget",
                            "Release what a device holds back; its return is a reset",
                            "  tidemark devices forget --data ./data tablet-7\n",
                            /*over_http=*/true},
                           &DeclareDevice,
                           &RunForget);
  table.Add<DeviceOptions>({"devices reset",
                            "Send a device everything again at its next start",
                            "  tidemark devices reset --data ./data tablet-7\n",
                            /*over_http=*/true},
                           &DeclareDevice,
                           &RunReset);
  table.Add<SelectOptions>(
      {"devices select",
       "Set what a device may see, from now on",
       "  tidemark devices select --data ./data tablet-7 --entity contact --entity deal\n"
       "  tidemark devices select --data ./data tablet-7 --where 'visit:owner=17,18'\n"
       "  tidemark devices select --data ./data tablet-7 --everything\n",
       /*over_http=*/true},
      &DeclareSelect,
      &RunSelect);
}

}  // namespace tidemark::tools
