// Results on standard output, as text for people or as JSON for programs, from one description.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/json.h"
#include "format/record.h"
#include "format/status.h"
#include "tools/sink.h"
#include "tools/text_table.h"

namespace tidemark::tools {

enum class OutputFormat : uint8_t {
  kTable,
  kJson,    ///< one document: an object, or an array of objects
  kNdjson,  ///< one object a line
};

/// A value of a result: how it reads, and what it is in JSON.
class Cell {
 public:
  Cell(std::string_view text);  // NOLINT(google-explicit-constructor): rows are lists of values
  Cell(const char* text) : Cell(std::string_view(text)) {}  // NOLINT(google-explicit-constructor)
  // NOLINTNEXTLINE(google-explicit-constructor)
  Cell(const std::string& text) : Cell(std::string_view(text)) {}
  Cell(uint64_t number);                                     // NOLINT(google-explicit-constructor)
  Cell(int number) : Cell(static_cast<uint64_t>(number)) {}  // NOLINT(google-explicit-constructor)
  Cell(bool yes);                                            // NOLINT(google-explicit-constructor)
  /// Shown as a dash; null in JSON.
  static Cell None();
  /// A complete JSON value, shown as it is.
  static Cell Json(std::string json);
  /// A complete JSON value that people see as `text`.
  static Cell Json(std::string json, std::string text);
  /// The id of a record; people see it plain.
  static Cell Id(std::string_view id, IdForm form);
  /// A count of bytes; people see it with a unit.
  static Cell Bytes(uint64_t count);
  /// A share of one; people see per cent.
  static Cell Share(double share);
  /// Milliseconds since 1970, shown as UTC; 0 is none.
  static Cell Time(int64_t milliseconds);
  /// A list of names; people see them with commas.
  static Cell List(const std::vector<std::string>& items);

  const std::string& text() const { return text_; }
  const std::string& json() const { return json_; }
  bool number() const { return number_; }

 private:
  Cell() = default;

  std::string text_;
  std::string json_;
  bool number_ = false;
};

using Fields = std::vector<std::pair<std::string, Cell>>;

/// Thread-compatible.
class Output {
 public:
  /// `chosen` is what the user asked for, if anything. `width` is that of the terminal, 0 for none.
  Output(Sink& sink, std::optional<OutputFormat> chosen, size_t width)
      : sink_(sink), chosen_(chosen), width_(width) {}

  OutputFormat format(OutputFormat fallback = OutputFormat::kTable) const {
    return chosen_.value_or(fallback);
  }
  size_t width() const { return width_; }
  Sink& sink() { return sink_; }

  /// One result.
  void Object(const Fields& fields);
  void Line(std::string_view text);
  /// False as soon as nothing can be written any more: loops end.
  bool writable() const { return sink_.status().ok(); }

 private:
  Sink& sink_;
  std::optional<OutputFormat> chosen_;
  size_t width_;
};

/// A list of results, written as it comes.
class Rows {
 public:
  Rows(Output& output,
       std::vector<std::string> columns,
       OutputFormat fallback = OutputFormat::kTable);

  /// Requires one cell a column.
  void Add(const std::vector<Cell>& cells);
  /// Completes the list; call it once, also when there was no row.
  void Finish();
  uint64_t count() const { return count_; }

 private:
  Output& output_;
  OutputFormat format_;
  std::vector<std::string> columns_;
  TextTable table_;
  uint64_t count_ = 0;
};

/// An error as people and programs read it; ends with a line feed.
std::string FormatError(const Status& status, OutputFormat format);
std::string FormatWarning(std::string_view message, OutputFormat format);

/// "12.3 MiB"
std::string FormatBytes(uint64_t count);
/// "1,234,567"
std::string FormatCount(uint64_t count);
/// "2031-05-01T10:00:00Z"
std::string FormatTime(int64_t milliseconds);

}  // namespace tidemark::tools
