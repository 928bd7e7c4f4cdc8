#include "replication/internal/reference_check.h"

#include <utility>

#include "format/json.h"

namespace tidemark::internal {
namespace {

constexpr size_t kKnownParentsMax = 65'536;

RowFault DanglingFault(const EntityReference& reference, const std::optional<RecordId>& id) {
  std::string message =
      id ? "there is no record '" + id->text() + "' in " : "the value is no id of a record in ";
  return {reference.field, "reference", std::move(message) + reference.entity};
}

// 75 of 100 is not above 0.75: counts are compared, with room for the rounding of the product.
bool IsAbove(uint64_t part, uint64_t whole, double share_max) {
  constexpr double kRounding = 1e-9;
  return static_cast<double>(part) > static_cast<double>(whole) * share_max * (1 + kRounding);
}

}  // namespace

ReferenceChecker::ReferenceChecker(const EntityDeclaration& declaration, ParentLookup& lookup)
    : declaration_(declaration), lookup_(lookup) {
  for (const EntityReference& reference : declaration.references) {
    fields_.push_back(reference.field);
  }
}

Result<std::optional<RowFault>> ReferenceChecker::Check(std::string_view value) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonFields(value, fields_));
  bool refers = false;
  std::optional<RowFault> fault;
  for (size_t i = 0; i < fields.size() && !fault; ++i) {
    if (!fields[i] || fields[i]->type == JsonType::kNull) continue;
    refers = true;
    const EntityReference& reference = declaration_.references[i];
    const std::optional<RecordId> id = IdOfField(*fields[i]);
    bool resolves = false;
    if (id) {
      TIDEMARK_ASSIGN_OR_RETURN(resolves, Resolves(reference.entity, id->text()));
    }
    if (!resolves) fault = DanglingFault(reference, id);
  }
  if (refers) ++with_references_;
  if (fault) ++dangling_;
  return fault;
}

Result<bool> ReferenceChecker::Resolves(const std::string& entity, const std::string& id) {
  std::string key = entity;
  key.push_back('\0');
  key += id;
  if (const auto found = known_.find(key); found != known_.end()) return found->second;

  TIDEMARK_ASSIGN_OR_RETURN(bool resolves, lookup_.InSession(entity, id));
  if (!resolves && declaration_.reference_policy != ReferencePolicy::kStrict) {
    TIDEMARK_ASSIGN_OR_RETURN(resolves, lookup_.StaysInStore(entity, id));
  }
  if (known_.size() >= kKnownParentsMax) known_.clear();
  known_.emplace(std::move(key), resolves);
  return resolves;
}

Status ReferenceChecker::Verdict(std::string_view entity) const {
  if (dangling_ == 0 || declaration_.reference_policy == ReferencePolicy::kOff) return {};
  const std::string counts = std::string(entity) + ": " + std::to_string(dangling_) + " of " +
                             std::to_string(with_references_) +
                             " rows refer to records that are not there";
  if (declaration_.reference_policy == ReferencePolicy::kStrict) {
    return {ErrorCode::kStrictRejected, counts + ", and the entity's references are strict"};
  }
  if (IsAbove(dangling_, with_references_, declaration_.dangling_share_max)) {
    return {ErrorCode::kDanglingReferences, counts + ", more than the declaration allows"};
  }
  return {};
}

}  // namespace tidemark::internal
