// CSV as RFC 4180 has it, strictly: what is not that is refused with line and column, never guessed
// at. Line ends may be CR LF or LF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "format/status.h"
#include "tools/byte_source.h"
#include "tools/line_reader.h"

namespace tidemark::tools {

inline constexpr size_t kCsvColumnsMax = 4096;

/// Reads rows as a stream, in memory bounded by one row. Thread-compatible.
class CsvReader {
 public:
  explicit CsvReader(ByteSource& source, size_t row_bytes_max = kLineBytesMax)
      : source_(source), row_bytes_max_(row_bytes_max) {}

  /// Reads the first row, which names the columns: not blank, no name twice. Call it first.
  Status ReadHeader();
  const std::vector<std::string>& header() const { return header_; }

  /// Moves to the next row; false at the end. A row has as many cells as the header; a blank line
  /// is skipped.
  Result<bool> Next();
  const std::vector<std::string>& row() const { return row_; }
  /// Line that the row, or its cell `index`, began in.
  uint64_t line() const { return row_line_; }
  TextPosition position(size_t index) const { return cell_positions_[index]; }
  uint64_t bytes_read() const { return bytes_read_; }
  const std::string& name() const { return source_.name(); }

 private:
  enum class State : uint8_t { kCellStart, kPlain, kQuoted, kQuoteInQuoted };
  enum class Step : uint8_t { kContinue, kRowEnd };

  Result<bool> ReadRow();
  Result<Step> Take(char c);
  Status EndOfInput();
  Status AddCell();
  Result<int> NextByte();  // -1 at the end
  Result<bool> Fill();
  Status Error(std::string message, TextPosition place) const;

  ByteSource& source_;
  size_t row_bytes_max_;
  std::vector<std::string> header_;
  std::vector<std::string> row_;
  std::vector<TextPosition> cell_positions_;
  std::string cell_;
  State state_ = State::kCellStart;
  TextPosition here_{.line = 1, .column = 0};  // of the byte just read
  TextPosition cell_begin_{.line = 1, .column = 1};
  uint64_t row_line_ = 1;
  size_t row_bytes_ = 0;
  bool carriage_return_ = false;  // the byte before was one, outside quotes

  std::string buffer_;
  size_t position_ = 0;
  uint64_t bytes_read_ = 0;
};

}  // namespace tidemark::tools
