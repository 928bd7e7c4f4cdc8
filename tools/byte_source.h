// Where input bytes come from: a file, standard input, or a string in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "format/status.h"

namespace tidemark::tools {

/// Thread-compatible.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills some of `out`; 0 is the end.
  virtual Result<size_t> Read(std::span<char> out) = 0;
  /// How it is called in messages.
  virtual const std::string& name() const = 0;
  /// Bytes in all, where that is known.
  virtual std::optional<uint64_t> size() const { return {}; }
};

/// Bytes of a string, at most `chunk` at a time.
class StringSource final : public ByteSource {
 public:
  explicit StringSource(std::string text, size_t chunk = 64 * 1024)
      : text_(std::move(text)), chunk_(chunk) {}
  Result<size_t> Read(std::span<char> out) override;
  const std::string& name() const override { return name_; }

 private:
  std::string text_;
  std::string name_ = "input";
  size_t chunk_;
  size_t position_ = 0;
};

/// A file, or standard input when `path` is `-`. `kNotFound` or `kIoError` name the file.
Result<std::unique_ptr<ByteSource>> OpenInput(const std::string& path);

/// Everything a source has; `kTooLarge` beyond `bytes_max`.
Result<std::string> ReadAll(ByteSource& source, size_t bytes_max);

}  // namespace tidemark::tools
