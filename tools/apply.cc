// apply: a stream of changes, in atomic batches.
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "server/change_line.h"
#include "server/record_json.h"
#include "tools/byte_source.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/line_reader.h"

namespace tidemark::tools {
namespace {

constexpr uint64_t kBatchLinesDefault = 1000;
constexpr uint64_t kBatchLinesMax = 10'000;
constexpr size_t kBatchPayloadMax = 16 * 1024 * 1024;

struct ApplyOptions {
  std::string file;
  std::optional<uint64_t> batch;
};

void DeclareApply(Arguments& arguments, ApplyOptions& options) {
  arguments.RequiredText("file,--file", options.file, "NDJSON file, or - for standard input");
  arguments.Unsigned("--batch",
                     options.batch,
                     "Lines that commit together, 1 to 10,000; by default 1,000, fewer when they "
                     "are large");
}

class Applier {
 public:
  Applier(Context& context, Store& store, ByteSource& source, std::optional<uint64_t> batch_lines)
      : context_(context),
        store_(store),
        id_fields_(store),
        lines_(source),
        lines_max_(batch_lines.value_or(kBatchLinesDefault)),
        exact_(batch_lines.has_value()) {
    context.progress.Begin("apply", ProgressUnit::kBytes, source.size().value_or(0));
  }

  Status Run() {
    while (true) {
      TIDEMARK_ASSIGN_OR_RETURN(const bool found, lines_.Next());
      if (!found) return CommitBatch();
      if (Status status = server::AddChangeLine(lines_.line(), id_fields_, batch_); !status.ok()) {
        return lines_.Error(status, server::JsonErrorColumn(status));
      }
      batch_lines_.push_back(lines_.number());
      const bool large = batch_.payload_bytes() >= kBatchPayloadMax;
      if (large && exact_ && batch_.size() < lines_max_) {
        return lines_.Error(
            Status(ErrorCode::kTooLarge, "the batch has more than 16 MiB; give a smaller --batch"));
      }
      if (large || batch_.size() >= lines_max_) TIDEMARK_RETURN_IF_ERROR(CommitBatch());
    }
  }

  // Also after a failure: what was committed before it stays.
  void Print() {
    context_.progress.End();
    context_.output.Object({{"sequence", sequence_.value()},
                            {"applied", applied_},
                            {"unchanged", unchanged_},
                            {"batches", batches_},
                            {"lines", committed_through_}});
  }

 private:
  Status CommitBatch() {
    if (batch_.empty()) return {};
    const Result<CommitResult> result = store_.Commit(batch_);
    if (!result.ok()) {
      return RefusedBatch(result.status());
    }
    sequence_ = result->sequence;
    applied_ += result->applied;
    unchanged_ += result->unchanged;
    ++batches_;
    committed_through_ = batch_lines_.back();
    context_.progress.Update(lines_.bytes_read());
    batch_.Clear();
    batch_lines_.clear();
    return {};
  }

  // Names the line of the operation that the committer named, else all lines of the batch.
  Status RefusedBatch(const Status& status) const {
    constexpr std::string_view kOperation = "operation ";
    const std::string& message = status.message();
    if (message.starts_with(kOperation)) {
      size_t index = batch_lines_.size();
      std::from_chars(message.data() + kOperation.size(), message.data() + message.size(), index);
      if (index < batch_lines_.size()) {
        return AtPosition(status, lines_.name(), {.line = batch_lines_[index]});
      }
    }
    return status.WithContext(lines_.name() + ", lines " + std::to_string(batch_lines_.front()) +
                              " to " + std::to_string(batch_lines_.back()));
  }

  Context& context_;
  Store& store_;
  server::IdFields id_fields_;
  LineReader lines_;
  uint64_t lines_max_;
  bool exact_;  // the user's word: such a batch is never split

  WriteBatch batch_;
  std::vector<uint64_t> batch_lines_;  // of its operations
  SequenceNumber sequence_;
  uint64_t applied_ = 0;
  uint64_t unchanged_ = 0;
  uint64_t batches_ = 0;
  uint64_t committed_through_ = 0;
};

Status RunApply(Context& context, const ApplyOptions& options) {
  if (options.batch && (*options.batch < 1 || *options.batch > kBatchLinesMax)) {
    return {ErrorCode::kInvalidArgument, "--batch must be from 1 to 10,000"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto source, OpenInput(options.file));
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kCreate));
  Applier applier(context, *store, *source, options.batch);
  const Status status = applier.Run();
  applier.Print();
  return status.ok() ? store->Close() : status;
}

}  // namespace

void AddApplyCommand(CommandTable& table) {
  table.Add<ApplyOptions>({"apply",
                           "Apply a stream of changes, NDJSON lines, in atomic batches",
                           "  tidemark apply --data ./data changes.ndjson\n"
                           "  tidemark apply --data ./data --batch 100 - < changes.ndjson\n"
                           "  echo '{\"op\":\"delete\",\"entity\":\"contact\",\"id\":7}' | "
                           "tidemark apply --data ./data -\n"},
                          &DeclareApply,
                          &RunApply);
}

}  // namespace tidemark::tools
