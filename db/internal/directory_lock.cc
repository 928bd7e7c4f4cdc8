#include "db/internal/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace tidemark::internal {

DirectoryLock::~DirectoryLock() {
  if (file_ >= 0) close(file_);
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept
    : file_(std::exchange(other.file_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

Result<DirectoryLock> DirectoryLock::Take(const std::filesystem::path& directory) {
  const std::string path = directory / "LOCK";
  constexpr mode_t kOwnerOnly = 0600;
  DirectoryLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwnerOnly));
  if (lock.file_ < 0) {
    const ErrorCode code = errno == ENOSPC ? ErrorCode::kDiskFull : ErrorCode::kIoError;
    return {code, path + ": " + std::strerror(errno)};
  }
  if (flock(lock.file_, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return {ErrorCode::kBusy, directory.string() + " is open already, in this process or another"};
  }
  return {ErrorCode::kIoError, "locking " + path + ": " + std::strerror(errno)};
}

}  // namespace tidemark::internal
