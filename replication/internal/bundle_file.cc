#include "replication/internal/bundle_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "format/coding.h"
#include "format/compression.h"
#include "replication/internal/bundle_frames.h"
#include "replication/internal/bundle_header.h"

namespace tidemark::internal {
namespace {

constexpr std::string_view kMagic = "TMBUNDLE";
constexpr uint8_t kMajor = 1;
constexpr size_t kPrefixBytes = 12;     // magic, major and minor version, two zeros
constexpr size_t kFrameHeadBytes = 10;  // type, flags, bytes in the file, bytes unpacked
constexpr size_t kLinkBytes = 16;
constexpr uint8_t kCompressed = 1;
constexpr size_t kCompressBytesMin = 64;

Status FileError(const std::filesystem::path& path) {
  const ErrorCode code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::kDiskFull
                         : errno == ENOENT                  ? ErrorCode::kNotFound
                                                            : ErrorCode::kIoError;
  return {code, path.string() + ": " + std::strerror(errno)};
}

std::string Prefix() {
  std::string prefix(kMagic);
  prefix.push_back(static_cast<char>(kMajor));
  prefix.resize(kPrefixBytes);
  return prefix;
}

Status Malformed(std::string what) {
  return {ErrorCode::kMalformedBatch, std::move(what)};
}

size_t BytesMax(BundleFrameType type) {
  return type == BundleFrameType::kHead ? kBundleHeadBytesMax : kBundleFrameBytesMax;
}

std::string EncodeEnd(const BundleTotals& totals, uint64_t items) {
  std::string out;
  AppendVarint(&out, totals.frames);
  AppendVarint(&out, items);
  AppendVarint(&out, totals.unpacked_bytes);
  return out;
}

uint64_t ItemsOf(const BundleTotals& totals) {
  return totals.records + totals.operations + totals.keys;
}

/// A new name in a folder is durable when the folder is.
Status SyncFolder(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  const FileDescriptor folder(
      open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.number() < 0 || fsync(folder.number()) != 0) return FileError(parent);
  return {};
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) close(number_);
}

// Writing.

BundleWriter::BundleWriter(int file, std::filesystem::path path, std::filesystem::path partial)
    : file_(file), path_(std::move(path)), partial_(std::move(partial)) {}

Result<std::unique_ptr<BundleWriter>> BundleWriter::Create(const std::filesystem::path& path) {
  constexpr int kMode = 0644;
  std::filesystem::path partial = path;
  partial += ".partial";
  const int file = open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode);
  if (file < 0) return FileError(partial);
  return std::unique_ptr<BundleWriter>(new BundleWriter(file, path, std::move(partial)));
}

BundleWriter::~BundleWriter() {
  if (!kept_) unlink(partial_.c_str());
}

Status BundleWriter::Write(std::string_view bytes) {
  totals_.bytes += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = write(file_.number(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError(partial_);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Status BundleWriter::Begin(const BundleHeader& header) {
  const std::string prefix = Prefix();
  link_ = Checksum128(prefix);
  TIDEMARK_RETURN_IF_ERROR(Write(prefix));
  return WriteFrame(BundleFrameType::kHead, EncodeBundleHeader(header));
}

Status BundleWriter::Add(BundleFrameType type, std::string_view bytes, uint64_t items) {
  if (totals_.frames + 2 > kBundleFramesMax) {  // this one, and the end
    return {ErrorCode::kTooLarge, "a bundle has at most 1,000,000 frames"};
  }
  TIDEMARK_RETURN_IF_ERROR(WriteFrame(type, bytes));
  switch (type) {
    case BundleFrameType::kPage:
      ++totals_.pages;
      totals_.records += items;
      break;
    case BundleFrameType::kPush:
    case BundleFrameType::kAnswers:
      ++totals_.pushes;
      totals_.operations += items;
      break;
    case BundleFrameType::kKeys:
      totals_.keys += items;
      break;
    case BundleFrameType::kHead:
    case BundleFrameType::kEnd:
      break;
  }
  return {};
}

Status BundleWriter::WriteFrame(BundleFrameType type, std::string_view bytes) {
  if (bytes.size() > BytesMax(type)) {
    return {ErrorCode::kTooLarge,
            "a frame of a bundle has at most " + std::to_string(BytesMax(type)) + " bytes, not " +
                std::to_string(bytes.size())};
  }
  std::optional<std::string> packed;
  if (bytes.size() >= kCompressBytesMin) packed = Compress(bytes);
  const std::string_view body = packed.has_value() ? *packed : bytes;
  std::string frame;
  frame.reserve(kFrameHeadBytes + body.size() + kLinkBytes);
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(packed.has_value() ? kCompressed : 0));
  AppendBigEndian32(&frame, static_cast<uint32_t>(body.size()));
  AppendBigEndian32(&frame, static_cast<uint32_t>(bytes.size()));
  frame.append(body);
  link_ = ChainHash(link_, frame);
  AppendHash(&frame, link_);
  TIDEMARK_RETURN_IF_ERROR(Write(frame));
  ++totals_.frames;
  totals_.unpacked_bytes += bytes.size();
  return {};
}

Status BundleWriter::Finish() {
  TIDEMARK_RETURN_IF_ERROR(WriteFrame(BundleFrameType::kEnd, EncodeEnd(totals_, ItemsOf(totals_))));
  if (fsync(file_.number()) != 0) return FileError(partial_);
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) return FileError(path_);
  kept_ = true;
  totals_.checksum = ToHex(link_);
  return SyncFolder(path_);
}

// Reading.

Status AtFrame(const Status& status, const BundleFrame& frame) {
  return status.WithContext("frame " + std::to_string(frame.number) + ", at byte " +
                            std::to_string(frame.offset));
}

Result<std::unique_ptr<BundleReader>> BundleReader::Open(const std::filesystem::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return FileError(path);
  struct stat info {};
  if (fstat(file, &info) != 0) {
    const Status failed = FileError(path);
    close(file);
    return failed;
  }
  std::unique_ptr<BundleReader> reader(new BundleReader(file, static_cast<uint64_t>(info.st_size)));
  TIDEMARK_RETURN_IF_ERROR(reader->ReadPrefix().WithContext(path.string()));
  TIDEMARK_RETURN_IF_ERROR(reader->ReadHead().WithContext(path.string()));
  return reader;
}

Status BundleReader::Read(char* out, size_t size) {
  while (size > 0) {
    const ssize_t got = read(file_.number(), out, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {ErrorCode::kIoError, std::string("reading: ") + std::strerror(errno)};
    if (got == 0) return Malformed("the file ends in the middle");
    out += got;
    size -= static_cast<size_t>(got);
    totals_.bytes += static_cast<uint64_t>(got);
  }
  return {};
}

Status BundleReader::ReadPrefix() {
  std::string prefix(kPrefixBytes, '\0');
  const Status read = Read(prefix.data(), prefix.size());
  const std::string expected = Prefix();
  if (!read.ok() || prefix.compare(0, kMagic.size(), kMagic) != 0) {
    return read.code() == ErrorCode::kIoError ? read : Malformed("this is no bundle");
  }
  if (static_cast<uint8_t>(prefix[kMagic.size()]) > kMajor) {
    return {ErrorCode::kNewerFormat, "the bundle is of a later format than this program reads"};
  }
  if (prefix != expected) return Malformed("this is no bundle");
  link_ = Checksum128(prefix);
  return {};
}

Status BundleReader::ReadHead() {
  const Result<BundleFrame> frame = ReadFrame();
  TIDEMARK_RETURN_IF_ERROR(frame.status());
  if (frame->type != BundleFrameType::kHead) {
    return AtFrame(Malformed("a bundle begins with its header"), *frame);
  }
  Result<BundleHeader> header = DecodeBundleHeader(frame->bytes);
  if (!header.ok()) return AtFrame(header.status(), *frame);
  header_ = *std::move(header);
  return {};
}

Result<BundleFrame> BundleReader::ReadFrame() {
  BundleFrame frame{.number = totals_.frames + 1, .offset = totals_.bytes};
  const Status read = ReadBody(&frame);
  if (!read.ok()) {
    totals_.bytes = frame.offset;  // sound up to here
    return AtFrame(read, frame);
  }
  ++totals_.frames;
  totals_.unpacked_bytes += frame.bytes.size();
  return frame;
}

// Nothing of a frame is believed but its length, which is bounded, until its link fits.
Status BundleReader::ReadBody(BundleFrame* frame) {
  if (frame->number > kBundleFramesMax) return Malformed("a bundle has at most 1,000,000 frames");
  packed_.resize(kFrameHeadBytes);
  TIDEMARK_RETURN_IF_ERROR(Read(packed_.data(), kFrameHeadBytes));
  const uint32_t packed_size = LoadBigEndian32(packed_.data() + 2);
  const uint32_t size = LoadBigEndian32(packed_.data() + 6);
  const size_t left = kFrameHeadBytes + static_cast<size_t>(packed_size) + kLinkBytes;
  if (packed_size > kBundleFrameBytesMax || size > kBundleFrameBytesMax) {
    return Malformed("it says that it is longer than a frame may be");
  }
  if (frame->offset + left > file_bytes_) return Malformed("the file ends in the middle");
  packed_.resize(kFrameHeadBytes + packed_size);
  TIDEMARK_RETURN_IF_ERROR(Read(packed_.data() + kFrameHeadBytes, packed_size));
  std::string link(kLinkBytes, '\0');
  TIDEMARK_RETURN_IF_ERROR(Read(link.data(), kLinkBytes));
  const Hash128 expected = ChainHash(link_, packed_);
  if (LoadHash(link.data()) != expected) {
    return Malformed("it is damaged, or does not belong behind the one before it");
  }
  const auto type = static_cast<uint8_t>(packed_[0]);
  const auto flags = static_cast<uint8_t>(packed_[1]);
  if (type < static_cast<uint8_t>(BundleFrameType::kHead) ||
      type > static_cast<uint8_t>(BundleFrameType::kEnd) || flags > kCompressed) {
    return {ErrorCode::kUnsupported, "it is of a type that this program does not know"};
  }
  frame->type = static_cast<BundleFrameType>(type);
  if (size > BytesMax(frame->type)) return Malformed("it is longer than such a frame may be");
  const std::string_view body = std::string_view(packed_).substr(kFrameHeadBytes);
  if (flags == kCompressed) {
    std::optional<std::string> unpacked = Decompress(body, size);
    if (!unpacked.has_value()) return Malformed("what it holds cannot be decompressed");
    unpacked_ = *std::move(unpacked);
    frame->bytes = unpacked_;
  } else if (body.size() != size) {
    return Malformed("it says two lengths");
  } else {
    frame->bytes = body;
  }
  link_ = expected;
  return {};
}

Result<std::optional<BundleFrame>> BundleReader::Next() {
  TIDEMARK_RETURN_IF_ERROR(failed_);
  if (ended_) return std::optional<BundleFrame>{};
  const uint64_t frames = totals_.frames;
  const uint64_t unpacked = totals_.unpacked_bytes;
  Result<BundleFrame> frame = ReadFrame();
  if (!frame.ok()) {
    failed_ = frame.status();
    return failed_;
  }
  if (frame->type == BundleFrameType::kEnd) {
    BundleTotals before = totals_;
    before.frames = frames;
    before.unpacked_bytes = unpacked;
    if (frame->bytes != EncodeEnd(before, ItemsOf(before))) {
      failed_ = AtFrame(Malformed("the end does not fit what is before it"), *frame);
    } else if (totals_.bytes != file_bytes_) {
      failed_ = AtFrame(Malformed("something follows the end"), *frame);
    }
    TIDEMARK_RETURN_IF_ERROR(failed_);
    totals_.checksum = ToHex(link_);
    ended_ = true;
    return std::optional<BundleFrame>{};
  }
  const Status counted = CountBundleFrame(header_, *frame, &totals_);
  if (!counted.ok()) {
    failed_ = AtFrame(counted, *frame);
    totals_.bytes = frame->offset;  // sound up to here
    totals_.frames = frames;
    totals_.unpacked_bytes = unpacked;
    return failed_;
  }
  return std::optional<BundleFrame>(*frame);
}

Result<BundleTotals> CheckBundle(const std::filesystem::path& path,
                                 const std::function<void(uint64_t, uint64_t)>& progress) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto reader, BundleReader::Open(path));
  while (true) {
    const auto frame = reader->Next();
    if (!frame.ok()) return frame.status().WithContext(path.string());
    if (!frame->has_value()) return reader->totals();
    if (progress) progress(reader->totals().bytes, reader->file_bytes());
  }
}

}  // namespace tidemark::internal
