#include "server/internal/private_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace tidemark::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileBytesMax = 64 * 1024 * 1024;

Status Failure(std::string_view what, const fs::path& path) {
  const int error = errno;
  return {error == ENOSPC ? ErrorCode::kDiskFull : ErrorCode::kIoError,
          std::string(what) + " " + path.string() + ": " + std::generic_category().message(error)};
}

class File {
 public:
  File(const fs::path& path, int flags) : file_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (file_ >= 0) close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int get() const { return file_; }
  bool ok() const { return file_ >= 0; }

 private:
  int file_ = -1;
};

bool WriteAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

Result<std::optional<std::string>> ReadPrivateFile(const fs::path& path) {
  const File file(path, O_RDONLY);
  if (!file.ok()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<std::string>();
    return Failure("opening", path);
  }
  std::string bytes;
  std::array<char, 16 * 1024> buffer{};
  while (true) {
    const ssize_t count = read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failure("reading", path);
    if (count == 0) return std::optional<std::string>(std::move(bytes));
    bytes.append(buffer.data(), static_cast<size_t>(count));
    if (bytes.size() > kFileBytesMax) return Status(ErrorCode::kTooLarge, path.string());
  }
}

Status ReplacePrivateFile(const fs::path& path, std::string_view bytes) {
  if (bytes.size() > kFileBytesMax) return {ErrorCode::kTooLarge, path.string()};  // for a reader
  fs::path beside = path;
  beside += ".new";
  {
    const File file(beside, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.ok()) return Failure("creating", beside);
    if (!WriteAll(file.get(), bytes)) return Failure("writing", beside);
    if (fsync(file.get()) != 0) return Failure("syncing", beside);
  }
  if (std::rename(beside.c_str(), path.c_str()) != 0) return Failure("replacing", path);
  const File directory(path.parent_path(), O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) return Failure("opening", path.parent_path());
  if (fsync(directory.get()) != 0) return Failure("syncing", path.parent_path());
  return {};
}

FileStamp StampOf(const fs::path& path) {
  struct stat state {};
  if (stat(path.c_str(), &state) != 0) return {};
  return {.exists = true,
          .inode = state.st_ino,
          .changed_ns = state.st_mtim.tv_sec * 1'000'000'000 + state.st_mtim.tv_nsec,
          .size = state.st_size};
}

Result<FileLock> FileLock::Take(const fs::path& path) {
  return Lock(path, LOCK_EX);
}

Result<FileLock> FileLock::TryTake(const fs::path& path) {
  return Lock(path, LOCK_EX | LOCK_NB);
}

Result<FileLock> FileLock::Lock(const fs::path& path, int operation) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return Failure("opening", path);
  while (flock(file, operation) != 0) {
    if (errno == EINTR) continue;
    Status status = errno == EWOULDBLOCK ? Status(ErrorCode::kBusy, path.string() + " is locked")
                                         : Failure("locking", path);
    close(file);
    return status;
  }
  return FileLock(file);
}

FileLock::~FileLock() {
  if (file_ >= 0) close(file_);
}

FileLock::FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

}  // namespace tidemark::server
