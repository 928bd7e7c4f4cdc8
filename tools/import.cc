// import: NDJSON and CSV in.
#include "tools/import.h"

#include <filesystem>
#include <utility>

#include "server/record_json.h"
#include "tools/data_root.h"
#include "tools/signals.h"

namespace tidemark::tools {
namespace {

constexpr size_t kBatchRowsMax = kBatchRecordsMax;
constexpr size_t kBatchPayloadMax = 16 * 1024 * 1024;

void DeclareImport(Arguments& arguments, ImportOptions& options) {
  arguments.RequiredText("--entity", options.entity, "Name of the entity");
  arguments.RequiredText(
      "file,--file", options.file, "NDJSON or CSV file, or - for standard input");
  arguments.Choice("--kind",
                   options.expected.kind,
                   {"snapshot", "incremental"},
                   "Kind of the entity when it is new; otherwise it must be this");
  arguments.List("--id-field",
                 options.expected.id_fields,
                 "Field that holds the id; several make a composite id");
  options.format = "auto";
  arguments.Choice("--format",
                   options.format,
                   {"auto", "ndjson", "csv"},
                   "Format of the input; auto goes by the name of the file");
  arguments.Flag(
      "--replace", options.replace, "Replace the whole entity by what is in the file, in one step");
  arguments.Flag("--dry-run", options.dry_run, "Only say what would happen");
  arguments.Flag("--force", options.force, "With --replace: supersede an active upload sync");
  arguments.Flag("--force-deletes",
                 options.force_deletes,
                 "With --replace: delete also when rows without a readable id were set aside");
  arguments.Flag("--allow-empty",
                 options.allow_empty,
                 "With --replace: a file without rows empties the entity");
  arguments.Share("--max-delete-share",
                  options.delete_share_max,
                  "With --replace: refuse to delete more than this share, from 100 deletions up");
}

// Rows as puts or appends, in batches.
class RowImporter {
 public:
  RowImporter(Context& context,
              Store& store,
              const ImportOptions& options,
              const EntityDeclaration& declaration,
              std::string source_name)
      : context_(context),
        store_(store),
        options_(options),
        declaration_(declaration),
        source_name_(std::move(source_name)) {}

  Result<ImportOutcome> Run(RowReader& rows) {
    ImportRow row;
    while (true) {
      const Result<bool> found = rows.Next(row);
      if (!found.ok()) return found.status().WithContext(Committed());
      if (!*found) break;
      if (Interrupted()) return Status(ErrorCode::kClosed, "interrupted").WithContext(Committed());
      if (Status status = Add(row); !status.ok()) {
        return AtPosition(status, source_name_, {.line = row.line}).WithContext(Committed());
      }
      ++outcome_.rows;
      const bool full =
          batch_.size() >= kBatchRowsMax || batch_.payload_bytes() >= kBatchPayloadMax;
      if (full) TIDEMARK_RETURN_IF_ERROR(CommitBatch(rows));
    }
    TIDEMARK_RETURN_IF_ERROR(CommitBatch(rows));
    return outcome_;
  }

 private:
  std::string Committed() const {
    return std::to_string(committed_) + " rows are imported, then the import stopped";
  }

  Status Add(const ImportRow& row) {
    if (row.json.size() > kValueBytesMax) {
      return {ErrorCode::kTooLarge,
              "the row has " + std::to_string(row.json.size()) + " bytes, the limit is " +
                  std::to_string(kValueBytesMax)};
    }
    std::optional<RecordId> id;
    if (!declaration_.id_fields.empty()) {
      TIDEMARK_ASSIGN_OR_RETURN(id, server::IdOfObject(row.json, declaration_.id_fields));
    }
    if (declaration_.kind == EntityKind::kIncremental) {
      if (id) {
        batch_.Append(options_.entity, *id, row.json, ValueKind::kJson);
      } else {
        batch_.Append(options_.entity, row.json, ValueKind::kJson);
      }
      return {};
    }
    if (!id) {
      std::string names;
      for (const std::string& field : declaration_.id_fields) {
        names += (names.empty() ? "\"" : "\", \"") + field;
      }
      return {ErrorCode::kInvalidArgument, "the id field " + names + "\" is missing"};
    }
    batch_.Put(options_.entity, *id, row.json, ValueKind::kJson);
    return {};
  }

  Status CommitBatch(const RowReader& rows) {
    if (!batch_.empty() && !options_.dry_run) {
      CommitOptions commit;
      commit.want_outcomes = true;
      Result<CommitResult> result = store_.Commit(batch_, commit);
      if (!result.ok()) return result.status().WithContext(Committed());
      for (const OperationOutcome& outcome : result->outcomes) Count(outcome.outcome);
      committed_ = outcome_.rows;
    }
    batch_.Clear();
    context_.progress.Update(rows.bytes_read());
    return {};
  }

  void Count(WriteOutcome outcome) {
    switch (outcome) {
      case WriteOutcome::kCreated:
        ++outcome_.counts.created;
        break;
      case WriteOutcome::kUpdated:
        ++outcome_.counts.updated;
        break;
      case WriteOutcome::kAppended:
        ++outcome_.counts.appended;
        break;
      case WriteOutcome::kUnchanged:
        ++outcome_.counts.unchanged;
        break;
      case WriteOutcome::kDeleted:
        break;
    }
  }

  Context& context_;
  Store& store_;
  const ImportOptions& options_;
  const EntityDeclaration& declaration_;
  std::string source_name_;
  WriteBatch batch_;
  ImportOutcome outcome_;
  uint64_t committed_ = 0;
};

Result<ImportOutcome> ImportRows(Context& context,
                                 Store& store,
                                 const ImportOptions& options,
                                 ByteSource& source,
                                 const EntityDeclaration& declaration) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto rows, ReadRows(options, source, declaration));
  context.progress.Begin("import", ProgressUnit::kBytes, source.size().value_or(0));
  RowImporter importer(context, store, options, declaration, source.name());
  Result<ImportOutcome> outcome = importer.Run(*rows);
  context.progress.End();
  return outcome;
}

void PrintOutcome(Context& context, const ImportOptions& options, const ImportOutcome& outcome) {
  Fields fields = {{"entity", options.entity}, {"rows", outcome.rows}};
  if (!outcome.sync.empty()) {
    fields.emplace_back("sync_id", outcome.sync);
    fields.emplace_back("state", outcome.state);
  }
  fields.emplace_back("dry_run", options.dry_run);
  // Row by row, what would be new is only known by writing it.
  const bool counted = !options.dry_run || options.replace;
  if (counted) {
    fields.emplace_back("created", outcome.counts.created);
    fields.emplace_back("updated", outcome.counts.updated);
    fields.emplace_back("deleted", outcome.counts.deleted);
    fields.emplace_back("unchanged", outcome.counts.unchanged);
    fields.emplace_back("appended", outcome.counts.appended);
  }
  fields.emplace_back("rejected", outcome.rejected);
  context.output.Object(fields);
}

Status CheckOptions(const ImportOptions& options) {
  const bool upload_only = options.force || options.force_deletes || options.allow_empty ||
                           options.delete_share_max.has_value();
  if (upload_only && !options.replace) {
    return {ErrorCode::kInvalidArgument,
            "--force, --force-deletes, --allow-empty and --max-delete-share need --replace"};
  }
  if (options.force && options.dry_run) {
    return {
        ErrorCode::kInvalidArgument,
        "--force would end the active upload sync, and --dry-run changes nothing: leave one out"};
  }
  return {};
}

Status RunImport(Context& context, const ImportOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckOptions(options));
  TIDEMARK_ASSIGN_OR_RETURN(const auto source, OpenInput(options.file));
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kCreate));
  TIDEMARK_ASSIGN_OR_RETURN(const PreparedEntity entity,
                            PrepareEntity(*store, options.entity, options.expected));
  const auto import = options.replace ? &ImportAsUpload : &ImportRows;
  const Result<ImportOutcome> outcome =
      import(context, *store, options, *source, entity.declaration);
  const bool nothing_written = options.dry_run || (options.replace && !outcome.ok());
  if (entity.declared_now && nothing_written) {
    TIDEMARK_RETURN_IF_ERROR(store->Drop(options.entity).status());
  }
  if (!outcome.ok()) return outcome.status();
  TIDEMARK_RETURN_IF_ERROR(store->Close());
  PrintOutcome(context, options, *outcome);
  return {};
}

}  // namespace

Result<std::unique_ptr<RowReader>> ReadRows(const ImportOptions& options,
                                            ByteSource& source,
                                            const EntityDeclaration& declaration) {
  const bool csv_name = std::filesystem::path(options.file).extension() == ".csv";
  const bool csv = options.format == "csv" || (options.format == "auto" && csv_name);
  if (!csv) return ReadNdjsonRows(source);
  const BadCell bad_cell = options.replace ? BadCell::kKeepString : BadCell::kRefuse;
  return ReadCsvRows(source, declaration.fields, bad_cell);
}

void AddImportCommand(CommandTable& table) {
  table.Add<ImportOptions>(
      {"import",
       "Read NDJSON or CSV into an entity",
       "  tidemark import --data ./data --entity contact contacts.ndjson\n"
       "  tidemark import --data ./data --entity users --replace users.csv\n"
       "  tidemark import --data ./data --entity users --replace --dry-run users.csv\n"
       "  gunzip -c visits.gz | tidemark import --data ./data --entity visits --kind incremental "
       "-\n"},
      &DeclareImport,
      &RunImport);
}

}  // namespace tidemark::tools
