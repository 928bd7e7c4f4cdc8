// Lines of a stream, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "format/record.h"
#include "format/status.h"
#include "tools/byte_source.h"

namespace tidemark::tools {

/// A line holds one value of the largest size in its widest spelling, and its envelope.
inline constexpr size_t kLineBytesMax = 2 * kValueBytesMax;

/// A place in a text: "data.ndjson, line 7, column 12". Lines and columns count from 1; columns are
/// bytes; 0 leaves one out.
struct TextPosition {
  uint64_t line = 0;
  uint64_t column = 0;
};

/// `status` with the place put before its message.
Status AtPosition(const Status& status, std::string_view name, TextPosition position);

/// Thread-compatible. A byte order mark at the beginning is skipped, line ends may be LF or CR LF.
class LineReader {
 public:
  explicit LineReader(ByteSource& source, size_t line_bytes_max = kLineBytesMax)
      : source_(source), line_bytes_max_(line_bytes_max) {}

  /// Moves to the next line that is not blank; false at the end. `kTooLarge` names the line.
  Result<bool> Next();
  /// Without its line end; valid until `Next`.
  std::string_view line() const { return line_; }
  uint64_t number() const { return number_; }
  uint64_t bytes_read() const { return bytes_read_; }
  const std::string& name() const { return source_.name(); }
  /// `status` about byte `column` (0: none) of this line.
  Status Error(const Status& status, uint64_t column = 0) const {
    return AtPosition(status, name(), {.line = number_, .column = column});
  }

 private:
  Result<bool> ReadLine();
  Result<size_t> Fill();

  ByteSource& source_;
  size_t line_bytes_max_;
  std::string buffer_;
  size_t begin_ = 0;    // of what is not yet handed out
  size_t scanned_ = 0;  // no line end before it
  bool ended_ = false;
  std::string_view line_;
  uint64_t number_ = 0;
  uint64_t bytes_read_ = 0;
};

}  // namespace tidemark::tools
