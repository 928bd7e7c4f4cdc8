// The guard: a small file beside the database that remembers how far the store was durable.
//
// RocksDB opens in silence after losing writes that it had synced. The guard makes that visible: a
// store that recovers less than its guard says was damaged. The file holds two slots of 4 KiB,
// written in turn and each synced before the next, so that a torn write costs one step back and
// never both. The file is never ahead of what `Advance` was told, and `Cover` returns only when
// the file is synced up to what was asked. `docs/storage_format.md` describes every byte.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <rocksdb/file_system.h>

#include "format/sequence.h"
#include "format/status.h"

namespace tidemark::internal {

/// Which file it is, to the kernel.
struct FileIdentity {
  uint64_t device = 0;  ///< may change at every mount, so it alone proves nothing
  uint64_t inode = 0;   ///< differs in a copy
  bool operator==(const FileIdentity&) const = default;
};

/// What the guard says.
struct GuardState {
  std::array<uint8_t, 16> store{};
  std::array<uint8_t, 16> epoch{};
  uint64_t epoch_ordinal = 0;
  SequenceNumber durable;  ///< every change through this one was synced
  bool clean = false;      ///< closed in order: the store ends exactly at `durable`
  uint64_t counter = 0;    ///< slots written so far; `Create` and the writer set it
  FileIdentity file;       ///< the file that the slots were written for; `Create` sets it
  bool moved = false;      ///< set by `Read`: this is another file now, by inode: a copied store
};

class Guard {
 public:
  /// The newer good slot. Nullopt when there is no trustworthy one: no file, both slots damaged,
  /// or two that contradict each other (other store, epoch or file, or time running backwards).
  /// The past is unknown then. `kNewerFormat` when a later version wrote it, `kIoError` when the
  /// file cannot be read.
  static Result<std::optional<GuardState>> Read(rocksdb::FileSystem& fs, const std::string& path);

  /// Makes a guard that says `state`, in place of any there was, durable together with its name on
  /// return. A crash leaves the one or the other. Returns the state as written.
  static Result<GuardState> Create(rocksdb::FileSystem& fs,
                                   const std::string& path,
                                   GuardState state);
};

/// Keeps the guard of an open store up to date, on a thread of its own, so that its sync runs
/// beside the next group's. After the first failure nothing is written any more and every call
/// returns that failure: a failed sync proves nothing about the file, and trying again less.
/// Thread-safe, except that `Close` and destruction come after all other calls.
class GuardWriter {
 public:
  /// Goes on from `state`, as `Read` or `Create` returned it. When it is clean, a slot that is not
  /// is synced first: from here on the store may be ahead of its guard.
  static Result<std::unique_ptr<GuardWriter>> Open(std::shared_ptr<rocksdb::FileSystem> fs,
                                                   const std::string& path,
                                                   GuardState state);

  /// As `Close(false)`, the outcome dropped.
  ~GuardWriter();
  GuardWriter(const GuardWriter&) = delete;
  GuardWriter& operator=(const GuardWriter&) = delete;

  /// Changes through `durable` are synced in the database. Never blocks; steps that come faster
  /// than the disk are merged. A step back is ignored.
  void Advance(SequenceNumber durable);

  /// Waits until the guard on disk says at least `sequence`. Called with the last change of group
  /// N before group N + 1 is acknowledged, it keeps the guard at most one group behind. Requires
  /// that `Advance` was called with `sequence` or more.
  Status Cover(SequenceNumber sequence);

  /// Writes what is outstanding, says `clean` if asked, and ends the thread. Once.
  Status Close(bool clean);

  /// The failure that stopped the guard, if any.
  Status status() const;

 private:
  GuardWriter(std::shared_ptr<rocksdb::FileSystem> fs,
              std::unique_ptr<rocksdb::FSRandomRWFile> file,
              GuardState state);

  void Run();
  void StopThread();
  Status WriteSlot(SequenceNumber durable, bool clean);

  const std::shared_ptr<rocksdb::FileSystem> fs_;
  // Used by the opening thread, then by `thread_` alone, then by the closing one.
  std::unique_ptr<rocksdb::FSRandomRWFile> file_;
  GuardState state_;

  mutable std::mutex mutex_;
  std::condition_variable wanted_;   // target_ or stop_ changed
  std::condition_variable written_;  // covered_ or status_ changed
  SequenceNumber target_;            // guarded by mutex_
  SequenceNumber covered_;           // guarded by mutex_
  Status status_;                    // guarded by mutex_
  bool stop_ = false;                // guarded by mutex_

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace tidemark::internal
