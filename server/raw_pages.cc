#include "server/raw_pages.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "format/checksum.h"
#include "format/coding.h"
#include "format/record.h"

namespace tidemark::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHistoryMax = 1000;  // syncs that a store remembers

uint64_t SizeOf(const fs::path& file) {
  std::error_code failed;
  const uintmax_t size = fs::file_size(file, failed);
  return failed ? 0 : size;
}

uint64_t SizeOfFolder(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code failed;
  for (fs::recursive_directory_iterator at(folder, failed), end; !failed && at != end;
       at.increment(failed)) {
    if (at->is_regular_file(failed)) bytes += SizeOf(at->path());
  }
  return bytes;
}

std::vector<fs::path> EntriesOf(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    entries.push_back(at->path());
  }
  return entries;
}

/// A file is the hash of what was sent, then what was sent.
bool WriteFile(const fs::path& path, std::string_view sent) {
  std::ofstream file(path, std::ios::binary);
  std::string seal;
  AppendBigEndian64(&seal, Hash64(sent));
  file.write(seal.data(), static_cast<std::streamsize>(seal.size()));
  file.write(sent.data(), static_cast<std::streamsize>(sent.size()));
  file.close();
  return file.good();
}

}  // namespace

RawPages::RawPages(fs::path directory, Uploads& uploads, Clock& clock, uint64_t bytes_max)
    : directory_(std::move(directory)),
      uploads_(uploads),
      clock_(clock),
      bytes_max_(bytes_max),
      bytes_(SizeOfFolder(directory_)) {
  Forget();
}

fs::path RawPages::FolderOf(std::string_view sync) const {
  return directory_ / sync;
}

fs::path RawPages::FileOf(std::string_view sync, std::string_view entity, uint32_t page) const {
  return FolderOf(sync) / (std::to_string(page) + "." + std::string(entity));
}

bool RawPages::IsKept(std::string_view sync) const {
  const Result<UploadInfo> info = uploads_.Get(sync);
  if (!info.ok()) return false;
  return info->ended_at_ms == 0 || clock_.WallMilliseconds() - info->ended_at_ms <= kRawPagesAgeMs;
}

Result<UploadPageResult> RawPages::PutPage(std::string_view sync,
                                           const UploadPage& page,
                                           std::string_view sent) {
  const size_t turn = std::hash<std::string_view>()(page.entity) + page.page;
  const std::lock_guard lock(turns_.at(turn % turns_.size()));
  auto result = uploads_.PutPage(sync, page);
  if (result.ok()) Keep(FileOf(sync, page.entity, page.page), sync, sent);
  return result;
}

void RawPages::Keep(const fs::path& file, std::string_view sync, std::string_view sent) {
  fs::path written;
  {
    const std::lock_guard lock(mutex_);
    Remove(file);  // whatever follows, it is not the page any more
    if (!MakeRoom(sent.size() + sizeof(uint64_t), sync)) return;
    written = FolderOf(sync) / ("new-" + std::to_string(++written_));
  }
  std::error_code failed;
  fs::create_directories(FolderOf(sync), failed);
  const bool good = WriteFile(written, sent);
  if (good) fs::rename(written, file, failed);
  const std::lock_guard lock(mutex_);
  if (good && !failed) return;
  bytes_ -= std::min<uint64_t>(bytes_, sent.size() + sizeof(uint64_t));
  fs::remove(written, failed);
}

// Counts the bytes that it makes room for.
bool RawPages::MakeRoom(uint64_t bytes, std::string_view sync) {
  if (bytes_ + bytes > bytes_max_) {
    std::vector<UploadInfo> newest = uploads_.List(kHistoryMax);
    std::reverse(newest.begin(), newest.end());
    for (const UploadInfo& old : newest) {
      if (bytes_ + bytes <= bytes_max_) break;
      if (old.id != sync) Remove(FolderOf(old.id));
    }
  }
  if (bytes_ + bytes > bytes_max_) return false;
  bytes_ += bytes;
  return true;
}

void RawPages::Remove(const fs::path& path) {
  std::error_code failed;
  const uint64_t bytes = fs::is_directory(path, failed) ? SizeOfFolder(path) : SizeOf(path);
  fs::remove_all(path, failed);
  if (!failed) bytes_ -= std::min(bytes_, bytes);
}

Result<std::string> RawPages::Read(std::string_view sync,
                                   std::string_view entity,
                                   uint32_t page) const {
  const Status missing(ErrorCode::kNotFound, "there is no such page, or it is kept no longer");
  // Only names that are known to be good become paths.
  if (!CheckName(entity).ok() || !IsKept(sync)) return missing;
  std::ifstream file(FileOf(sync, entity, page), std::ios::binary);
  if (!file) return missing;
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  constexpr size_t kSeal = sizeof(uint64_t);
  if (bytes.size() < kSeal) return missing;
  const std::string_view sent = std::string_view(bytes).substr(kSeal);
  if (LoadBigEndian64(bytes.data()) != Hash64(sent)) return missing;  // torn
  bytes.erase(0, kSeal);
  return bytes;
}

void RawPages::Forget() {
  for (const fs::path& folder : EntriesOf(directory_)) {
    if (IsKept(folder.filename().string())) continue;
    const std::lock_guard lock(mutex_);
    Remove(folder);
  }
}

}  // namespace tidemark::server
