#include "replication/internal/tracked_pull.h"

#include <utility>
#include <vector>

#include "format/batch.h"
#include "replication/replica.h"

namespace tidemark::internal {
namespace {

SyncTarget TargetOf(std::string_view entity) {
  return {.entity = std::string(entity), .provider = "tidemark", .function_id = "pull"};
}

}  // namespace

TrackedPull::TrackedPull(SyncTracker& tracker, const Store& store) {
  std::vector<SyncTarget> targets;
  for (const EntityInfo& entity : store.ListEntities()) {
    if (targets.size() < kMemberTargetsMax) targets.push_back(TargetOf(entity.name));
  }
  auto begun = tracker.Begin(kPullMember, targets);
  if (begun.ok()) operation_ = *std::move(begun);
}

void TrackedPull::Note(std::string_view page) {
  if (operation_ == nullptr) return;
  const auto rows = BatchView::Parse(page, BatchKind::kPage, Trust::kChecked);
  if (!rows.ok()) return;
  std::map<std::string_view, Total> brought;
  for (size_t i = 0; i < rows->size(); ++i) {
    const BatchRow row = rows->row(i);
    Total& total = brought[rows->entity_name(row.entity)];
    ++total.records;
    total.bytes += row.id.size() + row.value.size();
  }
  for (const auto& [entity, page_total] : brought) {
    const auto known = totals_.find(entity);
    Total& total = known == totals_.end() ? totals_[std::string(entity)] : known->second;
    total.records += page_total.records;
    total.bytes += page_total.bytes;
    static_cast<void>(operation_->Add(TargetOf(entity)).ok());
    static_cast<void>(operation_->Progress(entity, total.records, total.bytes).ok());
  }
}

void TrackedPull::End(const Status& outcome) {
  if (operation_ != nullptr) static_cast<void>(operation_->Finish(outcome).ok());
}

}  // namespace tidemark::internal
