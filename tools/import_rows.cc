#include "tools/import_rows.h"

#include <utility>

#include "format/json.h"
#include "format/record.h"
#include "format/record_json.h"
#include "tools/csv.h"

namespace tidemark::tools {
namespace {

class NdjsonRows final : public RowReader {
 public:
  explicit NdjsonRows(ByteSource& source) : lines_(source) {}

  Result<bool> Next(ImportRow& row) override {
    TIDEMARK_ASSIGN_OR_RETURN(const bool found, lines_.Next());
    if (!found) return false;
    Result<std::string> json = MinifyJson(lines_.line());
    if (!json.ok()) return lines_.Error(json.status(), JsonErrorColumn(json.status()));
    if (!json->starts_with('{')) {
      return lines_.Error(Status(ErrorCode::kInvalidArgument, "a row must be a JSON object"), 1);
    }
    row = {.json = std::move(*json), .line = lines_.number()};
    return true;
  }
  uint64_t bytes_read() const override { return lines_.bytes_read(); }

 private:
  LineReader lines_;
};

class CsvRows final : public RowReader {
 public:
  CsvRows(ByteSource& source, BadCell bad_cell) : csv_(source), bad_cell_(bad_cell) {}

  Status Begin(const std::vector<EntityField>& fields) {
    TIDEMARK_RETURN_IF_ERROR(csv_.ReadHeader());
    for (size_t i = 0; i < csv_.header().size(); ++i) {
      if (!IsUtf8(csv_.header()[i])) {
        return AtPosition(
            Status(ErrorCode::kInvalidArgument, "not UTF-8"), csv_.name(), csv_.position(i));
      }
      FieldType type = FieldType::kString;
      for (const EntityField& field : fields) {
        if (field.name == csv_.header()[i]) type = field.type;
      }
      types_.push_back(type);
    }
    return {};
  }

  Result<bool> Next(ImportRow& row) override {
    TIDEMARK_ASSIGN_OR_RETURN(const bool found, csv_.Next());
    if (!found) return false;
    JsonWriter writer;
    writer.BeginObject();
    for (size_t i = 0; i < types_.size(); ++i) {
      if (csv_.row()[i].empty()) continue;
      TIDEMARK_ASSIGN_OR_RETURN(const std::string json, CellJson(i));
      writer.Key(csv_.header()[i]).Raw(json);
    }
    writer.EndObject();
    row = {.json = writer.Take(), .line = csv_.line()};
    return true;
  }
  uint64_t bytes_read() const override { return csv_.bytes_read(); }

 private:
  Result<std::string> CellJson(size_t index) const {
    const std::string& cell = csv_.row()[index];
    Result<std::string> json = CellToJson(cell, types_[index]);
    if (json.ok()) return json;
    if (bad_cell_ == BadCell::kKeepString && IsUtf8(cell)) {
      return CellToJson(cell, FieldType::kString);
    }
    const Status status = json.status().WithContext("column \"" + csv_.header()[index] + "\"");
    return AtPosition(status, csv_.name(), csv_.position(index));
  }

  CsvReader csv_;
  BadCell bad_cell_;
  std::vector<FieldType> types_;
};

Status Expected(std::string_view what) {
  return {ErrorCode::kInvalidArgument, "expected " + std::string(what)};
}

Result<std::string> NumberCell(std::string_view cell, bool integer) {
  const Status expected = Expected(integer ? "an integer" : "a number");
  const bool begins_as_number = cell[0] == '-' || (cell[0] >= '0' && cell[0] <= '9');
  if (!begins_as_number) return expected;
  const auto fields = ReadJsonArray(std::string("[").append(cell).append("]"));
  if (!fields.ok() || fields->size() != 1) return expected;
  const JsonType type = fields->front().type;
  const bool fits = type == JsonType::kInteger || (!integer && type == JsonType::kDouble);
  if (!fits || fields->front().text != cell) return expected;  // no space around it
  return std::string(cell);
}

Result<std::string> DocumentCell(std::string_view cell, char first, std::string_view what) {
  Result<std::string> json = MinifyJson(cell);
  if (!json.ok() || (*json)[0] != first) return Expected(what);
  return json;
}

}  // namespace

std::unique_ptr<RowReader> ReadNdjsonRows(ByteSource& source) {
  return std::make_unique<NdjsonRows>(source);
}

Result<std::unique_ptr<RowReader>> ReadCsvRows(ByteSource& source,
                                               const std::vector<EntityField>& fields,
                                               BadCell bad_cell) {
  auto rows = std::make_unique<CsvRows>(source, bad_cell);
  TIDEMARK_RETURN_IF_ERROR(rows->Begin(fields));
  return std::unique_ptr<RowReader>(std::move(rows));
}

Result<std::string> CellToJson(std::string_view cell, FieldType type) {
  switch (type) {
    case FieldType::kInteger:
      return NumberCell(cell, true);
    case FieldType::kNumber:
      return NumberCell(cell, false);
    case FieldType::kBoolean:
      if (cell != "true" && cell != "false") return Expected("true or false");
      return std::string(cell);
    case FieldType::kArray:
      return DocumentCell(cell, '[', "a JSON array");
    case FieldType::kObject:
      return DocumentCell(cell, '{', "a JSON object");
    case FieldType::kAny:
    case FieldType::kString:
    case FieldType::kTimestamp:
      break;
  }
  if (!IsUtf8(cell)) return Expected("UTF-8");
  JsonWriter writer;
  writer.String(cell);
  return writer.Take();
}

}  // namespace tidemark::tools
