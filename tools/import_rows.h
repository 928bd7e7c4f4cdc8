// Rows of an import, as JSON objects, from NDJSON or CSV.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "format/status.h"
#include "tools/byte_source.h"
#include "tools/line_reader.h"

namespace tidemark::tools {

/// One row: a minified JSON object, and where it stands.
struct ImportRow {
  std::string json;
  uint64_t line = 0;
};

/// Thread-compatible. Streams in bounded memory.
class RowReader {
 public:
  virtual ~RowReader() = default;
  /// Moves to the next row; false at the end. Errors name file, line and column.
  virtual Result<bool> Next(ImportRow& row) = 0;
  virtual uint64_t bytes_read() const = 0;
};

/// One object a line.
std::unique_ptr<RowReader> ReadNdjsonRows(ByteSource& source);

/// What to do with a cell that is not of its field's type.
enum class BadCell : uint8_t {
  kRefuse,      ///< an error that names the cell
  kKeepString,  ///< goes on as a string; the schema of the upload sets the row aside
};

/// A cell is a string unless one of `fields` types it; an empty cell is absent. Reads the header.
Result<std::unique_ptr<RowReader>> ReadCsvRows(ByteSource& source,
                                               const std::vector<EntityField>& fields,
                                               BadCell bad_cell);

/// The JSON of a cell as a field of `type`. `kInvalidArgument` says what was expected.
Result<std::string> CellToJson(std::string_view cell, FieldType type);

}  // namespace tidemark::tools
