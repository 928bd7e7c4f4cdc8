// Backups: consistent copies of a store, taken while it is written to, each verifiable alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "db/runtime.h"
#include "db/store.h"
#include "format/status.h"

namespace tidemark {

struct BackupInfo {
  uint32_t number = 0;
  int64_t created_at_ms = 0;  ///< wall clock
  uint64_t bytes = 0;
  uint64_t files = 0;
  SequenceNumber sequence;  ///< last sequence number in it, at least
};

using BackupProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

/// Adds a backup of `store` to `directory`; unchanged files are shared between backups.
Result<BackupInfo> CreateBackup(Store& store, const std::filesystem::path& directory);
/// Oldest first.
Result<std::vector<BackupInfo>> ListBackups(const std::filesystem::path& directory);
/// Reads every byte of backup `number` and checks it.
Status VerifyBackup(const std::filesystem::path& directory, uint32_t number);
/// Restores backup `number` (0: the newest) into `target`, which must not exist or be empty, and
/// begins a new epoch far above any sequence number the lost future can have used (contract 20).
Status RestoreBackup(const std::filesystem::path& directory,
                     uint32_t number,
                     const std::filesystem::path& target,
                     std::shared_ptr<Runtime> runtime = nullptr);

}  // namespace tidemark
