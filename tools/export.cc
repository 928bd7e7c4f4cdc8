// export: a consistent dump as lines that `apply` reads back.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/record_json.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/remote_feed.h"
#include "tools/signals.h"

namespace tidemark::tools {
namespace {

struct ExportOptions {
  std::vector<std::string> entities;
  std::string file;
};

void DeclareExport(Arguments& arguments, ExportOptions& options) {
  arguments.List("entities,--entity", options.entities, "Only these entities; all by default");
  arguments.Text("--file", options.file, "Write to this file; it appears when it is complete");
}

std::string ExportLine(const EntityInfo& entity, const Record& record) {
  JsonWriter writer;
  writer.BeginObject();
  if (entity.declaration.kind == EntityKind::kIncremental) writer.Key("op").String("append");
  writer.Key("entity").String(entity.name);
  writer.Key("id").Raw(IdToJson(record.id, record.id_form));
  writer.Key("data").Raw(ValueToJson(record.value, record.value_kind));
  writer.EndObject();
  return writer.Take() + "\n";
}

Result<std::vector<EntityInfo>> ChosenEntities(const Store& store,
                                               const std::vector<std::string>& names) {
  if (names.empty()) return store.ListEntities();
  std::vector<EntityInfo> chosen;
  for (const std::string& name : names) {
    std::optional<EntityInfo> entity = store.FindEntity(name);
    if (!entity) return Status(ErrorCode::kNotFound, "no entity \"" + name + "\"");
    chosen.push_back(std::move(*entity));
  }
  return chosen;
}

// Writes every record of `entities` as `view` has it; returns how many.
Result<uint64_t> WriteRecords(Context& context,
                              const View& view,
                              const std::vector<EntityInfo>& entities,
                              Sink& sink) {
  uint64_t total = 0;
  for (const EntityInfo& entity : entities) total += entity.record_count;
  context.progress.Begin("export", ProgressUnit::kRecords, total);
  uint64_t count = 0;
  for (const EntityInfo& entity : entities) {
    RecordIterator records = view.Scan(entity.name);
    while (records.Next()) {
      sink.Write(ExportLine(entity, records.record()));
      context.progress.Update(++count);
      if (Interrupted()) return Status(ErrorCode::kClosed, "interrupted");
      if (!sink.status().ok()) return sink.status();
    }
    TIDEMARK_RETURN_IF_ERROR(records.status().WithContext(entity.name));
  }
  context.progress.End();
  return count;
}

// A file that appears under its name only when it is complete and durable.
class NewFile {
 public:
  static Result<std::unique_ptr<NewFile>> Create(const std::string& path) {
    std::string partial = path + ".partial";
    const int file = open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return Status(ErrorCode::kIoError, partial + ": " + std::strerror(errno));
    return std::unique_ptr<NewFile>(new NewFile(file, path, std::move(partial)));
  }
  ~NewFile() {
    close(file_);
    if (!kept_) unlink(partial_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  Sink& sink() { return sink_; }
  Status Keep() {
    sink_.Flush();
    TIDEMARK_RETURN_IF_ERROR(sink_.status());
    if (fsync(file_) != 0 || rename(partial_.c_str(), path_.c_str()) != 0) {
      return {ErrorCode::kIoError, path_ + ": " + std::strerror(errno)};
    }
    kept_ = true;
    return {};
  }

 private:
  NewFile(int file, std::string path, std::string partial)
      : file_(file), path_(std::move(path)), partial_(std::move(partial)), sink_(file, path_) {}

  int file_;
  std::string path_;
  std::string partial_;
  FileSink sink_;
  bool kept_ = false;
};

// The line of a change that brings a copy to where the server is; none for what it need not know.
std::optional<std::string> ChangeLine(const ChangeRow& change, uint64_t begun) {
  const bool deleted = change.op == "delete";
  if (deleted && change.sequence <= begun) return std::nullopt;  // never written by this export
  JsonWriter writer;
  writer.BeginObject();
  if (change.op != "put") writer.Key("op").String(change.op);
  writer.Key("entity").String(change.entity);
  writer.Key("id").Raw(IdToJson(change.id.text(), change.id.form()));
  if (change.data) writer.Key("data").Raw(*change.data);
  writer.EndObject();
  return writer.Take() + "\n";
}

// The change log up to its end. What changes meanwhile comes again behind, so that the lines,
// applied in their order, are the state at that end.
Result<uint64_t> WriteChanges(Context& context,
                              RemoteFeed& feed,
                              const std::vector<std::string>& entities,
                              Sink& sink) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::string overview,
                            feed.remote().Ask(http::Method::kGet, "/v1/overview"));
  const uint64_t begun = NumberAt(overview, {"data", "store", "sequence"});
  context.progress.Begin("export", ProgressUnit::kRecords);
  uint64_t count = 0;
  while (!feed.at_end()) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto changes, feed.Next(std::chrono::seconds(0)));
    for (const ChangeRow& change : changes) {
      const bool wanted =
          entities.empty() ||
          std::find(entities.begin(), entities.end(), change.entity) != entities.end();
      const auto line = wanted ? ChangeLine(change, begun) : std::nullopt;
      if (!line) continue;
      sink.Write(*line);
      context.progress.Update(++count);
    }
    if (Interrupted()) return Status(ErrorCode::kClosed, "interrupted");
    if (!sink.status().ok()) return sink.status();
  }
  context.progress.End();
  return count;
}

Status ExportRemote(Context& context, const ExportOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(RemoteFeed feed, RemoteFeed::Open(context.globals));
  for (const std::string& name : options.entities) {
    TIDEMARK_RETURN_IF_ERROR(
        feed.remote().Ask(http::Method::kGet, "/v1/entities/" + Escape(name)).status());
  }
  if (options.file.empty()) {
    return WriteChanges(context, feed, options.entities, context.output.sink()).status();
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto file, NewFile::Create(options.file));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t count,
                            WriteChanges(context, feed, options.entities, file->sink()));
  TIDEMARK_RETURN_IF_ERROR(file->Keep());
  context.output.Object({{"file", options.file}, {"lines", count}});
  return {};
}

Status RunExport(Context& context, const ExportOptions& options) {
  if (IsRemote(context)) return ExportRemote(context, options);
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  const View view = store->GetView();
  TIDEMARK_ASSIGN_OR_RETURN(const auto entities, ChosenEntities(*store, options.entities));
  if (options.file.empty()) {
    const auto count = WriteRecords(context, view, entities, context.output.sink());
    return count.status();
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto file, NewFile::Create(options.file));
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t count,
                            WriteRecords(context, view, entities, file->sink()));
  TIDEMARK_RETURN_IF_ERROR(file->Keep());
  context.output.Object({{"file", options.file},
                         {"entities", static_cast<uint64_t>(entities.size())},
                         {"records", count},
                         {"sequence", view.sequence().value()}});
  return {};
}

}  // namespace

void AddExportCommand(CommandTable& table) {
  table.Add<ExportOptions>({"export",
                            "Write a consistent dump as NDJSON lines that apply reads back",
                            "  tidemark export --data ./data > dump.ndjson\n"
                            "  tidemark export --data ./data contact deal --file dump.ndjson\n"
                            "  tidemark export --data ./data | tidemark apply --data ./copy -\n"
                            "  tidemark export --server http://127.0.0.1:8787 --file dump.ndjson\n",
                            /*over_http=*/true},
                           &DeclareExport,
                           &RunExport);
}

}  // namespace tidemark::tools
