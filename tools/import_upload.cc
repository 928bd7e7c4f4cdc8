// import --replace: one upload sync of a whole entity.
#include <algorithm>
#include <utility>

#include "tools/import.h"
#include "tools/signals.h"

namespace tidemark::tools {
namespace {

// A page stays below the largest batch; one row may exceed that alone.
constexpr size_t kPagePayloadMax = 3 * 1024 * 1024;
constexpr uint64_t kRejectedShownMax = 20;
constexpr size_t kPageInfosAtOnce = 1000;

class PageSender {
 public:
  PageSender(Context& context,
             UploadCalls& uploads,
             const std::string& sync,
             const ImportOptions& options,
             EntityKind kind,
             ByteSource& source)
      : context_(context), uploads_(uploads), sync_(sync), source_(source) {
    page_.entity = options.entity;
    page_.page = 1;
    page_.kind = kind;
  }

  Status Add(ImportRow row) {
    if (!page_.records.empty() && payload_ + row.json.size() > kPagePayloadMax) {
      TIDEMARK_RETURN_IF_ERROR(Send());
    }
    payload_ += row.json.size();
    lines_.push_back(row.line);
    page_.records.push_back(std::move(row.json));
    ++rows_;
    return page_.records.size() < kBatchRecordsMax ? Status() : Send();
  }

  // Sends the last page. An input without rows is one empty page: it declares the entity empty.
  Status End() {
    if (!page_.records.empty() || rows_ == 0) TIDEMARK_RETURN_IF_ERROR(Send());
    ReportHidden();
    return {};
  }

  uint64_t rows() const { return rows_; }
  uint32_t pages() const { return page_.page - 1; }

 private:
  Status Send() {
    Result<UploadPageResult> result = uploads_.PutPage(sync_, page_);
    if (!result.ok()) {
      const uint64_t line = lines_.empty() ? 0 : lines_.front();
      return AtPosition(result.status(), source_.name(), {.line = line})
          .WithContext("the page that begins in");
    }
    for (const RejectedRow& row : result->rejected) Report(row);
    ++page_.page;
    page_.records.clear();
    lines_.clear();
    payload_ = 0;
    return {};
  }

  void Report(const RejectedRow& row) {
    if (++rejected_ > kRejectedShownMax) return;
    const uint64_t line = row.row < lines_.size() ? lines_[row.row] : 0;
    Status reason(ErrorCode::kInvalidArgument, row.message);
    if (!row.field.empty()) reason = reason.WithContext("field \"" + row.field + "\"");
    context_.Warn(AtPosition(reason, source_.name(), {.line = line}).message() +
                  "; the row is set aside (" + row.code + ")");
  }

  void ReportHidden() {
    if (rejected_ <= kRejectedShownMax) return;
    context_.Warn(std::to_string(rejected_ - kRejectedShownMax) +
                  " more rows are set aside; see tidemark uploads show " + sync_ + " --rejected");
  }

  Context& context_;
  UploadCalls& uploads_;
  const std::string& sync_;
  ByteSource& source_;
  UploadPage page_;
  std::vector<uint64_t> lines_;  // of the page's records
  size_t payload_ = 0;
  uint64_t rows_ = 0;
  uint64_t rejected_ = 0;
};

// What an earlier uploader sent beyond the pages of this one is no part of the upload any more.
Status EmptyPagesBeyond(UploadCalls& uploads,
                        const std::string& sync,
                        const std::string& entity,
                        EntityKind kind,
                        uint32_t last_page) {
  size_t offset = 0;
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto pages, uploads.Pages(sync, offset, kPageInfosAtOnce));
    if (pages.empty()) return {};
    offset += pages.size();
    for (const UploadPageInfo& info : pages) {
      const bool beyond = info.entity == entity && (info.page > last_page || info.page == 0);
      if (!beyond || info.accepted + info.rejected == 0) continue;
      UploadPage empty;
      empty.entity = entity;
      empty.page = info.page;
      empty.kind = kind;
      TIDEMARK_RETURN_IF_ERROR(uploads.PutPage(sync, empty).status());
    }
  }
}

Result<ImportOutcome> SendAndFinish(Context& context,
                                    UploadCalls& uploads,
                                    const std::string& sync,
                                    const ImportOptions& options,
                                    ByteSource& source,
                                    const EntityDeclaration& declaration) {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t rows,
                            SendPages(context, uploads, sync, options, source, declaration));
  if (rows == 0 && !options.allow_empty && declaration.kind == EntityKind::kSnapshot) {
    return Status(ErrorCode::kDeleteGuard,
                  source.name() + " has no rows, which would empty " + options.entity +
                      "; give --allow-empty if that is meant");
  }
  FinishOptions finish;
  finish.dry_run = options.dry_run;
  finish.force_deletes = options.force_deletes;
  finish.delete_share_max = options.delete_share_max;
  finish.progress = [&](uint64_t done, uint64_t total) {
    context.progress.Update(done, total);
  };
  context.progress.Begin("finish", ProgressUnit::kRecords, rows);
  TIDEMARK_ASSIGN_OR_RETURN(const UploadInfo info, uploads.Finish(sync, finish));
  context.progress.End();
  for (const std::string& warning : info.warnings) context.Warn(warning);
  ImportOutcome outcome = OutcomeOf(info, options.entity);
  outcome.rows = rows;
  return outcome;
}

}  // namespace

ImportOutcome OutcomeOf(const UploadInfo& info, const std::string& entity) {
  ImportOutcome outcome;
  outcome.sync = info.id;
  outcome.state = UploadStateName(info.state);
  if (const auto found = info.entities.find(entity); found != info.entities.end()) {
    outcome.counts = found->second.counts;
    outcome.rejected = found->second.rejected;
  }
  return outcome;
}

Result<uint64_t> SendPages(Context& context,
                           UploadCalls& uploads,
                           const std::string& sync,
                           const ImportOptions& options,
                           ByteSource& source,
                           const EntityDeclaration& declaration) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto rows, ReadRows(options, source, declaration));
  context.progress.Begin("upload", ProgressUnit::kBytes, source.size().value_or(0));
  PageSender sender(context, uploads, sync, options, declaration.kind, source);
  ImportRow row;
  while (true) {
    if (Interrupted()) return Status(ErrorCode::kClosed, "interrupted");
    TIDEMARK_ASSIGN_OR_RETURN(const bool found, rows->Next(row));
    if (!found) break;
    TIDEMARK_RETURN_IF_ERROR(sender.Add(std::move(row)));
    context.progress.Update(rows->bytes_read());
  }
  TIDEMARK_RETURN_IF_ERROR(sender.End());
  context.progress.End();
  TIDEMARK_RETURN_IF_ERROR(
      EmptyPagesBeyond(uploads, sync, options.entity, declaration.kind, sender.pages()));
  return sender.rows();
}

Result<ImportOutcome> ImportAsUpload(Context& context,
                                     UploadCalls& uploads,
                                     const ImportOptions& options,
                                     ByteSource& source,
                                     const EntityDeclaration& declaration) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::string sync, uploads.Start(options.force));
  Result<ImportOutcome> outcome =
      SendAndFinish(context, uploads, sync, options, source, declaration);
  const bool leave_nothing = !outcome.ok() || options.dry_run;
  if (leave_nothing) {
    const Status aborted = uploads.Abort(sync);
    if (outcome.ok() && !aborted.ok()) return aborted;
  }
  return outcome;
}

}  // namespace tidemark::tools
