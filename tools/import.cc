// import: NDJSON and CSV in.
#include "tools/import.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/json.h"
#include "format/record_json.h"
#include "tools/data_root.h"
#include "tools/remote_changes.h"
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

// Rows that commit together.
class RowBatch {
 public:
  virtual ~RowBatch() = default;
  /// False: the batch is as large as it may be.
  virtual bool HasRoomFor(std::string_view json) const = 0;
  virtual void Put(const RecordId& id, std::string_view json) = 0;
  virtual void Append(const std::optional<RecordId>& id, std::string_view json) = 0;
  virtual size_t size() const = 0;
  /// Commits, unless that is left out, and clears; counts what was done.
  virtual Status Commit(bool dry_run, ImportOutcome* outcome) = 0;
};

class LocalRows final : public RowBatch {
 public:
  LocalRows(Store& store, std::string entity) : store_(store), entity_(std::move(entity)) {}

  bool HasRoomFor(std::string_view /*json*/) const override {
    return batch_.payload_bytes() < kBatchPayloadMax;
  }
  void Put(const RecordId& id, std::string_view json) override {
    batch_.Put(entity_, id, json, ValueKind::kJson);
  }
  void Append(const std::optional<RecordId>& id, std::string_view json) override {
    if (id) {
      batch_.Append(entity_, *id, json, ValueKind::kJson);
    } else {
      batch_.Append(entity_, json, ValueKind::kJson);
    }
  }
  size_t size() const override { return batch_.size(); }
  Status Commit(bool dry_run, ImportOutcome* outcome) override {
    if (dry_run) {
      batch_.Clear();
      return {};
    }
    CommitOptions commit;
    commit.want_outcomes = true;
    const Result<CommitResult> result = store_.Commit(batch_, commit);
    batch_.Clear();
    TIDEMARK_RETURN_IF_ERROR(result.status());
    for (const OperationOutcome& one : result->outcomes) Count(one.outcome, &outcome->counts);
    return {};
  }

 private:
  static void Count(WriteOutcome outcome, ReplaceCounts* counts) {
    switch (outcome) {
      case WriteOutcome::kCreated:
        ++counts->created;
        break;
      case WriteOutcome::kUpdated:
        ++counts->updated;
        break;
      case WriteOutcome::kAppended:
        ++counts->appended;
        break;
      case WriteOutcome::kUnchanged:
        ++counts->unchanged;
        break;
      case WriteOutcome::kDeleted:
        break;
    }
  }

  Store& store_;
  const std::string entity_;
  WriteBatch batch_;
};

class RemoteRows final : public RowBatch {
 public:
  RemoteRows(RemoteChanges changes, std::string entity)
      : changes_(std::move(changes)), entity_(std::move(entity)) {}

  bool HasRoomFor(std::string_view json) const override {
    return changes_.HasRoomFor(Line("append", {}, json));
  }
  void Put(const RecordId& id, std::string_view json) override {
    changes_.Add(Line("put", id, json));
  }
  void Append(const std::optional<RecordId>& id, std::string_view json) override {
    changes_.Add(Line("append", id, json));
  }
  size_t size() const override { return changes_.size(); }
  Status Commit(bool dry_run, ImportOutcome* outcome) override {
    if (dry_run) {
      changes_.Clear();
      return {};
    }
    TIDEMARK_ASSIGN_OR_RETURN(const CommitResult result, changes_.Commit());
    outcome->applied = outcome->applied.value_or(0) + result.applied;
    outcome->counts.unchanged += result.unchanged;
    return {};
  }

 private:
  std::string Line(std::string_view op,
                   const std::optional<RecordId>& id,
                   std::string_view json) const {
    JsonWriter line;
    line.BeginObject().Key("op").String(op).Key("entity").String(entity_);
    if (id) line.Key("id").Raw(IdToJson(id->text(), id->form()));
    line.Key("data").Raw(json).EndObject();
    return line.Take();
  }

  RemoteChanges changes_;
  const std::string entity_;
};

// Rows as puts or appends, in batches.
class RowImporter {
 public:
  RowImporter(Context& context,
              RowBatch& batch,
              const ImportOptions& options,
              const EntityDeclaration& declaration,
              std::string source_name)
      : context_(context),
        batch_(batch),
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
      if (!batch_.HasRoomFor(row.json)) TIDEMARK_RETURN_IF_ERROR(CommitBatch(rows));
      if (Status status = Add(row); !status.ok()) {
        return AtPosition(status, source_name_, {.line = row.line}).WithContext(Committed());
      }
      ++outcome_.rows;
      if (batch_.size() >= kBatchRowsMax) TIDEMARK_RETURN_IF_ERROR(CommitBatch(rows));
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
      TIDEMARK_ASSIGN_OR_RETURN(id, IdOfObject(row.json, declaration_.id_fields));
    }
    if (declaration_.kind == EntityKind::kIncremental) {
      batch_.Append(id, row.json);
      return {};
    }
    if (!id) {
      std::string names;
      for (const std::string& field : declaration_.id_fields) {
        names += (names.empty() ? "\"" : "\", \"") + field;
      }
      return {ErrorCode::kInvalidArgument, "the id field " + names + "\" is missing"};
    }
    batch_.Put(*id, row.json);
    return {};
  }

  Status CommitBatch(const RowReader& rows) {
    if (batch_.size() == 0) return {};
    if (Status done = batch_.Commit(options_.dry_run, &outcome_); !done.ok()) {
      return done.WithContext(Committed());
    }
    if (!options_.dry_run) committed_ = outcome_.rows;
    context_.progress.Update(rows.bytes_read());
    return {};
  }

  Context& context_;
  RowBatch& batch_;
  const ImportOptions& options_;
  const EntityDeclaration& declaration_;
  std::string source_name_;
  ImportOutcome outcome_;
  uint64_t committed_ = 0;
};

Result<ImportOutcome> ImportRows(Context& context,
                                 RowBatch& batch,
                                 const ImportOptions& options,
                                 ByteSource& source,
                                 const EntityDeclaration& declaration) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto rows, ReadRows(options, source, declaration));
  context.progress.Begin("import", ProgressUnit::kBytes, source.size().value_or(0));
  RowImporter importer(context, batch, options, declaration, source.name());
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
  if (counted && outcome.applied) {
    fields.emplace_back("applied", *outcome.applied);
    fields.emplace_back("unchanged", outcome.counts.unchanged);
  } else if (counted) {
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

// As one upload sync, into a data root or at a server.
Result<ImportOutcome> ReplaceEntity(Context& context,
                                    const ImportOptions& options,
                                    ByteSource& source) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto uploads, OpenUploadCalls(context.globals, Access::kCreate));
  TIDEMARK_ASSIGN_OR_RETURN(const PreparedEntity entity,
                            uploads->Prepare(options.entity, options.expected));
  Result<ImportOutcome> outcome =
      ImportAsUpload(context, *uploads, options, source, entity.declaration);
  if (entity.declared_now && (options.dry_run || !outcome.ok())) {
    TIDEMARK_RETURN_IF_ERROR(uploads->Drop(options.entity));
  }
  return outcome;
}

Result<ImportOutcome> ImportIntoRoot(Context& context,
                                     const ImportOptions& options,
                                     ByteSource& source) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kCreate));
  TIDEMARK_ASSIGN_OR_RETURN(const PreparedEntity entity,
                            PrepareEntity(*store, options.entity, options.expected));
  LocalRows batch(*store, options.entity);
  Result<ImportOutcome> outcome = ImportRows(context, batch, options, source, entity.declaration);
  if (entity.declared_now && options.dry_run) {
    TIDEMARK_RETURN_IF_ERROR(store->Drop(options.entity).status());
  }
  TIDEMARK_RETURN_IF_ERROR(outcome.status());
  TIDEMARK_RETURN_IF_ERROR(store->Close());
  return outcome;
}

Result<ImportOutcome> ImportOverHttp(Context& context,
                                     const ImportOptions& options,
                                     ByteSource& source) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  TIDEMARK_ASSIGN_OR_RETURN(const PreparedEntity entity,
                            PrepareRemoteEntity(*remote, options.entity, options.expected));
  TIDEMARK_ASSIGN_OR_RETURN(RemoteChanges changes, RemoteChanges::Open(context.globals));
  RemoteRows batch(std::move(changes), options.entity);
  Result<ImportOutcome> outcome = ImportRows(context, batch, options, source, entity.declaration);
  if (entity.declared_now && options.dry_run) {
    const std::string path = "/v1/entities/" + Escape(options.entity);
    TIDEMARK_RETURN_IF_ERROR(remote->Ask(http::Method::kDelete, path).status());
  }
  return outcome;
}

Status RunImport(Context& context, const ImportOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckOptions(options));
  TIDEMARK_ASSIGN_OR_RETURN(const auto source, OpenInput(options.file));
  const auto row_by_row = IsRemote(context) ? &ImportOverHttp : &ImportIntoRoot;
  const auto import = options.replace ? &ReplaceEntity : row_by_row;
  TIDEMARK_ASSIGN_OR_RETURN(const ImportOutcome outcome, import(context, options, *source));
  PrintOutcome(context, options, outcome);
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
       "-\n"
       "  tidemark import --server http://127.0.0.1:8787 --entity users --replace users.csv\n",
       /*over_http=*/true},
      &DeclareImport,
      &RunImport);
}

}  // namespace tidemark::tools
