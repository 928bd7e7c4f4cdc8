// What of a directory tree would survive a power cut, kept beside the real tree.
//
// The tree always shows what running programs see. For every change that was not synced, this class
// remembers how to undo it: bytes that were overwritten, by inode, so that hard links share them;
// names that were made, moved and removed, by the directory whose sync makes them last. Removed
// files wait beside the tree until their removal is synced. A crash then undoes what the disk
// had not promised, or some of it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace tidemark::test {

/// What of the unsynced changes a power cut leaves behind.
enum class CrashMode : uint8_t {
  kDrop,    ///< nothing: every disk may do this
  kTorn,    ///< all names; of each file the unsynced writes up to a random byte
  kPrefix,  ///< names up to a random one, in order; of each file a random number of whole writes
};

/// Not thread-safe. Paths may be in any form; those outside of the root are not tracked.
class FaultDisk {
 public:
  using Path = std::filesystem::path;

  /// Creates `root` if need be.
  explicit FaultDisk(const Path& root);
  ~FaultDisk();
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;

  bool Tracks(const Path& path) const;

  // Bytes. The first two are called before the change, with a descriptor that can read.
  void WillWrite(int file, uint64_t offset, uint64_t length);
  void WillTruncate(int file, uint64_t size);
  void Synced(int file);

  // Names. The first two make the change, by a move to where removed files wait; the others are
  // called after it.
  bool Remove(const Path& path);
  bool Replace(const Path& from, const Path& to);
  void Created(const Path& path);
  void Linked(const Path& path);
  void CreatedDirectory(const Path& path);
  void RemovedDirectory(const Path& path);
  void SyncedDirectory(const Path& path);

  /// Turns the tree into what a power cut leaves; the same tree, history and seed give the same
  /// result. Requires that no file of the tree is open.
  void Crash(CrashMode mode, uint64_t seed);

 private:
  struct Write {
    uint64_t offset = 0;
    uint64_t length = 0;  // zero for a truncation
    uint64_t size_before = 0;
    std::string overwritten;  // what stood from `offset` on
  };
  enum class NameKind : uint8_t { kCreate, kRemove, kRename, kCreateDirectory, kRemoveDirectory };
  struct NameChange {
    NameKind kind = NameKind::kCreate;
    Path path;
    Path from;   // kRename
    Path grave;  // where the file waits that lost its name, if any did
  };

  void AddName(NameKind kind, const Path& path, const Path& from = {}, const Path& grave = {});
  Path Bury(const Path& path);
  void UndoNames(size_t keep);
  void UndoWrites(const Path& path, CrashMode mode, std::mt19937_64& random);

  const Path root_;
  const Path graves_;
  uint64_t grave_count_ = 0;
  std::map<ino_t, std::vector<Write>> writes_;  // unsynced, oldest first
  std::vector<NameChange> names_;               // unsynced, oldest first
};

}  // namespace tidemark::test
