#include "tests/support/fault_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <utility>

namespace tidemark::test {
namespace {

namespace fs = std::filesystem;

// The harness itself must not fail quietly, or its verdicts mean nothing.
void Must(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

struct stat Stat(int file) {
  struct stat info {};
  Must(fstat(file, &info) == 0, "fault disk: fstat");
  return info;
}

std::string ReadAt(int file, uint64_t offset, uint64_t length) {
  std::string bytes(length, '\0');
  const ssize_t count = pread(file, bytes.data(), length, static_cast<off_t>(offset));
  Must(count == static_cast<ssize_t>(length), "fault disk: pread");
  return bytes;
}

void WriteAt(int file, uint64_t offset, const std::string& bytes) {
  const ssize_t count = pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  Must(count == static_cast<ssize_t>(bytes.size()), "fault disk: pwrite");
}

uint64_t Below(std::mt19937_64& random, uint64_t limit) {
  return random() % limit;
}

}  // namespace

FaultDisk::FaultDisk(const Path& root)
    : root_(root.lexically_normal()), graves_(root_.string() + ".removed") {
  fs::create_directories(root_);
  fs::create_directories(graves_);
}

FaultDisk::~FaultDisk() {
  std::error_code ignored;
  fs::remove_all(graves_, ignored);
}

bool FaultDisk::Tracks(const Path& path) const {
  const std::string prefix = root_.string() + "/";
  return path.lexically_normal().string().starts_with(prefix);
}

void FaultDisk::WillWrite(int file, uint64_t offset, uint64_t length) {
  const struct stat info = Stat(file);
  const auto size = static_cast<uint64_t>(info.st_size);
  const uint64_t old_bytes = offset < size ? std::min(length, size - offset) : 0;
  writes_[info.st_ino].push_back({.offset = offset,
                                  .length = length,
                                  .size_before = size,
                                  .overwritten = ReadAt(file, offset, old_bytes)});
}

void FaultDisk::WillTruncate(int file, uint64_t size) {
  const struct stat info = Stat(file);
  const auto size_before = static_cast<uint64_t>(info.st_size);
  const uint64_t cut = size_before > size ? size_before - size : 0;
  writes_[info.st_ino].push_back({.offset = size,
                                  .length = 0,
                                  .size_before = size_before,
                                  .overwritten = ReadAt(file, size, cut)});
}

void FaultDisk::Synced(int file) {
  writes_.erase(Stat(file).st_ino);
}

bool FaultDisk::Remove(const Path& path) {
  const Path grave = Bury(path);
  if (grave.empty()) return false;
  AddName(NameKind::kRemove, path, {}, grave);
  return true;
}

bool FaultDisk::Replace(const Path& from, const Path& to) {
  if (!fs::exists(from)) return false;
  const Path grave = Bury(to);
  fs::rename(from, to);
  AddName(NameKind::kRename, to, from, grave);
  return true;
}

void FaultDisk::Created(const Path& path) {
  struct stat info {};
  Must(stat(path.c_str(), &info) == 0, "fault disk: stat");
  writes_.erase(info.st_ino);  // of an earlier file whose number the kernel gave again
  AddName(NameKind::kCreate, path);
}

void FaultDisk::Linked(const Path& path) {
  AddName(NameKind::kCreate, path);
}

void FaultDisk::CreatedDirectory(const Path& path) {
  AddName(NameKind::kCreateDirectory, path);
}

void FaultDisk::RemovedDirectory(const Path& path) {
  AddName(NameKind::kRemoveDirectory, path);
}

void FaultDisk::SyncedDirectory(const Path& path) {
  // "x/." and "x/" are x.
  const Path directory = (path / ".").lexically_normal().parent_path();
  const auto settled = std::stable_partition(names_.begin(), names_.end(), [&](const auto& name) {
    return name.path.parent_path() != directory;
  });
  std::for_each(settled, names_.end(), [](const NameChange& name) {
    if (!name.grave.empty()) fs::remove(name.grave);
  });
  names_.erase(settled, names_.end());
}

void FaultDisk::Crash(CrashMode mode, uint64_t seed) {
  std::mt19937_64 random(seed);
  switch (mode) {
    case CrashMode::kDrop:
      UndoNames(0);
      break;
    case CrashMode::kTorn:
      UndoNames(names_.size());
      break;
    case CrashMode::kPrefix:
      UndoNames(Below(random, names_.size() + 1));
      break;
  }
  std::set<Path> files;  // sorted, so that the seed decides and not the order of the directory
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    if (entry.is_regular_file()) files.insert(entry.path());
  }
  for (const Path& file : files) UndoWrites(file, mode, random);
  writes_.clear();
}

void FaultDisk::AddName(NameKind kind, const Path& path, const Path& from, const Path& grave) {
  names_.push_back({.kind = kind,
                    .path = path.lexically_normal(),
                    .from = from.lexically_normal(),
                    .grave = grave});
}

FaultDisk::Path FaultDisk::Bury(const Path& path) {
  if (!fs::exists(path)) return {};
  Path grave = graves_ / std::to_string(++grave_count_);
  fs::rename(path, grave);
  return grave;
}

void FaultDisk::UndoNames(size_t keep) {
  for (; names_.size() > keep; names_.pop_back()) {
    const NameChange& name = names_.back();
    // A directory on the way may be gone for good, and its names with it.
    std::error_code gone;
    switch (name.kind) {
      case NameKind::kCreate:
        fs::remove(name.path, gone);
        break;
      case NameKind::kCreateDirectory:
        fs::remove_all(name.path, gone);
        break;
      case NameKind::kRemoveDirectory:
        fs::create_directory(name.path, gone);
        break;
      case NameKind::kRename:
        fs::rename(name.path, name.from, gone);
        if (!name.grave.empty()) fs::rename(name.grave, name.path, gone);
        break;
      case NameKind::kRemove:
        fs::rename(name.grave, name.path, gone);
        break;
    }
  }
  for (const NameChange& kept : names_) {
    if (!kept.grave.empty()) fs::remove(kept.grave);
  }
  names_.clear();
}

void FaultDisk::UndoWrites(const Path& path, CrashMode mode, std::mt19937_64& random) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  Must(file >= 0, "fault disk: open");
  if (const auto found = writes_.find(Stat(file).st_ino); found != writes_.end()) {
    const std::vector<Write>& writes = found->second;
    size_t keep = 0;    // whole writes that stay
    uint64_t part = 0;  // bytes that stay of the next one
    if (mode == CrashMode::kPrefix) keep = Below(random, writes.size() + 1);
    if (mode == CrashMode::kTorn) {
      uint64_t total = 0;
      for (const Write& write : writes) total += write.length;
      for (part = Below(random, total + 1); keep < writes.size(); ++keep) {
        if (part < writes[keep].length) break;
        part -= writes[keep].length;
      }
    }
    for (size_t i = writes.size(); i-- > keep;) {
      const Write& write = writes[i];
      const std::string torn = i == keep ? ReadAt(file, write.offset, part) : std::string();
      Must(ftruncate(file, static_cast<off_t>(write.size_before)) == 0, "fault disk: ftruncate");
      WriteAt(file, write.offset, write.overwritten);
      WriteAt(file, write.offset, torn);
    }
    writes_.erase(found);  // another name of the same file finds it done
  }
  close(file);
}

}  // namespace tidemark::test
