#include "replication/internal/row_check.h"

#include <algorithm>
#include <utility>

namespace tidemark::internal {
namespace {

// Names of fields and values come from outside; messages stay short whatever they are.
constexpr size_t kShownBytesMax = 80;

std::string Shown(std::string_view text) {
  if (text.size() <= kShownBytesMax) return std::string(text);
  size_t end = kShownBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return std::string(text.substr(0, end)) + "...";
}

RowFault Fault(std::string_view field, std::string_view code, std::string message) {
  return {std::string(field), std::string(code), std::move(message)};
}

bool IsAbsent(const std::optional<JsonField>& field) {
  return !field || field->type == JsonType::kNull;
}

std::string_view TypeName(FieldType type) {
  switch (type) {
    case FieldType::kAny:
      return "any value";
    case FieldType::kString:
      return "a string";
    case FieldType::kInteger:
      return "an integer";
    case FieldType::kNumber:
      return "a number";
    case FieldType::kBoolean:
      return "a boolean";
    case FieldType::kTimestamp:
      return "an ISO-8601 timestamp";
    case FieldType::kArray:
      return "an array";
    case FieldType::kObject:
      return "an object";
  }
  return "";
}

bool HasType(const JsonField& field, FieldType type) {
  switch (type) {
    case FieldType::kAny:
      return true;
    case FieldType::kString:
      return field.type == JsonType::kString;
    case FieldType::kInteger:
      return field.type == JsonType::kInteger;
    case FieldType::kNumber:
      return field.type == JsonType::kInteger || field.type == JsonType::kDouble;
    case FieldType::kBoolean:
      return field.type == JsonType::kBool;
    case FieldType::kTimestamp:
      return field.type == JsonType::kString;
    case FieldType::kArray:
      return field.type == JsonType::kArray;
    case FieldType::kObject:
      return field.type == JsonType::kObject;
  }
  return false;
}

bool IsAllowed(const JsonField& field, const std::vector<std::string>& allowed) {
  return allowed.empty() || std::find(allowed.begin(), allowed.end(), field.text) != allowed.end();
}

std::optional<RowFault> CheckField(const EntityField& declared,
                                   const std::optional<JsonField>& field) {
  if (IsAbsent(field)) {
    if (!declared.required) return std::nullopt;
    return Fault(declared.name, "required", Shown(declared.name) + " is required");
  }
  if (!HasType(*field, declared.type)) {
    return Fault(declared.name,
                 "type",
                 Shown(declared.name) + " must be " + std::string(TypeName(declared.type)));
  }
  if (declared.type == FieldType::kTimestamp && !IsIsoTimestamp(field->text)) {
    return Fault(
        declared.name, "timestamp", "'" + Shown(field->text) + "' is not an ISO-8601 timestamp");
  }
  if (!IsAllowed(*field, declared.allowed)) {
    return Fault(declared.name,
                 "not_allowed",
                 "'" + Shown(field->text) + "' is not an allowed value of " + Shown(declared.name));
  }
  return std::nullopt;
}

// Names the part of the value that no id can be made of.
RowFault IdFault(std::string_view field) {
  return Fault(field,
               "id",
               Shown(field) + " must be an integer, or a string of 1 to " +
                   std::to_string(kIdBytesMax) + " bytes without control characters");
}

// Walks over a timestamp; every step fails for good once one failed.
class TimestampReader {
 public:
  explicit TimestampReader(std::string_view text) : rest_(text) {}

  int Digits(size_t count) {
    if (rest_.size() < count) return Fail();
    int value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return Fail();
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }

  void Expect(char wanted) {
    if (!Take(wanted)) Fail();
  }

  bool Take(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // One digit or more.
  void Fraction() {
    const size_t end = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    if (end == 0) Fail();
    rest_.remove_prefix(end);
  }

  bool empty() const { return rest_.empty(); }
  bool Finished() const { return ok_ && rest_.empty(); }

 private:
  int Fail() {
    ok_ = false;
    return -1;
  }

  std::string_view rest_;
  bool ok_ = true;
};

bool InRange(int value, int first, int last) {
  return first <= value && value <= last;
}

int DaysInMonth(int year, int month) {
  if (month == 2) return (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) ? 29 : 28;
  return (month == 4 || month == 6 || month == 9 || month == 11) ? 30 : 31;
}

bool ReadDate(TimestampReader& reader) {
  const int year = reader.Digits(4);
  reader.Expect('-');
  const int month = reader.Digits(2);
  reader.Expect('-');
  const int day = reader.Digits(2);
  return InRange(month, 1, 12) && InRange(day, 1, DaysInMonth(year, month));
}

bool ReadTime(TimestampReader& reader) {
  const int hour = reader.Digits(2);
  reader.Expect(':');
  const int minute = reader.Digits(2);
  int second = 0;
  if (reader.Take(':')) {
    second = reader.Digits(2);
    if (reader.Take('.') || reader.Take(',')) reader.Fraction();
  }
  return InRange(hour, 0, 23) && InRange(minute, 0, 59) && InRange(second, 0, 60);
}

bool ReadZone(TimestampReader& reader) {
  if (reader.empty() || reader.Take('Z')) return true;
  if (!reader.Take('+') && !reader.Take('-')) return false;
  const int hours = reader.Digits(2);
  int minutes = 0;
  if (reader.Take(':') || !reader.empty()) minutes = reader.Digits(2);
  return InRange(hours, 0, 23) && InRange(minutes, 0, 59);
}

}  // namespace

RowChecker::RowChecker(const EntityDeclaration& declaration)
    : declaration_(declaration), names_(declaration.id_fields) {
  for (const EntityField& field : declaration_.fields) names_.push_back(field.name);
}

CheckedRow RowChecker::Check(std::string_view json) const {
  CheckedRow row;
  Result<std::string> minified = MinifyJson(json);
  if (!minified.ok()) {
    row.fault = Fault("", "malformed_json", minified.status().message());
    return row;
  }
  row.value = std::move(minified).value();
  if (row.value.empty() || row.value.front() != '{') {
    row.fault = Fault("", "not_object", "a record is a JSON object");
    return row;
  }
  const Result<Fields> fields = ReadJsonFields(row.value, names_);
  if (!fields.ok()) {
    row.fault = Fault("", "malformed_json", fields.status().message());
    return row;
  }
  row.fault = ReadId(*fields, &row.id);
  if (!row.fault) row.fault = CheckFields(*fields);
  if (!row.fault && row.value.size() > kValueBytesMax) {
    row.fault = Fault("",
                      "too_large",
                      "the record has " + std::to_string(row.value.size()) + " bytes, more than " +
                          std::to_string(kValueBytesMax));
  }
  return row;
}

// An event may come without an id; a record of a snapshot may not.
std::optional<RowFault> RowChecker::ReadId(const Fields& fields,
                                           std::optional<RecordId>* id) const {
  const size_t parts = declaration_.id_fields.size();
  const bool optional = declaration_.kind == EntityKind::kIncremental;
  JsonWriter composite;
  composite.BeginArray();
  for (size_t i = 0; i < parts; ++i) {
    const std::string& name = declaration_.id_fields[i];
    if (IsAbsent(fields[i])) {
      if (optional) return std::nullopt;
      return Fault(name, "required", Shown(name) + " is required");
    }
    std::optional<RecordId> part = IdOfField(*fields[i]);
    if (!part) return IdFault(name);
    if (parts == 1) {
      *id = std::move(part);
      return std::nullopt;
    }
    if (part->form() == IdForm::kInteger) {
      composite.Raw(part->text());
    } else {
      composite.String(part->text());
    }
  }
  if (parts == 0) return std::nullopt;
  RecordId whole(composite.EndArray().text());
  if (!CheckRecordId(whole.text()).ok()) {
    return Fault(
        declaration_.id_fields.front(),
        "id",
        "the parts of the id together have more than " + std::to_string(kIdBytesMax) + " bytes");
  }
  *id = std::move(whole);
  return std::nullopt;
}

std::optional<RowFault> RowChecker::CheckFields(const Fields& fields) const {
  const size_t first = declaration_.id_fields.size();
  for (size_t i = 0; i < declaration_.fields.size(); ++i) {
    if (auto fault = CheckField(declaration_.fields[i], fields[first + i])) return fault;
  }
  return std::nullopt;
}

std::optional<RecordId> IdOfField(const JsonField& field) {
  if (field.type == JsonType::kInteger) return RecordId(field.integer);
  if (field.type != JsonType::kString || !CheckRecordId(field.text).ok()) return std::nullopt;
  return RecordId(field.text);
}

bool IsIsoTimestamp(std::string_view text) {
  TimestampReader reader(text);
  if (!ReadDate(reader)) return false;
  if (reader.Take('T') && !(ReadTime(reader) && ReadZone(reader))) return false;
  return reader.Finished();
}

}  // namespace tidemark::internal
