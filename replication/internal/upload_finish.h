// What a finish does with each entity of a sync: which records stay although they were not
// uploaded, and which rows are set aside because their references dangle.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "db/replacement.h"
#include "db/store.h"
#include "format/status.h"
#include "replication/internal/upload_rows.h"
#include "replication/upload.h"

namespace tidemark::internal {

/// Ids of one snapshot that stay although their rows were set aside. Beyond it in uploads, the
/// finish deletes nothing from the entity; beyond it in reference checks, it is refused.
inline constexpr size_t kKeptIdsMax = 1'000'000;
/// Rows that reference checks may set aside in one finish; more refuse it.
inline constexpr size_t kDanglingRowsMax = 4'000'000;

/// Takes rows as the reference checks set them aside, in (entity, page, row) order of each entity.
using RejectedSink = std::function<Status(RejectedRow row)>;

/// Reads stage, store and rows of a sync that does not change meanwhile. Thread-compatible.
class FinishPlanner {
 public:
  /// All references must outlive the planner.
  FinishPlanner(Store& store,
                const Stage& stage,
                uint64_t ordinal,
                const SyncRow& sync,
                const FinishOptions& options)
      : store_(store), stage_(stage), ordinal_(ordinal), sync_(sync), options_(options) {}

  /// Fills `plans`, `warnings`, `undeclared` and `dangling`. An error refuses or fails the finish;
  /// `dangling` counts what was found up to then.
  Status Plan(const RejectedSink& sink);

  /// By entity name.
  std::vector<ReplacePlan> Plans() const;
  const std::vector<std::string>& warnings() const { return warnings_; }
  /// Entities that this finish declares.
  const std::map<std::string, EntityDeclaration>& undeclared() const { return undeclared_; }
  const std::map<std::string, uint64_t>& dangling() const { return dangling_; }

 private:
  class Parents;
  struct Entity {
    EntityDeclaration declaration;
    ReplacePlan plan;                       // `keep` is sorted
    std::vector<std::string> dangling_ids;  // snapshots: sorted, once the entity was checked
  };

  Status PlanEntity(const std::string& name, const SyncEntity& entity);
  Status ReadKept(const std::string& name, const SyncEntity& entity, Entity* out);
  std::vector<std::string> ParentsFirst() const;
  Status CheckReferences(const std::string& name, const RejectedSink& sink);

  Store& store_;
  const Stage& stage_;
  const uint64_t ordinal_;
  const SyncRow& sync_;
  const FinishOptions& options_;
  std::map<std::string, Entity> entities_;
  std::vector<std::string> warnings_;
  std::map<std::string, EntityDeclaration> undeclared_;
  std::map<std::string, uint64_t> dangling_;
  size_t skipped_ = 0;
};

/// Warnings that only the outcome tells: ids that stood on several rows, events renamed.
void AddOutcomeWarnings(const std::map<std::string, ReplaceCounts>& counts,
                        std::vector<std::string>* warnings);

}  // namespace tidemark::internal
