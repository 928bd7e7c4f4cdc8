// backup: consistent copies of an instance, listed, checked and restored.
#include "db/backup.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>

#include "tools/command.h"
#include "tools/data_root.h"

namespace tidemark::tools {
namespace {

struct BackupOptions {
  std::string directory;
  std::optional<uint64_t> number;
  std::string as;
};

void DeclareDirectory(Arguments& arguments, BackupOptions& options) {
  arguments.RequiredText(
      "directory,--directory", options.directory, "Folder of backups, one part for each instance");
}

void DeclareNumbered(Arguments& arguments, BackupOptions& options) {
  DeclareDirectory(arguments, options);
  arguments.Unsigned("--number", options.number, "Number of the backup; the newest by default");
}

void DeclareRestore(Arguments& arguments, BackupOptions& options) {
  DeclareNumbered(arguments, options);
  arguments.Text("--as", options.as, "Restore under this instance name");
}

// The instance's own part of the folder. `must_exist` for everything but creating.
Result<std::filesystem::path> PartOf(Context& context, const std::string& root, bool must_exist) {
  TIDEMARK_ASSIGN_OR_RETURN(auto part, InstancePath(root, context.globals.instance));
  std::error_code error;
  if (must_exist && !std::filesystem::is_directory(part, error)) {
    return Status(ErrorCode::kNotFound,
                  root + " has no backup of instance \"" + context.globals.instance + "\"");
  }
  return part;
}

Result<uint32_t> ChosenNumber(const BackupOptions& options) {
  const uint64_t number = options.number.value_or(0);
  if (number > std::numeric_limits<uint32_t>::max() || (options.number && number == 0)) {
    return Status(ErrorCode::kInvalidArgument, "--number counts from 1");
  }
  return static_cast<uint32_t>(number);
}

Fields BackupFields(const BackupInfo& backup) {
  return {{"number", uint64_t{backup.number}},
          {"created", Cell::Time(backup.created_at_ms)},
          {"bytes", Cell::Bytes(backup.bytes)},
          {"files", backup.files},
          {"sequence", backup.sequence.value()}};
}

// A backup within the store would be lost with it.
Status CheckOutside(const std::filesystem::path& part, const std::filesystem::path& store) {
  std::error_code error;
  const auto there = std::filesystem::weakly_canonical(part, error);
  const auto here = std::filesystem::weakly_canonical(store, error);
  const auto [stop, rest] = std::mismatch(here.begin(), here.end(), there.begin(), there.end());
  if (error || stop != here.end()) return {};
  return {ErrorCode::kInvalidArgument,
          part.string() + " is in the folder of the store; make backups in a folder elsewhere"};
}

Status RunCreate(Context& context, const BackupOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto part, PartOf(context, options.directory, false));
  TIDEMARK_ASSIGN_OR_RETURN(const auto place,
                            InstancePath(context.globals.data, context.globals.instance));
  TIDEMARK_RETURN_IF_ERROR(CheckOutside(part, place));
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kWrite));
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(part));
  TIDEMARK_ASSIGN_OR_RETURN(const BackupInfo backup, CreateBackup(*store, part));
  TIDEMARK_RETURN_IF_ERROR(store->Close());
  // It shares files with earlier ones, and those may have been damaged since.
  if (Status status = VerifyBackup(part, backup.number); !status.ok()) {
    return status.WithContext("backup " + std::to_string(backup.number) +
                              " cannot be restored; make backups in a new folder");
  }
  context.output.Object(BackupFields(backup));
  return {};
}

Status RunList(Context& context, const BackupOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto part, PartOf(context, options.directory, true));
  TIDEMARK_ASSIGN_OR_RETURN(const auto backups, ListBackups(part));
  Rows rows(context.output, {"number", "created", "bytes", "files", "sequence"});
  for (const BackupInfo& backup : backups) {
    std::vector<Cell> cells;
    for (const auto& [name, cell] : BackupFields(backup)) cells.push_back(cell);
    rows.Add(cells);
  }
  rows.Finish();
  return {};
}

// 0, the newest, becomes its number.
Result<BackupInfo> FindBackup(const std::filesystem::path& part, uint32_t number) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto backups, ListBackups(part));
  const auto found = std::find_if(backups.rbegin(), backups.rend(), [&](const BackupInfo& backup) {
    return number == 0 || backup.number == number;
  });
  if (found != backups.rend()) return *found;
  if (number == 0) return Status(ErrorCode::kNotFound, "there is no backup yet");
  return Status(ErrorCode::kNotFound, "there is no backup " + std::to_string(number));
}

Status RunVerify(Context& context, const BackupOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto part, PartOf(context, options.directory, true));
  TIDEMARK_ASSIGN_OR_RETURN(const uint32_t number, ChosenNumber(options));
  TIDEMARK_ASSIGN_OR_RETURN(const BackupInfo backup, FindBackup(part, number));
  if (Status status = VerifyBackup(part, backup.number); !status.ok()) {
    return status.WithContext("backup " + std::to_string(backup.number));
  }
  Fields fields = BackupFields(backup);
  fields.emplace_back("verified", true);
  context.output.Object(fields);
  return {};
}

Status RunRestore(Context& context, const BackupOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto part, PartOf(context, options.directory, true));
  TIDEMARK_ASSIGN_OR_RETURN(const uint32_t number, ChosenNumber(options));
  const std::string instance = options.as.empty() ? context.globals.instance : options.as;
  TIDEMARK_ASSIGN_OR_RETURN(const auto target, InstancePath(context.globals.data, instance));
  TIDEMARK_ASSIGN_OR_RETURN(const BackupInfo backup, FindBackup(part, number));
  std::error_code error;
  if (std::filesystem::exists(target, error) && !std::filesystem::is_empty(target, error)) {
    return {ErrorCode::kConflict,
            "instance \"" + instance + "\" exists in " + context.globals.data +
                "; restore into another data root, or with --as under another name"};
  }
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(target.parent_path()));
  TIDEMARK_RETURN_IF_ERROR(RestoreBackup(part, backup.number, target));
  context.output.Object({{"number", uint64_t{backup.number}},
                         {"instance", instance},
                         {"directory", target.string()},
                         {"sequence", backup.sequence.value()}});
  return {};
}

}  // namespace

void AddBackupCommands(CommandTable& table) {
  table.AddGroup("backup", "Backups: create, list, verify, restore");
  table.Add<BackupOptions>({"backup create",
                            "Add a backup; unchanged files are shared with earlier ones",
                            "  tidemark backup create --data ./data ./backups\n"},
                           &DeclareDirectory,
                           &RunCreate);
  table.Add<BackupOptions>(
      {"backup list", "List the backups, oldest first", "  tidemark backup list ./backups\n"},
      &DeclareDirectory,
      &RunList);
  table.Add<BackupOptions>({"backup verify",
                            "Read every byte of a backup and check it",
                            "  tidemark backup verify ./backups\n"
                            "  tidemark backup verify ./backups --number 3\n"},
                           &DeclareNumbered,
                           &RunVerify);
  table.Add<BackupOptions>({"backup restore",
                            "Restore a backup as a new instance, in a new epoch",
                            "  tidemark backup restore --data ./restored ./backups\n"
                            "  tidemark backup restore --data ./data ./backups --as before\n"},
                           &DeclareRestore,
                           &RunRestore);
}

}  // namespace tidemark::tools
