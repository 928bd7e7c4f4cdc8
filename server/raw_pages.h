// Pages of upload syncs as they were sent, for who wants to see what a connector really said.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>

#include "db/runtime.h"
#include "format/status.h"
#include "replication/upload.h"

namespace tidemark::server {

/// Pages are kept this long after their sync ended.
inline constexpr int64_t kRawPagesAgeMs = int64_t{7} * 24 * 3600 * 1000;
/// Bytes that an instance keeps; beyond it the pages of the oldest syncs go first, and a page for
/// which that does not make room is not kept.
inline constexpr uint64_t kRawPagesBytesMax = uint64_t{1} << 30U;

/// Files in a folder of their own, one for each page, written at once and not synced: what a power
/// cut tears reads as not there. Thread-safe.
class RawPages {
 public:
  /// `uploads` and `clock` must outlive it.
  RawPages(std::filesystem::path directory,
           Uploads& uploads,
           Clock& clock,
           uint64_t bytes_max = kRawPagesBytesMax);

  /// Uploads `page`, whose text is `sent`, and keeps that if the page was taken.
  Result<UploadPageResult> PutPage(std::string_view sync,
                                   const UploadPage& page,
                                   std::string_view sent);
  /// The page as it was last sent and taken. `kNotFound`.
  Result<std::string> Read(std::string_view sync, std::string_view entity, uint32_t page) const;
  /// Removes what is too old.
  void Forget();

 private:
  std::filesystem::path FolderOf(std::string_view sync) const;
  std::filesystem::path FileOf(std::string_view sync, std::string_view entity, uint32_t page) const;
  /// Whether pages of the sync are still to be seen.
  bool IsKept(std::string_view sync) const;
  void Keep(const std::filesystem::path& file, std::string_view sync, std::string_view sent);
  bool MakeRoom(uint64_t bytes, std::string_view sync);
  void Remove(const std::filesystem::path& file);

  const std::filesystem::path directory_;
  Uploads& uploads_;
  Clock& clock_;
  const uint64_t bytes_max_;
  // What was taken last is what is kept: a page's file is written in the turn of its upload. A few
  // pages share one.
  std::array<std::mutex, 64> turns_;
  std::mutex mutex_;  // taken after a turn; guards what follows
  uint64_t bytes_ = 0;
  uint64_t written_ = 0;  // names files that are being written
};

}  // namespace tidemark::server
