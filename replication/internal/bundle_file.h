// The container of a bundle: a file of frames, each checked by itself and chained to those before
// it, so that what is damaged, cut short, spliced or out of order is noticed at the frame where it
// begins (docs/sync_protocol.md, "Bundles"). One frame is in memory at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "format/checksum.h"
#include "format/status.h"
#include "replication/bundle.h"
#include "replication/internal/bundle_frames.h"

namespace tidemark::internal {

/// A file descriptor that closes itself.
class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor();
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

/// Writes a bundle. It appears under its name when it is complete and durable, and not before.
/// Thread-compatible.
class BundleWriter {
 public:
  /// Begins a file beside `path`. `kIoError`, `kDiskFull`.
  static Result<std::unique_ptr<BundleWriter>> Create(const std::filesystem::path& path);
  /// Removes what is not finished.
  ~BundleWriter();
  BundleWriter(const BundleWriter&) = delete;
  BundleWriter& operator=(const BundleWriter&) = delete;

  /// Once, before all frames.
  Status Begin(const BundleHeader& header);
  /// `items` are its records, operations or keys. `kTooLarge` beyond the limits of bundle.h.
  Status Add(BundleFrameType type, std::string_view bytes, uint64_t items);
  Status Finish();
  const BundleTotals& totals() const { return totals_; }

 private:
  BundleWriter(int file, std::filesystem::path path, std::filesystem::path partial);
  Status Write(std::string_view bytes);
  Status WriteFrame(BundleFrameType type, std::string_view bytes);

  const FileDescriptor file_;
  const std::filesystem::path path_;
  const std::filesystem::path partial_;
  Hash128 link_;
  BundleTotals totals_;
  bool kept_ = false;
};

/// `status` as the error of a frame: says which it is, and where it begins.
Status AtFrame(const Status& status, const BundleFrame& frame);

/// Reads a bundle from its beginning. Thread-compatible.
class BundleReader {
 public:
  /// Reads the header, too. `kNotFound`, `kIoError`, `kMalformedBatch`, `kNewerFormat`.
  static Result<std::unique_ptr<BundleReader>> Open(const std::filesystem::path& path);

  const BundleHeader& header() const { return header_; }
  /// The next frame between the first and the last; nullopt after a sound end. An error stays.
  Result<std::optional<BundleFrame>> Next();
  /// Of what was read so far.
  const BundleTotals& totals() const { return totals_; }
  uint64_t file_bytes() const { return file_bytes_; }

 private:
  BundleReader(int file, uint64_t file_bytes) : file_(file), file_bytes_(file_bytes) {}
  Status ReadPrefix();
  Status ReadHead();
  /// Fills all of it; `kMalformedBatch` where the file ends before.
  Status Read(char* out, size_t size);
  Result<BundleFrame> ReadFrame();
  Status ReadBody(BundleFrame* frame);

  const FileDescriptor file_;
  const uint64_t file_bytes_;
  BundleHeader header_;
  Hash128 link_;
  BundleTotals totals_;
  std::string packed_;
  std::string unpacked_;
  Status failed_;
  bool ended_ = false;
};

/// Reads all of a bundle, so that nothing of it is used unless all of it is sound.
Result<BundleTotals> CheckBundle(const std::filesystem::path& path,
                                 const std::function<void(uint64_t, uint64_t)>& progress = {});

}  // namespace tidemark::internal
