// uploads: upload syncs, active and past; ends or continues one whose uploader died.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "replication/upload.h"
#include "tools/byte_source.h"
#include "tools/command.h"
#include "tools/import.h"
#include "tools/upload_calls.h"

namespace tidemark::tools {
namespace {

constexpr uint64_t kListLimitDefault = 100;
constexpr uint64_t kListLimitMax = 10'000;
constexpr size_t kChunk = 1000;

ReplaceCounts Sum(const UploadInfo& info) {
  ReplaceCounts sum;
  for (const auto& [entity, one] : info.entities) {
    sum.created += one.counts.created;
    sum.updated += one.counts.updated;
    sum.deleted += one.counts.deleted;
    sum.unchanged += one.counts.unchanged;
    sum.appended += one.counts.appended;
  }
  return sum;
}

uint64_t RejectedRows(const UploadInfo& info) {
  uint64_t rejected = 0;
  for (const auto& [entity, one] : info.entities) rejected += one.rejected;
  return rejected;
}

struct ListOptions {
  std::optional<uint64_t> limit;
};

void DeclareList(Arguments& arguments, ListOptions& options) {
  arguments.Unsigned("--limit", options.limit, "At most so many, newest first; by default 100");
}

Status RunList(Context& context, const ListOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto uploads, OpenUploadCalls(context.globals, Access::kRead));
  Rows rows(context.output,
            {"sync_id",
             "state",
             "started",
             "ended",
             "created",
             "updated",
             "deleted",
             "unchanged",
             "appended",
             "rejected"});
  const uint64_t limit = std::min(options.limit.value_or(kListLimitDefault), kListLimitMax);
  TIDEMARK_ASSIGN_OR_RETURN(const auto infos, uploads->List(static_cast<size_t>(limit)));
  for (const UploadInfo& info : infos) {
    const ReplaceCounts sum = Sum(info);
    rows.Add({info.id,
              UploadStateName(info.state),
              Cell::Time(info.started_at_ms),
              Cell::Time(info.ended_at_ms),
              sum.created,
              sum.updated,
              sum.deleted,
              sum.unchanged,
              sum.appended,
              RejectedRows(info)});
  }
  rows.Finish();
  return {};
}

struct ShowOptions {
  std::string sync;
  bool pages = false;
  bool rejected = false;
};

void DeclareShow(Arguments& arguments, ShowOptions& options) {
  arguments.Text("sync,--sync", options.sync, "Id of the upload sync; the active one by default");
  arguments.Flag("--pages", options.pages, "List its pages");
  arguments.Flag("--rejected", options.rejected, "List the rows that were set aside");
}

Result<std::string> ChosenSync(UploadCalls& uploads, const std::string& sync) {
  if (!sync.empty()) return sync;
  TIDEMARK_ASSIGN_OR_RETURN(std::optional<std::string> active, uploads.Active());
  if (active) return std::move(*active);
  return Status(ErrorCode::kNotFound, "no upload sync is active");
}

Status PrintPages(Context& context, UploadCalls& uploads, const std::string& sync) {
  Rows rows(context.output, {"entity", "page", "accepted", "rejected", "uploaded", "hash"});
  for (size_t offset = 0;;) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto pages, uploads.Pages(sync, offset, kChunk));
    if (pages.empty()) break;
    offset += pages.size();
    for (const UploadPageInfo& page : pages) {
      rows.Add({page.entity,
                uint64_t{page.page},
                page.accepted,
                page.rejected,
                Cell::Time(page.uploaded_at_ms),
                page.hash});
    }
  }
  rows.Finish();
  return {};
}

Status PrintRejected(Context& context, UploadCalls& uploads, const std::string& sync) {
  Rows rows(context.output, {"entity", "page", "row", "field", "code", "message"});
  for (size_t offset = 0;;) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto rejected, uploads.Rejected(sync, offset, kChunk));
    if (rejected.empty()) break;
    offset += rejected.size();
    for (const RejectedRow& row : rejected) {
      rows.Add(
          {row.entity, uint64_t{row.page}, uint64_t{row.row}, row.field, row.code, row.message});
    }
  }
  rows.Finish();
  return {};
}

std::string EntitiesJson(const UploadInfo& info) {
  JsonWriter writer;
  writer.BeginObject();
  for (const auto& [entity, one] : info.entities) {
    writer.Key(entity).BeginObject();
    writer.Key("pages").Unsigned(one.pages);
    writer.Key("created").Unsigned(one.counts.created);
    writer.Key("updated").Unsigned(one.counts.updated);
    writer.Key("deleted").Unsigned(one.counts.deleted);
    writer.Key("unchanged").Unsigned(one.counts.unchanged);
    writer.Key("appended").Unsigned(one.counts.appended);
    writer.Key("rejected").Unsigned(one.rejected);
    writer.EndObject();
  }
  writer.EndObject();
  return writer.Take();
}

void PrintUpload(Context& context, const UploadInfo& info) {
  Fields fields = {{"sync_id", info.id},
                   {"state", UploadStateName(info.state)},
                   {"started", Cell::Time(info.started_at_ms)},
                   {"ended", Cell::Time(info.ended_at_ms)},
                   {"entities", Cell::Json(EntitiesJson(info))},
                   {"warnings", Cell::List(info.warnings)}};
  if (!info.error.empty()) fields.emplace_back("error", info.error);
  context.output.Object(fields);
}

Status RunShow(Context& context, const ShowOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto uploads, OpenUploadCalls(context.globals, Access::kRead));
  TIDEMARK_ASSIGN_OR_RETURN(const std::string sync, ChosenSync(*uploads, options.sync));
  TIDEMARK_ASSIGN_OR_RETURN(const UploadInfo info, uploads->Get(sync));
  if (options.pages) return PrintPages(context, *uploads, sync);
  if (options.rejected) return PrintRejected(context, *uploads, sync);
  PrintUpload(context, info);
  return {};
}

struct AbortOptions {
  std::string sync;
};

void DeclareAbort(Arguments& arguments, AbortOptions& options) {
  arguments.Text("sync,--sync", options.sync, "Id of the upload sync; the active one by default");
}

Status RunAbort(Context& context, const AbortOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto uploads, OpenUploadCalls(context.globals, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(const std::string sync, ChosenSync(*uploads, options.sync));
  TIDEMARK_RETURN_IF_ERROR(uploads->Abort(sync));
  TIDEMARK_ASSIGN_OR_RETURN(const UploadInfo info, uploads->Get(sync));
  PrintUpload(context, info);
  return {};
}

struct ResumeOptions {
  std::string sync;
  bool as_is = false;
  ImportOptions import;
};

void DeclareResume(Arguments& arguments, ResumeOptions& options) {
  arguments.Text("sync,--sync", options.sync, "Id of the upload sync; the active one by default");
  arguments.Text("--entity", options.import.entity, "Name of the entity to send again");
  arguments.Text("--file", options.import.file, "The whole input of that entity, or -");
  options.import.format = "auto";
  arguments.Choice("--format",
                   options.import.format,
                   {"auto", "ndjson", "csv"},
                   "Format of the input; auto goes by the name of the file");
  arguments.Flag("--as-is",
                 options.as_is,
                 "Finish with the pages that are there: the uploader had sent all of them");
  arguments.Flag("--force-deletes",
                 options.import.force_deletes,
                 "Delete also when rows without a readable id were set aside");
  arguments.Share("--max-delete-share",
                  options.import.delete_share_max,
                  "Refuse to delete more than this share, from 100 deletions up");
  options.import.replace = true;
}

Status RunResume(Context& context, const ResumeOptions& options) {
  const bool has_input = !options.import.entity.empty() && !options.import.file.empty();
  if (has_input == options.as_is) {
    return {ErrorCode::kInvalidArgument,
            "give --entity E --file F to send the input again, or --as-is"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto uploads, OpenUploadCalls(context.globals, Access::kWrite));
  TIDEMARK_ASSIGN_OR_RETURN(const std::string sync, ChosenSync(*uploads, options.sync));
  if (has_input) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto source, OpenInput(options.import.file));
    TIDEMARK_ASSIGN_OR_RETURN(const PreparedEntity entity,
                              uploads->Prepare(options.import.entity, {}));
    const Result<uint64_t> rows =
        SendPages(context, *uploads, sync, options.import, *source, entity.declaration);
    if (!rows.ok()) return rows.status();
  }
  FinishOptions finish;
  finish.force_deletes = options.import.force_deletes;
  finish.delete_share_max = options.import.delete_share_max;
  finish.progress = [&](uint64_t done, uint64_t total) {
    context.progress.Update(done, total);
  };
  context.progress.Begin("finish", ProgressUnit::kRecords);
  TIDEMARK_ASSIGN_OR_RETURN(const UploadInfo info, uploads->Finish(sync, finish));
  context.progress.End();
  PrintUpload(context, info);
  return {};
}

}  // namespace

void AddUploadCommands(CommandTable& table) {
  table.AddGroup("uploads", "Upload syncs: what is active, what was");
  table.Add<ListOptions>({"uploads list",
                          "List upload syncs, newest first",
                          "  tidemark uploads list --data ./data\n",
                          /*over_http=*/true},
                         &DeclareList,
                         &RunList);
  table.Add<ShowOptions>({"uploads show",
                          "Show one upload sync",
                          "  tidemark uploads show --data ./data\n"
                          "  tidemark uploads show --data ./data SYNC --rejected\n",
                          /*over_http=*/true},
                         &DeclareShow,
                         &RunShow);
  table.Add<AbortOptions>({"uploads abort",
                           "Abort an upload sync and discard its pages",
                           "  tidemark uploads abort --data ./data\n"
                           "  tidemark uploads abort --data ./data SYNC\n",
                           /*over_http=*/true},
                          &DeclareAbort,
                          &RunAbort);
  table.Add<ResumeOptions>(
      {"uploads resume",
       "Continue and finish an upload sync whose uploader died",
       "  tidemark uploads resume --data ./data --entity users --file users.csv\n"
       "  tidemark uploads resume --data ./data SYNC --as-is\n",
       /*over_http=*/true},
      &DeclareResume,
      &RunResume);
}

}  // namespace tidemark::tools
