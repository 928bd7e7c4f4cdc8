#include "db/backup.h"

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <rocksdb/utilities/backup_engine.h>

#include "db/internal/rocks_status.h"
#include "db/internal/runtime_impl.h"
#include "db/internal/store_impl.h"
#include "db/internal/writing_stopped.h"
#include "format/coding.h"
#include "format/stored_row.h"

namespace tidemark {

using internal::FromRocks;
using internal::StoreState;

namespace {

constexpr uint8_t kMetadataVersion = 1;
constexpr std::string_view kMetadataName = "the backup's metadata";
// Entities change rarely. A backup during which one did is made again, the last time with writers
// held up.
constexpr int kOptimisticAttempts = 2;

/// What Tidemark keeps with a backup.
std::string EncodeMetadata(SequenceNumber sequence) {
  std::string out(1, static_cast<char>(kMetadataVersion));
  AppendVarint(&out, sequence.value());
  return out;
}

Result<SequenceNumber> DecodeMetadata(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kMetadataVersion, kMetadataName).status());
  const SequenceNumber sequence = reader.Sequence();
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kMetadataName));
  return sequence;
}

rocksdb::BackupEngineOptions EngineOptions(const std::filesystem::path& directory,
                                           rocksdb::Env* env) {
  rocksdb::BackupEngineOptions options(directory.string(), env);
  options.sync = true;
  options.share_table_files = true;
  options.share_files_with_checksum = true;  // names say what is in a file, across restores too
  return options;
}

/// Opens the backups in `directory` for reading.
Result<std::unique_ptr<rocksdb::BackupEngineReadOnly>> OpenBackups(
    const std::filesystem::path& directory, rocksdb::Env* env) {
  if (!env->FileExists((directory / "meta").string()).ok()) {
    return {ErrorCode::kNotFound, "there are no backups in " + directory.string()};
  }
  rocksdb::BackupEngineReadOnly* engine = nullptr;
  const rocksdb::Status opened =
      rocksdb::BackupEngineReadOnly::Open(env, EngineOptions(directory, env), &engine);
  if (!opened.ok()) return FromRocks(opened, "opening the backups in " + directory.string());
  return std::unique_ptr<rocksdb::BackupEngineReadOnly>(engine);
}

Result<BackupInfo> MakeInfo(const rocksdb::BackupInfo& backup) {
  BackupInfo info;
  info.number = backup.backup_id;
  info.created_at_ms = backup.timestamp * 1000;
  info.bytes = backup.size;
  info.files = backup.number_files;
  auto sequence = DecodeMetadata(backup.app_metadata);
  if (!sequence.ok()) {
    return sequence.status().WithContext("backup " + std::to_string(info.number));
  }
  info.sequence = *sequence;
  return info;
}

Result<std::vector<BackupInfo>> ReadInfos(const rocksdb::BackupEngineReadOnlyBase& engine) {
  std::vector<rocksdb::BackupInfo> backups;
  engine.GetBackupInfo(&backups);
  std::vector<BackupInfo> infos;
  for (const rocksdb::BackupInfo& backup : backups) {
    TIDEMARK_ASSIGN_OR_RETURN(BackupInfo info, MakeInfo(backup));
    infos.push_back(info);
  }
  return infos;
}

/// The number itself if there is such a backup; 0 stands for the newest.
Result<uint32_t> FindBackup(const rocksdb::BackupEngineReadOnlyBase& engine,
                            const std::filesystem::path& directory,
                            uint32_t number) {
  std::vector<rocksdb::BackupInfo> backups;
  engine.GetBackupInfo(&backups);
  if (number == 0 && !backups.empty()) return uint32_t{backups.back().backup_id};
  for (const rocksdb::BackupInfo& backup : backups) {
    if (backup.backup_id == number) return number;
  }
  std::vector<rocksdb::BackupID> damaged;
  engine.GetCorruptedBackups(&damaged);
  for (const rocksdb::BackupID id : damaged) {
    if (id == number || number == 0) {
      return {ErrorCode::kCorruption,
              "backup " + std::to_string(id) + " in " + directory.string() + " is damaged"};
    }
  }
  return {ErrorCode::kNotFound,
          "there is no backup " + std::to_string(number) + " in " + directory.string()};
}

/// One attempt. Nullopt, and no backup, when entities changed meanwhile: RocksDB notes the column
/// families first and the log of writes last, so a backup of that instant could name families that
/// it does not have. Requires commit_mutex if `held`, else that it is free.
Result<std::optional<uint32_t>> TryBackup(StoreState& state,
                                          rocksdb::BackupEngine& engine,
                                          bool held) {
  const auto before = state.GetCatalog();
  SequenceNumber sequence;
  {
    const std::shared_lock lock(state.state_mutex);
    sequence = state.visible;
  }
  rocksdb::BackupID id = 0;
  const rocksdb::Status made = engine.CreateNewBackupWithMetadata(
      rocksdb::CreateBackupOptions(), state.db.get(), EncodeMetadata(sequence), &id);
  if (!made.ok()) return FromRocks(made, "making a backup");
  if (held) return std::optional<uint32_t>(id);
  bool changed = false;
  {
    // What is written is published under this mutex.
    const std::lock_guard lock(state.commit_mutex);
    changed = state.GetCatalog() != before;
  }
  if (!changed) return std::optional<uint32_t>(id);
  TIDEMARK_RETURN_IF_ERROR(
      FromRocks(engine.DeleteBackup(id), "removing a backup to make it again"));
  return std::optional<uint32_t>{};
}

Result<uint32_t> MakeBackup(StoreState& state, rocksdb::BackupEngine& engine) {
  for (int attempt = 0; attempt < kOptimisticAttempts; ++attempt) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto made, TryBackup(state, engine, /*held=*/false));
    if (made.has_value()) return *made;
  }
  const std::lock_guard lock(state.commit_mutex);
  TIDEMARK_ASSIGN_OR_RETURN(const auto made, TryBackup(state, engine, /*held=*/true));
  return *made;
}

/// Empty, or not there yet.
Status CheckTarget(const std::filesystem::path& target) {
  std::error_code failed;
  if (!std::filesystem::exists(target, failed)) {
    if (failed) return {ErrorCode::kIoError, target.string() + ": " + failed.message()};
    return {};
  }
  const bool empty =
      std::filesystem::is_directory(target, failed) && std::filesystem::is_empty(target, failed);
  if (failed) return {ErrorCode::kIoError, target.string() + ": " + failed.message()};
  if (!empty) {
    return {ErrorCode::kConflict,
            target.string() + " is not an empty directory; restore elsewhere"};
  }
  return {};
}

/// Copies the files of a backup to `target`/db, which appears only when it is whole.
Status CopyBack(const rocksdb::BackupEngineReadOnly& engine,
                uint32_t number,
                const std::filesystem::path& target,
                rocksdb::Env* env) {
  const std::filesystem::path draft = target / "db.restoring";
  const std::string what = "restoring backup " + std::to_string(number);
  TIDEMARK_RETURN_IF_ERROR(
      FromRocks(env->CreateDirIfMissing(target.string()), "making " + target.string()));
  rocksdb::Status copied = engine.RestoreDBFromBackup(number, draft.string(), draft.string());
  if (copied.ok()) copied = env->RenameFile(draft.string(), (target / "db").string());
  if (!copied.ok()) {
    // Only a check of the backup tells which file it is.
    const rocksdb::Status checked = engine.VerifyBackup(number, /*verify_with_checksum=*/true);
    return FromRocks(checked.ok() ? copied : checked, what);
  }
  std::unique_ptr<rocksdb::Directory> directory;
  TIDEMARK_RETURN_IF_ERROR(
      FromRocks(env->NewDirectory(target.string(), &directory), "syncing " + target.string()));
  return FromRocks(directory->Fsync(), "syncing " + target.string());
}

}  // namespace

Result<BackupInfo> CreateBackup(Store& store, const std::filesystem::path& directory) {
  StoreState& state = store.impl().state;
  if (state.options.read_only) return {ErrorCode::kReadOnly, "the store was opened read-only"};
  {
    const std::lock_guard lock(state.commit_mutex);
    if (!state.write_error.ok()) return internal::WritingStopped(state.write_error);
  }
  rocksdb::Env* env = state.runtime->impl().env();
  rocksdb::BackupEngine* opened = nullptr;
  const rocksdb::Status status =
      rocksdb::BackupEngine::Open(env, EngineOptions(directory, env), &opened);
  if (!status.ok()) return FromRocks(status, "opening the backups in " + directory.string());
  const std::unique_ptr<rocksdb::BackupEngine> engine(opened);
  TIDEMARK_ASSIGN_OR_RETURN(const uint32_t number, MakeBackup(state, *engine));
  rocksdb::BackupInfo info;
  TIDEMARK_RETURN_IF_ERROR(FromRocks(engine->GetBackupInfo(number, &info), "reading the backup"));
  return MakeInfo(info);
}

Result<std::vector<BackupInfo>> ListBackups(const std::filesystem::path& directory) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto engine, OpenBackups(directory, rocksdb::Env::Default()));
  return ReadInfos(*engine);
}

Status VerifyBackup(const std::filesystem::path& directory, uint32_t number) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto engine, OpenBackups(directory, rocksdb::Env::Default()));
  TIDEMARK_ASSIGN_OR_RETURN(const uint32_t found, FindBackup(*engine, directory, number));
  const rocksdb::Status verified = engine->VerifyBackup(found, /*verify_with_checksum=*/true);
  if (verified.IsNotFound()) {
    return {ErrorCode::kCorruption,
            "backup " + std::to_string(found) + " lacks a file: " + verified.ToString()};
  }
  return FromRocks(verified, "backup " + std::to_string(found));
}

Status RestoreBackup(const std::filesystem::path& directory,
                     uint32_t number,
                     const std::filesystem::path& target,
                     std::shared_ptr<Runtime> runtime) {
  if (runtime == nullptr) {
    TIDEMARK_ASSIGN_OR_RETURN(runtime, Runtime::Create());
  }
  rocksdb::Env* env = runtime->impl().env();
  TIDEMARK_RETURN_IF_ERROR(CheckTarget(target));
  Status copied;
  {
    TIDEMARK_ASSIGN_OR_RETURN(const auto engine, OpenBackups(directory, env));
    TIDEMARK_ASSIGN_OR_RETURN(const uint32_t found, FindBackup(*engine, directory, number));
    copied = CopyBack(*engine, found, target, env);
  }
  if (!copied.ok()) {  // the engine is gone, and with it its threads that copied
    std::error_code ignored;
    std::filesystem::remove_all(target / "db.restoring", ignored);
    return copied;
  }
  // A store without a guard does not know what its lost future told the world: opening it begins
  // a new epoch.
  TIDEMARK_ASSIGN_OR_RETURN(const auto store,
                            Store::Open(target, {.create_if_missing = false}, std::move(runtime)));
  return store->Close();
}

}  // namespace tidemark
