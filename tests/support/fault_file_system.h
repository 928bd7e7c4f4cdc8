// A file system that fails on command, for RocksDB and everything else that goes through its
// interface: power cuts at any call that changes something, single and lasting errors, full disks,
// short writes, failing syncs. It works on the real files of one directory.
//
//     auto files = std::make_shared<FaultFileSystem>(directory.path() / "disk");
//     files->Arm({.at = 17, .kind = FaultKind::kPowerCut});
//     ...                                    // run a workload until it fails, close everything
//     files->Crash(CrashMode::kTorn, seed);  // the directory is what a cut may leave; open it
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include "tests/support/fault_disk.h"

namespace tidemark::test {

enum class FaultKind : uint8_t {
  kPowerCut,    ///< this call and every later one fails and changes nothing
  kIoError,     ///< EIO
  kNoSpace,     ///< ENOSPC
  kShortWrite,  ///< half of the bytes are written, then EIO; other calls just fail
};

/// What shall go wrong, and when.
struct FaultPlan {
  uint64_t at = 0;  ///< the call that fails, counted from 1 at `Arm`; 0: none
  FaultKind kind = FaultKind::kIoError;
  bool sticky = false;      ///< every call from there on fails
  bool syncs_only = false;  ///< only syncs of files and directories count, and fail
};

/// Thread-safe: calls that change something run one at a time. Reads pass through, also after a
/// power cut. Mutating calls are: create, reopen and reuse of files, append, write, truncate,
/// allocate, flush, range sync, sync, close, link, rename, delete, making and removing
/// directories, and sync of directories. Lock files and RocksDB's own text log are not tracked.
class FaultFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  /// Tracks the files below `root`, which is created if need be.
  explicit FaultFileSystem(const std::filesystem::path& root);

  const char* Name() const override { return "FaultFileSystem"; }

  /// Starts counting at zero and follows `plan`.
  void Arm(const FaultPlan& plan);
  /// Mutating calls, or syncs alone if the plan says so, since `Arm`.
  uint64_t calls() const;
  bool power_is_off() const;
  /// For control experiments: syncs succeed and do nothing.
  void set_sync_is_a_lie(bool lie);

  /// The power fails now, whatever the plan was, and comes back: the directory holds what a cut may
  /// leave, nothing is armed. Requires that every file is closed.
  void Crash(CrashMode mode, uint64_t seed);

  rocksdb::IOStatus NewWritableFile(const std::string& path,
                                    const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path,
                                       const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path,
                                      const std::string& old_path,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomRWFile(const std::string& path,
                                    const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewMemoryMappedFileBuffer(
      const std::string& path, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>* result) override;
  rocksdb::IOStatus NewDirectory(const std::string& path,
                                 const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from,
                               const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from,
                             const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus CreateDir(const std::string& path,
                              const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path,
                                       const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteDir(const std::string& path,
                              const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override;

  /// What files and directories share with their file system; they may outlive it.
  struct Control;

 private:
  const std::shared_ptr<Control> control_;
};

/// An environment for RocksDB over `files` that does not sleep for more than a millisecond:
/// RocksDB waits a whole second after each failed flush, which a thousand cuts cannot afford.
std::unique_ptr<rocksdb::Env> NewFaultEnv(const std::shared_ptr<FaultFileSystem>& files);

}  // namespace tidemark::test
