// Where text goes: a file descriptor, or a string in tests. A sink remembers its first failure, so
// that loops write without asking and the command answers for it at the end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "format/status.h"

namespace tidemark::tools {

/// Thread-compatible.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void Write(std::string_view text) = 0;
  virtual void Flush() {}
  /// The first failure; `kClosed` when the reader went away.
  virtual Status status() const { return {}; }
};

/// Keeps what was written.
class StringSink final : public Sink {
 public:
  void Write(std::string_view text) override { text_ += text; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Buffered writing to a descriptor that it does not own; flushed by the destructor.
class FileSink final : public Sink {
 public:
  FileSink(int file, std::string name) : file_(file), name_(std::move(name)) {}
  ~FileSink() override;
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  void Write(std::string_view text) override;
  void Flush() override;
  Status status() const override { return status_; }

 private:
  int file_;
  std::string name_;
  std::string buffer_;
  Status status_;
};

}  // namespace tidemark::tools
