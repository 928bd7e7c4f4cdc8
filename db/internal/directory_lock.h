// One owner of a store's directory at a time, in this process and in any other.
#pragma once

#include <filesystem>

#include "format/status.h"

namespace tidemark::internal {

/// An advisory lock on the file LOCK in a directory. It goes by the file and not by the spelling of
/// its path: RocksDB's own lock knows the openings of one process by their spelling only, so that a
/// symbolic link would open a store twice and each would delete the other's files.
class DirectoryLock {
 public:
  DirectoryLock() = default;  ///< holds nothing
  /// Releases it.
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;

  /// `kBusy` at once when it is held, by this process or another; `kIoError` when the file cannot
  /// be made or locked. Changes nothing else in the directory.
  static Result<DirectoryLock> Take(const std::filesystem::path& directory);

 private:
  explicit DirectoryLock(int file) : file_(file) {}

  int file_ = -1;  // the lock ends with the descriptor
};

}  // namespace tidemark::internal
