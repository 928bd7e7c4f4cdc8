// Decides which staged rows refer to records that will not exist after the finish (contract 32,
// decision B6). Knows neither store nor stage: it asks through two questions, so it is tested
// alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "db/entity.h"
#include "format/status.h"
#include "replication/internal/row_check.h"

namespace tidemark::internal {

/// Where a record with an id may be found.
class ParentLookup {
 public:
  virtual ~ParentLookup() = default;
  /// True when the finish puts the record there.
  virtual Result<bool> InSession(const std::string& entity, const std::string& id) = 0;
  /// True when the store has it and the finish leaves it.
  virtual Result<bool> StaysInStore(const std::string& entity, const std::string& id) = 0;
};

/// Checks the rows of one entity, one after the other. Memory is bounded: answers are remembered
/// for at most 65,536 parents. Thread-compatible.
class ReferenceChecker {
 public:
  /// Both must outlive the checker.
  ReferenceChecker(const EntityDeclaration& declaration, ParentLookup& lookup);

  /// The first reference of `value` that dangles, if one does. A reference that is absent or null
  /// does not count.
  Result<std::optional<RowFault>> Check(std::string_view value);

  uint64_t with_references() const { return with_references_; }
  uint64_t dangling() const { return dangling_; }
  /// What the policy says once every row was checked: ok, `kStrictRejected`, or
  /// `kDanglingReferences` when the share is above the allowed one.
  Status Verdict(std::string_view entity) const;

 private:
  Result<bool> Resolves(const std::string& entity, const std::string& id);

  const EntityDeclaration& declaration_;
  ParentLookup& lookup_;
  std::vector<std::string> fields_;
  std::unordered_map<std::string, bool> known_;  // entity, NUL, id
  uint64_t with_references_ = 0;
  uint64_t dangling_ = 0;
};

}  // namespace tidemark::internal
