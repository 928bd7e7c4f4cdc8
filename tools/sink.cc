#include "tools/sink.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tidemark::tools {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;

}  // namespace

FileSink::~FileSink() {
  Flush();
}

void FileSink::Write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) Flush();
}

void FileSink::Flush() {
  std::string_view left = buffer_;
  while (!left.empty() && status_.ok()) {
    const ssize_t written = ::write(file_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      const ErrorCode code = errno == EPIPE    ? ErrorCode::kClosed
                             : errno == ENOSPC ? ErrorCode::kDiskFull
                                               : ErrorCode::kIoError;
      status_ = Status(code, "writing " + name_ + ": " + std::strerror(errno));
    }
  }
  buffer_.clear();
}

}  // namespace tidemark::tools
