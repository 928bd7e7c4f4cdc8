#include "tests/support/fault_file_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include <rocksdb/system_clock.h>

namespace tidemark::test {

using rocksdb::DataVerificationInfo;
using rocksdb::DirFsyncOptions;
using rocksdb::FileOptions;
using rocksdb::FSDirectory;
using rocksdb::FSRandomRWFile;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

enum class CallKind : uint8_t { kSync, kOther };

IOStatus ErrorOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::kPowerCut:
      return IOStatus::IOError("the power is off");
    case FaultKind::kNoSpace:
      return IOStatus::NoSpace("injected: no space left on device");
    case FaultKind::kShortWrite:
      return IOStatus::IOError("injected: short write");
    case FaultKind::kIoError:
      break;
  }
  return IOStatus::IOError("injected: input/output error");
}

}  // namespace

struct FaultFileSystem::Control {
  explicit Control(const std::filesystem::path& root) : disk(root) {}

  // Does the call, unless the plan says otherwise.
  template <typename Call>
  IOStatus Run(CallKind kind, Call call) {
    const std::lock_guard lock(mutex);
    if (IOStatus status = Count(kind); !status.ok()) return status;
    return call();
  }

  // The same for a write, of which a part may be done.
  template <typename Call>
  IOStatus RunWrite(const Slice& data, Call call) {
    const std::lock_guard lock(mutex);
    IOStatus status = Count(CallKind::kOther);
    if (status.ok()) return call(data);
    if (!power_off && plan.kind == FaultKind::kShortWrite) {
      if (IOStatus half = call(Slice(data.data(), data.size() / 2)); !half.ok()) return half;
    }
    return status;
  }

  // A sync is done by `call`, and kept by `settle`.
  template <typename Call, typename Settle>
  IOStatus RunSync(Call call, Settle settle) {
    return Run(CallKind::kSync, [&] {
      if (sync_is_a_lie) return IOStatus::OK();
      IOStatus status = call();
      if (status.ok()) settle();
      return status;
    });
  }

  // Requires `mutex`. Not ok if this call is to fail.
  IOStatus Count(CallKind kind) {
    if (power_off) return ErrorOf(FaultKind::kPowerCut);
    if (plan.syncs_only && kind != CallKind::kSync) return IOStatus::OK();
    ++calls;
    const bool hit = calls == plan.at || (plan.sticky && plan.at != 0 && calls > plan.at);
    if (!hit) return IOStatus::OK();
    power_off = plan.kind == FaultKind::kPowerCut;
    return ErrorOf(plan.kind);
  }

  std::mutex mutex;  // guards everything below
  FaultDisk disk;
  FaultPlan plan;
  uint64_t calls = 0;
  bool power_off = false;
  bool sync_is_a_lie = false;
};

namespace {

using Control = FaultFileSystem::Control;

// A second descriptor of an open file, to see the bytes that a write replaces.
class Eye {
 public:
  explicit Eye(const std::string& path) : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Eye() {
    if (file_ >= 0) close(file_);
  }
  Eye(const Eye&) = delete;
  Eye& operator=(const Eye&) = delete;

  int get() const { return file_; }

 private:
  const int file_;
};

class FaultWritableFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultWritableFile(std::shared_ptr<Control> control,
                    std::unique_ptr<FSWritableFile> target,
                    const std::string& path,
                    uint64_t position)
      : FSWritableFileOwnerWrapper(std::move(target)),
        control_(std::move(control)),
        eye_(path),
        position_(position) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return control_->RunWrite(data, [&](const Slice& part) {
      control_->disk.WillWrite(eye_.get(), position_, part.size());
      IOStatus status = target()->Append(part, options, debug);
      if (status.ok()) position_ += part.size();
      return status;
    });
  }
  IOStatus Append(const Slice& data,
                  const IOOptions& options,
                  const DataVerificationInfo& /*verification*/,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus PositionedAppend(const Slice& data,
                            uint64_t offset,
                            const IOOptions& options,
                            IODebugContext* debug) override {
    return control_->RunWrite(data, [&](const Slice& part) {
      control_->disk.WillWrite(eye_.get(), offset, part.size());
      IOStatus status = target()->PositionedAppend(part, offset, options, debug);
      if (status.ok()) position_ = offset + part.size();
      return status;
    });
  }
  IOStatus PositionedAppend(const Slice& data,
                            uint64_t offset,
                            const IOOptions& options,
                            const DataVerificationInfo& /*verification*/,
                            IODebugContext* debug) override {
    return PositionedAppend(data, offset, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    return control_->Run(CallKind::kOther, [&] {
      control_->disk.WillTruncate(eye_.get(), size);
      return target()->Truncate(size, options, debug);
    });
  }
  IOStatus Allocate(uint64_t offset,
                    uint64_t length,
                    const IOOptions& options,
                    IODebugContext* debug) override {
    return control_->Run(CallKind::kOther,
                         [&] { return target()->Allocate(offset, length, options, debug); });
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return control_->Run(CallKind::kOther, [&] { return target()->Flush(options, debug); });
  }
  IOStatus RangeSync(uint64_t offset,
                     uint64_t length,
                     const IOOptions& options,
                     IODebugContext* debug) override {
    // It starts writing back and promises nothing.
    return control_->Run(CallKind::kOther,
                         [&] { return target()->RangeSync(offset, length, options, debug); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return control_->RunSync([&] { return target()->Sync(options, debug); },
                             [&] { control_->disk.Synced(eye_.get()); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return control_->RunSync([&] { return target()->Fsync(options, debug); },
                             [&] { control_->disk.Synced(eye_.get()); });
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    const IOStatus injected = control_->Run(CallKind::kOther, [] { return IOStatus::OK(); });
    IOStatus status = target()->Close(options, debug);  // descriptors end with the process
    return injected.ok() ? status : injected;
  }

 private:
  const std::shared_ptr<Control> control_;
  const Eye eye_;
  uint64_t position_;
};

class FaultRandomRWFile final : public rocksdb::FSRandomRWFileOwnerWrapper {
 public:
  FaultRandomRWFile(std::shared_ptr<Control> control,
                    std::unique_ptr<FSRandomRWFile> target,
                    const std::string& path)
      : FSRandomRWFileOwnerWrapper(std::move(target)), control_(std::move(control)), eye_(path) {}

  IOStatus Write(uint64_t offset,
                 const Slice& data,
                 const IOOptions& options,
                 IODebugContext* debug) override {
    return control_->RunWrite(data, [&](const Slice& part) {
      control_->disk.WillWrite(eye_.get(), offset, part.size());
      return target()->Write(offset, part, options, debug);
    });
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return control_->Run(CallKind::kOther, [&] { return target()->Flush(options, debug); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return control_->RunSync([&] { return target()->Sync(options, debug); },
                             [&] { control_->disk.Synced(eye_.get()); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return control_->RunSync([&] { return target()->Fsync(options, debug); },
                             [&] { control_->disk.Synced(eye_.get()); });
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    const IOStatus injected = control_->Run(CallKind::kOther, [] { return IOStatus::OK(); });
    IOStatus status = target()->Close(options, debug);
    return injected.ok() ? status : injected;
  }

 private:
  const std::shared_ptr<Control> control_;
  const Eye eye_;
};

class FaultDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  FaultDirectory(std::shared_ptr<Control> control,
                 std::unique_ptr<FSDirectory> target,
                 std::string path)
      : FSDirectoryWrapper(target.get()),
        control_(std::move(control)),
        target_(std::move(target)),
        path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return control_->RunSync([&] { return target_->Fsync(options, debug); },
                             [&] { control_->disk.SyncedDirectory(path_); });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options,
                               IODebugContext* debug,
                               const DirFsyncOptions& /*reason*/) override {
    return Fsync(options, debug);
  }

 private:
  const std::shared_ptr<Control> control_;
  const std::unique_ptr<FSDirectory> target_;
  const std::string path_;
};

constexpr int kSleepMicrosecondsMax = 1000;

class ImpatientClock final : public rocksdb::SystemClockWrapper {
 public:
  ImpatientClock() : SystemClockWrapper(rocksdb::SystemClock::Default()) {}
  const char* Name() const override { return "ImpatientClock"; }
  void SleepForMicroseconds(int micros) override {
    SystemClockWrapper::SleepForMicroseconds(std::min(micros, kSleepMicrosecondsMax));
  }
};

class FaultEnv final : public rocksdb::EnvWrapper {
 public:
  explicit FaultEnv(const std::shared_ptr<FaultFileSystem>& files)
      : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
    file_system_ = files;
    system_clock_ = std::make_shared<ImpatientClock>();
  }
  const char* Name() const override { return "FaultEnv"; }
  void SleepForMicroseconds(int micros) override { system_clock_->SleepForMicroseconds(micros); }
};

IOStatus NotFound(const std::string& path) {
  return IOStatus::PathNotFound(path);
}

}  // namespace

FaultFileSystem::FaultFileSystem(const std::filesystem::path& root)
    : FileSystemWrapper(FileSystem::Default()), control_(std::make_shared<Control>(root)) {}

void FaultFileSystem::Arm(const FaultPlan& plan) {
  const std::lock_guard lock(control_->mutex);
  control_->plan = plan;
  control_->calls = 0;
}

uint64_t FaultFileSystem::calls() const {
  const std::lock_guard lock(control_->mutex);
  return control_->calls;
}

bool FaultFileSystem::power_is_off() const {
  const std::lock_guard lock(control_->mutex);
  return control_->power_off;
}

void FaultFileSystem::set_sync_is_a_lie(bool lie) {
  const std::lock_guard lock(control_->mutex);
  control_->sync_is_a_lie = lie;
}

void FaultFileSystem::Crash(CrashMode mode, uint64_t seed) {
  const std::lock_guard lock(control_->mutex);
  control_->disk.Crash(mode, seed);
  control_->plan = {};
  control_->calls = 0;
  control_->power_off = false;
}

IOStatus FaultFileSystem::NewWritableFile(const std::string& path,
                                          const FileOptions& options,
                                          std::unique_ptr<FSWritableFile>* result,
                                          IODebugContext* debug) {
  if (!control_->disk.Tracks(path)) return target()->NewWritableFile(path, options, result, debug);
  return control_->Run(CallKind::kOther, [&] {
    control_->disk.Remove(path);  // a new file, also where there was one
    IOStatus status = target()->NewWritableFile(path, options, result, debug);
    if (!status.ok()) return status;
    control_->disk.Created(path);
    *result = std::make_unique<FaultWritableFile>(control_, std::move(*result), path, 0);
    return status;
  });
}

IOStatus FaultFileSystem::ReopenWritableFile(const std::string& path,
                                             const FileOptions& options,
                                             std::unique_ptr<FSWritableFile>* result,
                                             IODebugContext* debug) {
  if (!control_->disk.Tracks(path)) {
    return target()->ReopenWritableFile(path, options, result, debug);
  }
  return control_->Run(CallKind::kOther, [&] {
    const bool existed = std::filesystem::exists(path);
    IOStatus status = target()->ReopenWritableFile(path, options, result, debug);
    if (!status.ok()) return status;
    if (!existed) control_->disk.Created(path);
    const uint64_t size = std::filesystem::file_size(path);
    *result = std::make_unique<FaultWritableFile>(control_, std::move(*result), path, size);
    return status;
  });
}

IOStatus FaultFileSystem::ReuseWritableFile(const std::string& path,
                                            const std::string& old_path,
                                            const FileOptions& options,
                                            std::unique_ptr<FSWritableFile>* result,
                                            IODebugContext* debug) {
  if (!control_->disk.Tracks(path)) {
    return target()->ReuseWritableFile(path, old_path, options, result, debug);
  }
  return control_->Run(CallKind::kOther, [&] {
    if (!control_->disk.Replace(old_path, path)) return NotFound(old_path);
    IOStatus status = target()->ReuseWritableFile(path, path, options, result, debug);
    if (!status.ok()) return status;
    *result = std::make_unique<FaultWritableFile>(control_, std::move(*result), path, 0);
    return status;
  });
}

IOStatus FaultFileSystem::NewRandomRWFile(const std::string& path,
                                          const FileOptions& options,
                                          std::unique_ptr<FSRandomRWFile>* result,
                                          IODebugContext* debug) {
  if (!control_->disk.Tracks(path)) return target()->NewRandomRWFile(path, options, result, debug);
  return control_->Run(CallKind::kOther, [&] {
    const bool existed = std::filesystem::exists(path);
    IOStatus status = target()->NewRandomRWFile(path, options, result, debug);
    if (!status.ok()) return status;
    if (!existed) control_->disk.Created(path);
    *result = std::make_unique<FaultRandomRWFile>(control_, std::move(*result), path);
    return status;
  });
}

IOStatus FaultFileSystem::NewMemoryMappedFileBuffer(
    const std::string& path, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>* /*result*/) {
  return IOStatus::NotSupported("writes through memory cannot be followed", path);
}

IOStatus FaultFileSystem::NewDirectory(const std::string& path,
                                       const IOOptions& options,
                                       std::unique_ptr<FSDirectory>* result,
                                       IODebugContext* debug) {
  IOStatus status = target()->NewDirectory(path, options, result, debug);
  if (status.ok()) {
    *result = std::make_unique<FaultDirectory>(control_, std::move(*result), path);
  }
  return status;
}

IOStatus FaultFileSystem::DeleteFile(const std::string& path,
                                     const IOOptions& options,
                                     IODebugContext* debug) {
  if (!control_->disk.Tracks(path)) return target()->DeleteFile(path, options, debug);
  return control_->Run(CallKind::kOther, [&] {
    if (!control_->disk.Remove(path)) return NotFound(path);
    return IOStatus::OK();
  });
}

IOStatus FaultFileSystem::RenameFile(const std::string& from,
                                     const std::string& to,
                                     const IOOptions& options,
                                     IODebugContext* debug) {
  if (!control_->disk.Tracks(to)) return target()->RenameFile(from, to, options, debug);
  return control_->Run(CallKind::kOther, [&] {
    if (!control_->disk.Replace(from, to)) return NotFound(from);
    return IOStatus::OK();
  });
}

IOStatus FaultFileSystem::LinkFile(const std::string& from,
                                   const std::string& to,
                                   const IOOptions& options,
                                   IODebugContext* debug) {
  return control_->Run(CallKind::kOther, [&] {
    IOStatus status = target()->LinkFile(from, to, options, debug);
    if (status.ok() && control_->disk.Tracks(to)) control_->disk.Linked(to);
    return status;
  });
}

IOStatus FaultFileSystem::CreateDir(const std::string& path,
                                    const IOOptions& options,
                                    IODebugContext* debug) {
  return control_->Run(CallKind::kOther, [&] {
    IOStatus status = target()->CreateDir(path, options, debug);
    if (status.ok() && control_->disk.Tracks(path)) control_->disk.CreatedDirectory(path);
    return status;
  });
}

IOStatus FaultFileSystem::CreateDirIfMissing(const std::string& path,
                                             const IOOptions& options,
                                             IODebugContext* debug) {
  if (std::filesystem::is_directory(path)) return IOStatus::OK();
  return CreateDir(path, options, debug);
}

IOStatus FaultFileSystem::DeleteDir(const std::string& path,
                                    const IOOptions& options,
                                    IODebugContext* debug) {
  return control_->Run(CallKind::kOther, [&] {
    IOStatus status = target()->DeleteDir(path, options, debug);
    if (status.ok() && control_->disk.Tracks(path)) control_->disk.RemovedDirectory(path);
    return status;
  });
}

std::unique_ptr<rocksdb::Env> NewFaultEnv(const std::shared_ptr<FaultFileSystem>& files) {
  return std::make_unique<FaultEnv>(files);
}

}  // namespace tidemark::test
