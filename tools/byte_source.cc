#include "tools/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tools/signals.h"

namespace tidemark::tools {
namespace {

class FileSource final : public ByteSource {
 public:
  FileSource(int file, std::string name) : file_(file), name_(std::move(name)) {}
  ~FileSource() override {
    if (file_ != STDIN_FILENO) close(file_);
  }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  Result<size_t> Read(std::span<char> out) override {
    while (true) {
      const ssize_t count = read(file_, out.data(), out.size());
      if (count >= 0) return static_cast<size_t>(count);
      if (errno == EINTR && Interrupted()) return Status(ErrorCode::kClosed, "interrupted");
      if (errno != EINTR) {
        return Status(ErrorCode::kIoError, "reading " + name_ + ": " + std::strerror(errno));
      }
    }
  }
  const std::string& name() const override { return name_; }
  std::optional<uint64_t> size() const override {
    struct stat info {};
    if (fstat(file_, &info) != 0 || !S_ISREG(info.st_mode)) return {};
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  int file_;
  std::string name_;
};

}  // namespace

Result<size_t> StringSource::Read(std::span<char> out) {
  const size_t count = std::min({out.size(), chunk_, text_.size() - position_});
  std::memcpy(out.data(), text_.data() + position_, count);
  position_ += count;
  return count;
}

Result<std::unique_ptr<ByteSource>> OpenInput(const std::string& path) {
  if (path == "-") {
    return std::unique_ptr<ByteSource>(
        std::make_unique<FileSource>(STDIN_FILENO, "standard input"));
  }
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIoError;
    return Status(code, path + ": " + std::strerror(errno));
  }
  struct stat info {};
  if (fstat(file, &info) == 0 && S_ISDIR(info.st_mode)) {
    close(file);
    return Status(ErrorCode::kInvalidArgument, path + " is a folder, not a file");
  }
  return std::unique_ptr<ByteSource>(std::make_unique<FileSource>(file, path));
}

Result<std::string> ReadAll(ByteSource& source, size_t bytes_max) {
  std::string all;
  std::array<char, 16 * 1024> chunk{};
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const size_t count, source.Read(chunk));
    if (count == 0) return all;
    if (all.size() + count > bytes_max) {
      return Status(ErrorCode::kTooLarge,
                    source.name() + " has more than " + std::to_string(bytes_max) + " bytes");
    }
    all.append(chunk.data(), count);
  }
}

}  // namespace tidemark::tools
