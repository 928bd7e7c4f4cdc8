// Checks one uploaded row against the declaration of its entity. Pure: no I/O, no locks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "format/json.h"
#include "format/record.h"

namespace tidemark::internal {

/// Why a row is set aside. Codes: malformed_json, not_object, too_large, id, required, type,
/// not_allowed, timestamp, reference.
struct RowFault {
  std::string field;  ///< empty when the row as a whole is at fault
  std::string code;
  std::string message;
};

/// A row after its check. The id is there whenever it can be read, also when the row is at fault.
struct CheckedRow {
  std::optional<RecordId> id;
  std::string value;              ///< minified; empty when the row is not JSON
  std::optional<RowFault> fault;  ///< the first one: the id's, else in the order of declaration
};

/// Thread-compatible; checks may run in parallel.
class RowChecker {
 public:
  explicit RowChecker(const EntityDeclaration& declaration);

  CheckedRow Check(std::string_view json) const;

 private:
  using Fields = std::vector<std::optional<JsonField>>;

  std::optional<RowFault> CheckFields(const Fields& fields) const;
  std::optional<RowFault> ReadId(const Fields& fields, std::optional<RecordId>* id) const;

  const EntityDeclaration declaration_;
  std::vector<std::string> names_;  // id fields first, then the declared fields
};

/// The id that a JSON value stands for: a string or an integer; nullopt for anything else.
std::optional<RecordId> IdOfField(const JsonField& field);

}  // namespace tidemark::internal
