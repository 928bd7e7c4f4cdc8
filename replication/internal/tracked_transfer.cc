#include "replication/internal/tracked_transfer.h"

#include <utility>

namespace tidemark::internal {

TrackedTransfer::TrackedTransfer(SyncTracker& tracker,
                                 std::string_view member,
                                 BatchKind kind,
                                 const std::vector<std::string>& entities)
    : member_(member), kind_(kind) {
  std::vector<SyncTarget> targets;
  for (const std::string& entity : entities) {
    if (targets.size() < kMemberTargetsMax) targets.push_back(TargetOf(entity));
  }
  auto begun = tracker.Begin(member_, targets);
  if (begun.ok()) operation_ = *std::move(begun);
}

SyncTarget TrackedTransfer::TargetOf(std::string_view entity) const {
  return {.entity = std::string(entity), .provider = "tidemark", .function_id = member_};
}

void TrackedTransfer::Note(std::string_view batch) {
  if (operation_ == nullptr) return;
  const auto rows = BatchView::Parse(batch, kind_, Trust::kChecked);
  if (!rows.ok()) return;
  std::map<std::string_view, Total> brought;
  for (size_t i = 0; i < rows->size(); ++i) {
    const BatchRow row = rows->row(i);
    Total& total = brought[rows->entity_name(row.entity)];
    ++total.records;
    total.bytes += row.id.size() + row.value.size();
  }
  for (const auto& [entity, more] : brought) {
    const auto known = totals_.find(entity);
    Total& total = known == totals_.end() ? totals_[std::string(entity)] : known->second;
    total.records += more.records;
    total.bytes += more.bytes;
    static_cast<void>(operation_->Add(TargetOf(entity)).ok());
    static_cast<void>(operation_->Progress(entity, total.records, total.bytes).ok());
  }
}

void TrackedTransfer::End(const Status& outcome) {
  if (operation_ != nullptr) static_cast<void>(operation_->Finish(outcome).ok());
}

}  // namespace tidemark::internal
