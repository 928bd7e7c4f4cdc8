// Records, ids and values as JSON, in both directions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"
#include "format/record.h"
#include "format/status.h"

namespace tidemark {

/// An id as a JSON value: a number if it was written as one.
std::string IdToJson(std::string_view id, IdForm form);
/// A value as JSON: itself, or `{"$base64":"..."}` when it is binary.
std::string ValueToJson(std::string_view value, ValueKind kind);

/// The JSON text of a field.
std::string FieldToJson(const JsonField& field);
/// A string or an integer. `kInvalidArgument` otherwise.
Result<RecordId> IdFromField(const JsonField& field);

/// A value and what it is.
struct TypedValue {
  ValueKind kind = ValueKind::kJson;
  std::string bytes;
};
/// A JSON value, where an object with the one member `$base64` is a binary one.
Result<TypedValue> ValueFromField(const JsonField& field);

/// An id given as plain text, on a command line or in a path: a canonical integer is one unless
/// `as_text`.
RecordId IdFromArgument(std::string_view text, bool as_text);

/// The id of a JSON object: its id field, or the compact array of several. nullopt when a field is
/// missing or null; `kInvalidArgument` names a field of the wrong type.
Result<std::optional<RecordId>> IdOfObject(std::string_view object,
                                           const std::vector<std::string>& id_fields);

/// The byte, counted from 1, that an error of the JSON reader names; 0 when it names none.
uint64_t JsonErrorColumn(const Status& status);

}  // namespace tidemark
