// apply: a stream of changes, in atomic batches.
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/record_json.h"
#include "server/change_line.h"
#include "tools/byte_source.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/line_reader.h"
#include "tools/remote_changes.h"

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

// The lines that commit together.
class ChangeBatch {
 public:
  virtual ~ChangeBatch() = default;
  /// False: the batch is as large as it may be.
  virtual bool HasRoomFor(std::string_view line) const = 0;
  virtual Status Add(std::string_view line) = 0;
  virtual size_t size() const = 0;
  /// Commits and clears. A refusal that is about one line tells which, counted from 0.
  virtual Result<CommitResult> Commit(std::optional<size_t>* refused) = 0;
};

// The number that a message has behind `word`.
std::optional<size_t> NumberBehind(std::string_view word, const std::string& message) {
  if (!message.starts_with(word)) return std::nullopt;
  size_t number = 0;
  const char* begin = message.data() + word.size();
  const auto [end, error] = std::from_chars(begin, message.data() + message.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

class LocalBatch final : public ChangeBatch {
 public:
  explicit LocalBatch(Store& store) : store_(store), id_fields_(store) {}

  bool HasRoomFor(std::string_view /*line*/) const override {
    return batch_.payload_bytes() < kBatchPayloadMax;
  }
  Status Add(std::string_view line) override {
    return server::AddChangeLine(line, id_fields_, batch_);
  }
  size_t size() const override { return batch_.size(); }
  Result<CommitResult> Commit(std::optional<size_t>* refused) override {
    Result<CommitResult> result = store_.Commit(batch_);
    if (!result.ok()) *refused = NumberBehind("operation ", result.status().message());
    batch_.Clear();
    return result;
  }

 private:
  Store& store_;
  server::IdFields id_fields_;
  WriteBatch batch_;
};

class RemoteBatch final : public ChangeBatch {
 public:
  explicit RemoteBatch(RemoteChanges changes) : changes_(std::move(changes)) {}

  bool HasRoomFor(std::string_view line) const override { return changes_.HasRoomFor(line); }
  Status Add(std::string_view line) override {
    changes_.Add(line);
    return {};
  }
  size_t size() const override { return changes_.size(); }
  Result<CommitResult> Commit(std::optional<size_t>* refused) override {
    Result<CommitResult> result = changes_.Commit();
    if (result.ok()) return result;
    *refused = NumberBehind("line ", result.status().message());
    if (!*refused) return result;
    --**refused;
    const std::string& message = result.status().message();
    const size_t colon = message.find(": ");
    if (colon == std::string::npos) return result;
    return Status(result.status().code(), message.substr(colon + 2));
  }

 private:
  RemoteChanges changes_;
};

class Applier {
 public:
  Applier(Context& context,
          ChangeBatch& batch,
          ByteSource& source,
          std::optional<uint64_t> batch_lines)
      : context_(context),
        batch_(batch),
        lines_(source),
        lines_max_(batch_lines.value_or(kBatchLinesDefault)),
        exact_(batch_lines.has_value()) {
    context.progress.Begin("apply", ProgressUnit::kBytes, source.size().value_or(0));
  }

  Status Run() {
    while (true) {
      TIDEMARK_ASSIGN_OR_RETURN(const bool found, lines_.Next());
      if (!found) return CommitBatch();
      if (!batch_.HasRoomFor(lines_.line())) {
        if (exact_) {
          return lines_.Error(Status(ErrorCode::kTooLarge,
                                     "the batch has more than 16 MiB; give a smaller --batch"));
        }
        TIDEMARK_RETURN_IF_ERROR(CommitBatch());
      }
      if (Status status = batch_.Add(lines_.line()); !status.ok()) {
        return lines_.Error(status, JsonErrorColumn(status));
      }
      batch_lines_.push_back(lines_.number());
      if (batch_.size() >= lines_max_) TIDEMARK_RETURN_IF_ERROR(CommitBatch());
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
    if (batch_lines_.empty()) return {};
    std::optional<size_t> refused;
    const Result<CommitResult> result = batch_.Commit(&refused);
    if (!result.ok()) return RefusedBatch(result.status(), refused);
    sequence_ = result->sequence;
    applied_ += result->applied;
    unchanged_ += result->unchanged;
    ++batches_;
    committed_through_ = batch_lines_.back();
    context_.progress.Update(lines_.bytes_read());
    batch_lines_.clear();
    return {};
  }

  // Names the line that the committer named, else all lines of the batch.
  Status RefusedBatch(const Status& status, std::optional<size_t> refused) const {
    if (refused && *refused < batch_lines_.size()) {
      return AtPosition(status, lines_.name(), {.line = batch_lines_[*refused]});
    }
    return status.WithContext(lines_.name() + ", lines " + std::to_string(batch_lines_.front()) +
                              " to " + std::to_string(batch_lines_.back()));
  }

  Context& context_;
  ChangeBatch& batch_;
  LineReader lines_;
  uint64_t lines_max_;
  bool exact_;  // the user's word: such a batch is never split

  std::vector<uint64_t> batch_lines_;  // of its operations
  SequenceNumber sequence_;
  uint64_t applied_ = 0;
  uint64_t unchanged_ = 0;
  uint64_t batches_ = 0;
  uint64_t committed_through_ = 0;
};

Status ApplyTo(ChangeBatch& batch,
               Context& context,
               ByteSource& source,
               const ApplyOptions& options) {
  Applier applier(context, batch, source, options.batch);
  Status status = applier.Run();
  applier.Print();
  return status;
}

Status RunApply(Context& context, const ApplyOptions& options) {
  if (options.batch && (*options.batch < 1 || *options.batch > kBatchLinesMax)) {
    return {ErrorCode::kInvalidArgument, "--batch must be from 1 to 10,000"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto source, OpenInput(options.file));
  if (IsRemote(context)) {
    TIDEMARK_ASSIGN_OR_RETURN(RemoteChanges changes, RemoteChanges::Open(context.globals));
    RemoteBatch batch(std::move(changes));
    return ApplyTo(batch, context, *source, options);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kCreate));
  LocalBatch batch(*store);
  TIDEMARK_RETURN_IF_ERROR(ApplyTo(batch, context, *source, options));
  return store->Close();
}

}  // namespace

void AddApplyCommand(CommandTable& table) {
  table.Add<ApplyOptions>({"apply",
                           "Apply a stream of changes, NDJSON lines, in atomic batches",
                           "  tidemark apply --data ./data changes.ndjson\n"
                           "  tidemark apply --data ./data --batch 100 - < changes.ndjson\n"
                           "  echo '{\"op\":\"delete\",\"entity\":\"contact\",\"id\":7}' | "
                           "tidemark apply --data ./data -\n"
                           "  tidemark apply --server http://127.0.0.1:8787 changes.ndjson\n",
                           /*over_http=*/true},
                          &DeclareApply,
                          &RunApply);
}

}  // namespace tidemark::tools
