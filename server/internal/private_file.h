// Small files of the data root that only their owner may read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "format/status.h"

namespace tidemark::server {

/// The bytes of a file; nullopt when there is none.
Result<std::optional<std::string>> ReadPrivateFile(const std::filesystem::path& path);

/// Puts `bytes` in the place of the file, durably and at once: a reader sees the old file or the
/// new one, also after a power cut.
Status ReplacePrivateFile(const std::filesystem::path& path, std::string_view bytes);

/// What tells one version of a file from another. Equal stamps: nothing was replaced.
struct FileStamp {
  bool exists = false;
  uint64_t inode = 0;
  int64_t changed_ns = 0;
  int64_t size = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp StampOf(const std::filesystem::path& path);

/// Keeps other processes out while it lives: an advisory lock on a file of its own.
class FileLock {
 public:
  /// Waits for it.
  static Result<FileLock> Take(const std::filesystem::path& path);
  /// `kBusy` when somebody has it.
  static Result<FileLock> TryTake(const std::filesystem::path& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  static Result<FileLock> Lock(const std::filesystem::path& path, int operation);
  explicit FileLock(int file) : file_(file) {}
  int file_ = -1;
};

}  // namespace tidemark::server
