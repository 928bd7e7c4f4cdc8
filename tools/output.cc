#include "tools/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "format/record_json.h"

namespace tidemark::tools {
namespace {

std::string JsonString(std::string_view text) {
  JsonWriter writer;
  writer.String(text);
  return writer.Take();
}

std::string JsonObject(const Fields& fields) {
  JsonWriter writer;
  writer.BeginObject();
  for (const auto& [name, cell] : fields) writer.Key(name).Raw(cell.json());
  writer.EndObject();
  return writer.Take();
}

}  // namespace

Cell::Cell(std::string_view text) : text_(text), json_(JsonString(text)) {}

Cell::Cell(uint64_t number)
    : text_(std::to_string(number)), json_(std::to_string(number)), number_(true) {}

Cell::Cell(bool yes) : text_(yes ? "yes" : "no"), json_(yes ? "true" : "false") {}

Cell Cell::None() {
  Cell cell;
  cell.text_ = "-";
  cell.json_ = "null";
  return cell;
}

Cell Cell::Json(std::string json) {
  Cell cell;
  cell.text_ = json;
  cell.json_ = std::move(json);
  return cell;
}

Cell Cell::Json(std::string json, std::string text) {
  Cell cell;
  cell.text_ = std::move(text);
  cell.json_ = std::move(json);
  return cell;
}

Cell Cell::Id(std::string_view id, IdForm form) {
  return Json(IdToJson(id, form), std::string(id));
}

Cell Cell::Bytes(uint64_t count) {
  Cell cell(count);
  cell.text_ = FormatBytes(count);
  return cell;
}

Cell Cell::Share(double share) {
  Cell cell;
  cell.text_ = fmt::format("{:g} %", share * 100);
  cell.json_ = fmt::format("{}", share);
  cell.number_ = true;
  return cell;
}

Cell Cell::Time(int64_t milliseconds) {
  if (milliseconds <= 0) return None();
  return {FormatTime(milliseconds)};
}

Cell Cell::List(const std::vector<std::string>& items) {
  Cell cell;
  JsonWriter writer;
  writer.BeginArray();
  for (const std::string& item : items) {
    writer.String(item);
    if (!cell.text_.empty()) cell.text_ += ", ";
    cell.text_ += item;
  }
  writer.EndArray();
  if (cell.text_.empty()) cell.text_ = "-";
  cell.json_ = writer.Take();
  return cell;
}

void Output::Object(const Fields& fields) {
  if (format() != OutputFormat::kTable) return Line(JsonObject(fields));
  size_t name_width = 0;
  for (const auto& [name, cell] : fields) name_width = std::max(name_width, name.size());
  for (const auto& [name, cell] : fields) {
    std::string label = name;
    std::replace(label.begin(), label.end(), '_', ' ');
    Line(fmt::format("{:<{}}  {}", label, name_width, PrintableText(cell.text())));
  }
}

void Output::Line(std::string_view text) {
  sink_.Write(text);
  sink_.Write("\n");
}

Rows::Rows(Output& output, std::vector<std::string> columns, OutputFormat fallback)
    : output_(output),
      format_(output.format(fallback)),
      columns_(std::move(columns)),
      table_(columns_, output.width()) {}

void Rows::Add(const std::vector<Cell>& cells) {
  ++count_;
  if (format_ == OutputFormat::kTable) {
    std::vector<TextCell> row;
    row.reserve(cells.size());
    for (const Cell& cell : cells) row.push_back({.text = cell.text(), .number = cell.number()});
    output_.sink().Write(table_.Add(std::move(row)));
    return;
  }
  Fields fields;
  fields.reserve(cells.size());
  for (size_t i = 0; i < cells.size(); ++i) fields.emplace_back(columns_[i], cells[i]);
  if (format_ == OutputFormat::kJson) output_.sink().Write(count_ == 1 ? "[" : ",\n");
  output_.sink().Write(JsonObject(fields));
  if (format_ == OutputFormat::kNdjson) output_.sink().Write("\n");
}

void Rows::Finish() {
  if (format_ == OutputFormat::kTable) return output_.sink().Write(table_.Finish());
  if (format_ == OutputFormat::kJson) output_.sink().Write(count_ == 0 ? "[]\n" : "]\n");
}

std::string FormatError(const Status& status, OutputFormat format) {
  const ErrorInfo& info = GetErrorInfo(status.code());
  if (format == OutputFormat::kTable) {
    return fmt::format(
        "tidemark: {}: {}\n  {}\n", info.name, PrintableText(status.message()), info.advice);
  }
  JsonWriter writer;
  writer.BeginObject().Key("error").BeginObject();
  writer.Key("code").String(info.name);
  writer.Key("message").String(IsUtf8(status.message()) ? status.message()
                                                        : PrintableText(status.message()));
  writer.Key("advice").String(info.advice);
  writer.Key("exit_code").Integer(info.exit_code);
  writer.EndObject().EndObject();
  return writer.Take() + "\n";
}

std::string FormatWarning(std::string_view message, OutputFormat format) {
  if (format == OutputFormat::kTable) {
    return fmt::format("tidemark: warning: {}\n", PrintableText(message));
  }
  JsonWriter writer;
  writer.BeginObject().Key("warning").BeginObject();
  writer.Key("message").String(IsUtf8(message) ? std::string(message) : PrintableText(message));
  writer.EndObject().EndObject();
  return writer.Take() + "\n";
}

std::string FormatBytes(uint64_t count) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (count < 1024) return fmt::format("{} B", count);
  auto value = static_cast<double>(count);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string FormatCount(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t end = digits.size(); end > 3; end -= 3) digits.insert(end - 3, ",");
  return digits;
}

std::string FormatTime(int64_t milliseconds) {
  const auto seconds = static_cast<time_t>(milliseconds / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                     utc.tm_year + 1900,
                     utc.tm_mon + 1,
                     utc.tm_mday,
                     utc.tm_hour,
                     utc.tm_min,
                     utc.tm_sec);
}

}  // namespace tidemark::tools
