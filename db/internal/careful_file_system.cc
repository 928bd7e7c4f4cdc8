#include "db/internal/careful_file_system.h"

#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <rocksdb/file_system.h>

namespace tidemark::internal {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr std::string_view kManifestPrefix = "MANIFEST-";
constexpr std::string_view kCurrentName = "CURRENT";
constexpr std::string_view kOptionsPrefix = "OPTIONS-";

std::string NameOf(const std::string& path) {
  return std::filesystem::path(path).filename();
}

std::string DirectoryOf(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().parent_path();
}

/// Directories whose manifest is in doubt. Thread-safe.
class Doubts {
 public:
  void Add(const std::string& directory) {
    const std::lock_guard lock(mutex_);
    directories_.insert(directory);
  }
  void Remove(const std::string& directory) {
    const std::lock_guard lock(mutex_);
    directories_.erase(directory);
  }
  bool Contains(const std::string& directory) const {
    const std::lock_guard lock(mutex_);
    return directories_.contains(directory);
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::string> directories_;
};

/// A manifest that notes when writing it fails.
class Manifest final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Manifest(std::unique_ptr<rocksdb::FSWritableFile> file,
           std::shared_ptr<Doubts> doubts,
           std::string directory)
      : FSWritableFileOwnerWrapper(std::move(file)),
        doubts_(std::move(doubts)),
        directory_(std::move(directory)) {}

  IOStatus Append(const rocksdb::Slice& data,
                  const IOOptions& options,
                  IODebugContext* debug) override {
    return Note(FSWritableFileOwnerWrapper::Append(data, options, debug));
  }
  IOStatus Append(const rocksdb::Slice& data,
                  const IOOptions& options,
                  const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    return Note(FSWritableFileOwnerWrapper::Append(data, options, verification, debug));
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return Note(FSWritableFileOwnerWrapper::Flush(options, debug));
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return Note(FSWritableFileOwnerWrapper::Sync(options, debug));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Note(FSWritableFileOwnerWrapper::Fsync(options, debug));
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return Note(FSWritableFileOwnerWrapper::Close(options, debug));
  }

 private:
  IOStatus Note(IOStatus status) {
    if (!status.ok()) doubts_->Add(directory_);
    return status;
  }

  const std::shared_ptr<Doubts> doubts_;
  const std::string directory_;
};

class CarefulFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit CarefulFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target)
      : FileSystemWrapper(target), doubts_(std::make_shared<Doubts>()) {}

  const char* Name() const override { return "tidemark.careful_file_system"; }

  IOStatus NewWritableFile(const std::string& path,
                           const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* debug) override {
    // Options are code. RocksDB would write those of every column family, and read them again,
    // whenever it makes or drops one; that it cannot is no error to it.
    if (NameOf(path).starts_with(kOptionsPrefix)) {
      return IOStatus::NotSupported("options are not written");
    }
    IOStatus opened = FileSystemWrapper::NewWritableFile(path, options, result, debug);
    if (opened.ok() && NameOf(path).starts_with(kManifestPrefix)) {
      *result = std::make_unique<Manifest>(std::move(*result), doubts_, DirectoryOf(path));
    }
    return opened;
  }
  IOStatus RenameFile(const std::string& from,
                      const std::string& to,
                      const IOOptions& options,
                      IODebugContext* debug) override {
    IOStatus renamed = FileSystemWrapper::RenameFile(from, to, options, debug);
    if (renamed.ok() && NameOf(to) == kCurrentName) doubts_->Remove(DirectoryOf(to));
    return renamed;
  }
  IOStatus DeleteFile(const std::string& path,
                      const IOOptions& options,
                      IODebugContext* debug) override {
    if (doubts_->Contains(DirectoryOf(path))) return IOStatus::OK();
    return FileSystemWrapper::DeleteFile(path, options, debug);
  }

 private:
  const std::shared_ptr<Doubts> doubts_;
};

class CarefulEnv final : public rocksdb::EnvWrapper {
 public:
  explicit CarefulEnv(std::unique_ptr<rocksdb::Env> env) : EnvWrapper(std::move(env)) {
    file_system_ = std::make_shared<CarefulFileSystem>(target()->GetFileSystem());
    system_clock_ = target()->GetSystemClock();
  }
  const char* Name() const override { return "tidemark.careful_env"; }
  // An environment's own file calls go the same way as those through its file system.
  rocksdb::Status DeleteFile(const std::string& path) override {
    return file_system_->DeleteFile(path, IOOptions(), nullptr);
  }
};

}  // namespace

std::unique_ptr<rocksdb::Env> NewCarefulEnv(std::unique_ptr<rocksdb::Env> env) {
  return std::make_unique<CarefulEnv>(std::move(env));
}

}  // namespace tidemark::internal
