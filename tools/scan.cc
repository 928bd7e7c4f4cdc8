// scan: the records of one entity, in the order of their ids.
#include <string>

#include "format/record_json.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/remote.h"
#include "tools/signals.h"

namespace tidemark::tools {
namespace {

struct ScanCommandOptions {
  std::string entity;
  std::string prefix;
  std::string after;
  bool reverse = false;
  bool ids = false;
  std::optional<uint64_t> limit;
};

void DeclareScan(Arguments& arguments, ScanCommandOptions& options) {
  arguments.RequiredText("entity,--entity", options.entity, "Name of the entity");
  arguments.Text("--prefix", options.prefix, "Only ids that begin with it");
  arguments.Text("--after", options.after, "Only ids beyond this one, in the order of the scan");
  arguments.Flag("--reverse", options.reverse, "From the last id to the first");
  arguments.Unsigned("--limit", options.limit, "At most so many records");
  arguments.Flag("--ids", options.ids, "Only ids and versions, without reading values");
}

Status ScanRemote(Context& context, const ScanCommandOptions& options) {
  if (options.reverse || !options.after.empty()) {
    return {ErrorCode::kInvalidArgument, "--reverse and --after need the folder itself: --data"};
  }
  std::string path = "/v1/entities/" + Escape(options.entity) + "/records";
  if (!options.prefix.empty()) path += "?prefix=" + Escape(options.prefix);
  std::vector<RemoteColumn> columns = {{"id", {"meta", "id"}}, {"version", {"meta", "version"}}};
  if (!options.ids) columns.push_back({"data", {"data"}});
  return PrintRemoteList(context, path, columns, options.limit.value_or(0));
}

Status RunScan(Context& context, const ScanCommandOptions& options) {
  if (options.limit && *options.limit == 0) {
    return {ErrorCode::kInvalidArgument, "--limit must be at least 1"};
  }
  if (IsRemote(context)) return ScanRemote(context, options);
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  ScanOptions scan;
  scan.prefix = options.prefix;
  scan.after = options.after;
  scan.reverse = options.reverse;
  scan.limit = options.limit.value_or(0);
  scan.values = !options.ids;
  RecordIterator records = store->GetView().Scan(options.entity, scan);

  std::vector<std::string> columns = {"id", "version"};
  if (!options.ids) columns.emplace_back("data");
  Rows rows(context.output, std::move(columns));
  while (context.output.writable() && !Interrupted() && records.Next()) {
    const Record& record = records.record();
    std::vector<Cell> cells = {Cell::Id(record.id, record.id_form), record.version.value()};
    if (!options.ids) {
      cells.push_back(Cell::Json(ValueToJson(record.value, record.value_kind)));
    }
    rows.Add(cells);
  }
  rows.Finish();
  return records.status();
}

}  // namespace

void AddScanCommand(CommandTable& table) {
  table.Add<ScanCommandOptions>(
      {"scan",
       "Print the records of an entity, in the order of their ids",
       "  tidemark scan --data ./data contact --limit 20\n"
       "  tidemark scan --data ./data visits --prefix 2031-05 --output ndjson\n"
       "  tidemark scan --data ./data contact --reverse --after 2000 --limit 10\n",
       /*over_http=*/true},
      &DeclareScan,
      &RunScan);
}

}  // namespace tidemark::tools
