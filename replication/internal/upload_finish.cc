#include "replication/internal/upload_finish.h"

#include <algorithm>
#include <set>
#include <utility>

#include "replication/internal/reference_check.h"

namespace tidemark::internal {
namespace {

bool Holds(const std::vector<std::string>& sorted, const std::string& id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

void SortUnique(std::vector<std::string>* ids) {
  std::sort(ids->begin(), ids->end());
  ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
}

std::string Rows(uint64_t count) {
  return std::to_string(count) + (count == 1 ? " row" : " rows");
}

RejectedRow Rejected(const std::string& entity, uint32_t page, uint32_t row, RowFault fault) {
  RejectedRow rejected;
  rejected.entity = entity;
  rejected.page = page;
  rejected.row = row;
  rejected.field = std::move(fault.field);
  rejected.code = std::move(fault.code);
  rejected.message = std::move(fault.message);
  return rejected;
}

// What is set aside from a snapshot never deletes.
void KeepDangling(const std::vector<std::string>& ids, ReplacePlan* plan) {
  plan->keep.insert(plan->keep.end(), ids.begin(), ids.end());
  SortUnique(&plan->keep);
}

}  // namespace

// A parent counts if it is there once the finish is done: a record that the same finish deletes is
// no parent, one that was set aside is one as long as the store has it.
class FinishPlanner::Parents final : public ParentLookup {
 public:
  explicit Parents(const FinishPlanner& planner) : planner_(planner) {}

  Result<bool> InSession(const std::string& entity, const std::string& id) override {
    const auto found = planner_.entities_.find(entity);
    if (found == planner_.entities_.end()) return false;
    if (Holds(found->second.dangling_ids, id)) return false;
    return planner_.stage_.ContainsId(entity, id);
  }

  Result<bool> StaysInStore(const std::string& entity, const std::string& id) override {
    const auto found = planner_.entities_.find(entity);
    if (found != planner_.entities_.end() && IsDeleted(found->second, id)) return false;
    TIDEMARK_ASSIGN_OR_RETURN(const auto record, planner_.store_.Get(entity, id));
    return record.has_value();
  }

 private:
  static bool IsDeleted(const Entity& entity, const std::string& id) {
    return entity.declaration.kind == EntityKind::kSnapshot && !entity.plan.keep_unlisted &&
           !Holds(entity.plan.keep, id);
  }

  const FinishPlanner& planner_;
};

Status FinishPlanner::Plan(const RejectedSink& sink) {
  for (const auto& [name, entity] : sync_.entities) {
    if (entity.pages > 0) TIDEMARK_RETURN_IF_ERROR(PlanEntity(name, entity));
  }
  for (const std::string& name : ParentsFirst()) {
    TIDEMARK_RETURN_IF_ERROR(CheckReferences(name, sink));
  }
  return {};
}

std::vector<ReplacePlan> FinishPlanner::Plans() const {
  std::vector<ReplacePlan> plans;
  plans.reserve(entities_.size());
  for (const auto& [name, entity] : entities_) plans.push_back(entity.plan);
  return plans;
}

Status FinishPlanner::PlanEntity(const std::string& name, const SyncEntity& entity) {
  Entity out;
  if (auto info = store_.FindEntity(name)) {
    if (info->declaration.kind != entity.kind) {
      return {ErrorCode::kWrongKind, name + ": was declared as another kind since its upload"};
    }
    out.declaration = std::move(info->declaration);
  } else {
    out.declaration.kind = entity.kind;
    undeclared_[name] = out.declaration;
  }
  out.plan.entity = name;
  out.plan.kind = entity.kind;
  out.plan.delete_share_max =
      options_.delete_share_max ? options_.delete_share_max : out.declaration.delete_share_max;
  if (entity.rejected > 0) {
    warnings_.push_back(name + ": " + Rows(entity.rejected) + " set aside when uploaded");
  }
  if (entity.kind == EntityKind::kSnapshot) {
    TIDEMARK_RETURN_IF_ERROR(ReadKept(name, entity, &out));
  }
  entities_.emplace(name, std::move(out));
  return {};
}

Status FinishPlanner::ReadKept(const std::string& name, const SyncEntity& entity, Entity* out) {
  if (entity.rejected == 0) return {};
  uint64_t unreadable = 0;
  bool too_many = false;
  Status decoded;
  const auto visit = [&](std::string_view, std::string_view value) {
    Result<KeepRow> row = DecodeKeep(value);
    if (!row.ok()) {
      decoded = row.status();
      return false;
    }
    unreadable += row->unreadable;
    too_many = out->plan.keep.size() + row->ids.size() > kKeptIdsMax;
    if (too_many) return false;
    std::move(row->ids.begin(), row->ids.end(), std::back_inserter(out->plan.keep));
    return true;
  };
  TIDEMARK_RETURN_IF_ERROR(store_.ScanRows(PagePrefix(PageFamily::kKeep, ordinal_, name), visit));
  TIDEMARK_RETURN_IF_ERROR(decoded);
  SortUnique(&out->plan.keep);

  if (too_many) {
    out->plan.keep_unlisted = true;
    warnings_.push_back(name + ": too many rows were set aside to tell them apart; nothing is " +
                        "deleted");
  } else if (unreadable > 0) {
    out->plan.keep_unlisted = !options_.force_deletes;
    warnings_.push_back(name + ": " + Rows(unreadable) + " without a readable id; " +
                        (options_.force_deletes ? "deletions were forced" : "nothing is deleted"));
  }
  return {};
}

// Parents come before the entities that refer to them, so that a parent that is set aside is known
// to be. Cycles end where they are entered.
std::vector<std::string> FinishPlanner::ParentsFirst() const {
  std::vector<std::string> order;
  std::set<std::string> seen;
  struct Step {
    std::string name;
    size_t reference = 0;
  };
  for (const auto& [start, unused] : entities_) {
    if (!seen.insert(start).second) continue;
    std::vector<Step> path{{start}};
    while (!path.empty()) {
      Step& step = path.back();
      const auto& references = entities_.at(step.name).declaration.references;
      if (step.reference == references.size()) {
        order.push_back(step.name);
        path.pop_back();
        continue;
      }
      const std::string& parent = references[step.reference++].entity;
      if (entities_.contains(parent) && seen.insert(parent).second) path.push_back({parent});
    }
  }
  return order;
}

Status FinishPlanner::CheckReferences(const std::string& name, const RejectedSink& sink) {
  Entity& entity = entities_.at(name);
  if (entity.declaration.references.empty() ||
      entity.declaration.reference_policy == ReferencePolicy::kOff) {
    return {};
  }
  const bool is_snapshot = entity.declaration.kind == EntityKind::kSnapshot;
  Parents parents(*this);
  ReferenceChecker checker(entity.declaration, parents);
  std::vector<std::string> ids;  // apart from the entity's own: it may refer to itself
  Status failed;
  const auto visit = [&](uint32_t page, const StagedRow& row) {
    auto fault = checker.Check(row.value);
    if (!fault.ok()) {
      failed = fault.status().WithContext(name + ", page " + std::to_string(page));
      return false;
    }
    if (!*fault) return true;
    if (++skipped_ > kDanglingRowsMax || ids.size() >= kKeptIdsMax) {
      failed = Status(ErrorCode::kDanglingReferences,
                      name + ": too many rows refer to records that are not there");
      return false;
    }
    entity.plan.skip.emplace_back(page, row.row);
    if (is_snapshot) ids.emplace_back(row.id);
    ++dangling_[name];
    failed = sink(Rejected(name, page, row.row, std::move(**fault)));
    return failed.ok();
  };
  TIDEMARK_RETURN_IF_ERROR(stage_.ForEachRow(name, visit));
  TIDEMARK_RETURN_IF_ERROR(failed);
  TIDEMARK_RETURN_IF_ERROR(checker.Verdict(name));
  if (checker.dangling() == 0) return {};
  warnings_.push_back(name + ": " + std::to_string(checker.dangling()) + " of " +
                      Rows(checker.with_references()) +
                      " with references set aside: they refer to records that are not there");
  SortUnique(&ids);
  KeepDangling(ids, &entity.plan);
  entity.dangling_ids = std::move(ids);
  return {};
}

void AddOutcomeWarnings(const std::map<std::string, ReplaceCounts>& counts,
                        std::vector<std::string>* warnings) {
  for (const auto& [name, entity] : counts) {
    if (entity.duplicates > 0) {
      warnings->push_back(name + ": " + Rows(entity.duplicates) +
                          " had an id that stood on a later row as well; the last one won");
    }
    if (entity.renamed > 0) {
      warnings->push_back(name + ": " + std::to_string(entity.renamed) +
                          " events had the id of an earlier event with other content; both are " +
                          "kept");
    }
  }
  if (warnings->size() > kUploadWarningsMax) warnings->resize(kUploadWarningsMax);
}

}  // namespace tidemark::internal
