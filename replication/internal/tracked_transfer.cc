#include "replication/internal/tracked_transfer.h"

#include <utility>

#include "replication/internal/sync_rows.h"

namespace tidemark::internal {
namespace {

constexpr std::string_view kProvider = "tidemark";
/// No entity is called so.
constexpr std::string_view kAllOthers = "*";
/// One more is for all others.
constexpr size_t kOwnRowsMax = kMemberTargetsMax - 1;

bool IsApplied(PushOutcome outcome) {
  return outcome == PushOutcome::kApplied || outcome == PushOutcome::kDuplicate;
}

std::string RefusedText(const std::array<uint64_t, kPushOutcomeCount>& refused) {
  std::string text;
  for (size_t i = 0; i < refused.size(); ++i) {
    if (refused[i] == 0) continue;
    text += text.empty() ? "not all operations were applied: " : ", ";
    text += std::to_string(refused[i]) + " ";
    text += PushOutcomeName(static_cast<PushOutcome>(i));
  }
  return text.empty() ? text : text + "; _commandQueue has them";
}

}  // namespace

TrackedTransfer::TrackedTransfer(SyncTracker& tracker,
                                 std::string_view member,
                                 const std::set<std::string>& entities)
    : member_(member) {
  for (const bool known : {true, false}) {  // a row that is there already is kept true
    for (const std::string& entity : entities) {
      const bool has_row = tracker.FindStatus(SyncStatusId(member_, entity)).has_value();
      if (rows_.size() < kOwnRowsMax && has_row == known) rows_.insert(entity);
    }
  }
  const bool has_others = tracker.FindStatus(SyncStatusId(member_, kAllOthers)).has_value();
  if (has_others || rows_.size() < entities.size()) rows_.emplace(kAllOthers);
  std::vector<SyncTarget> targets;
  for (const std::string& row : rows_) targets.push_back(TargetOf(row));
  auto begun = tracker.Begin(member_, targets);
  if (!begun.ok()) {  // there is no room for so many
    rows_ = {std::string(kAllOthers)};
    begun = tracker.Begin(member_, {TargetOf(kAllOthers)});
  }
  if (begun.ok()) operation_ = *std::move(begun);
}

SyncTarget TrackedTransfer::TargetOf(std::string_view entity) const {
  return {
      .entity = std::string(entity), .provider = std::string(kProvider), .function_id = member_};
}

std::string_view TrackedTransfer::RowOf(std::string_view entity) {
  if (rows_.contains(entity)) return entity;
  const bool own = rows_.size() - (rows_.contains(kAllOthers) ? 1 : 0) < kOwnRowsMax;
  if (own && operation_->Add(TargetOf(entity)).ok()) return *rows_.emplace(entity).first;
  if (rows_.emplace(kAllOthers).second) {
    static_cast<void>(operation_->Add(TargetOf(kAllOthers)).ok());
  }
  return kAllOthers;
}

void TrackedTransfer::NotePage(std::string_view page) {
  const auto rows = BatchView::Parse(page, BatchKind::kPage, Trust::kChecked);
  if (operation_ == nullptr || !rows.ok()) return;
  Totals brought;
  for (size_t i = 0; i < rows->size(); ++i) {
    const BatchRow row = rows->row(i);
    Total& total = brought[std::string(rows->entity_name(row.entity))];
    ++total.records;
    total.bytes += row.id.size() + row.value.size();
  }
  Add(brought);
}

void TrackedTransfer::NotePush(std::string_view push, const PushResult& answers) {
  const auto rows = BatchView::Parse(push, BatchKind::kPush, Trust::kChecked);
  if (operation_ == nullptr || !rows.ok()) return;
  std::map<uint64_t, PushOutcome> outcomes;
  for (const PushAnswer& answer : answers.answers) outcomes[answer.operation] = answer.outcome;
  Totals brought;
  for (size_t i = 0; i < rows->size(); ++i) {
    const BatchRow row = rows->row(i);
    const auto outcome = outcomes.find(row.sequence.value());
    if (outcome == outcomes.end()) continue;  // it was not answered, and is sent again
    Total& total = brought[std::string(rows->entity_name(row.entity))];
    if (IsApplied(outcome->second)) {
      ++total.records;
      total.bytes += row.id.size() + row.value.size();
    } else {
      ++total.refused[static_cast<size_t>(outcome->second)];
    }
  }
  Add(brought);
}

void TrackedTransfer::Add(const Totals& brought) {
  for (const auto& [entity, more] : brought) {
    const std::string_view row = RowOf(entity);
    const auto known = totals_.find(row);
    Total& total = known == totals_.end() ? totals_[std::string(row)] : known->second;
    total.records += more.records;
    total.bytes += more.bytes;
    for (size_t i = 0; i < more.refused.size(); ++i) total.refused[i] += more.refused[i];
    static_cast<void>(operation_->Progress(row, total.records, total.bytes).ok());
  }
}

void TrackedTransfer::End(const Status& outcome) {
  if (operation_ == nullptr) return;
  for (const auto& [row, total] : totals_) {
    const std::string refused = RefusedText(total.refused);
    if (!refused.empty()) static_cast<void>(operation_->Fail(row, refused).ok());
  }
  if (!outcome.ok() && rows_.empty()) {
    static_cast<void>(operation_->Add(TargetOf(kAllOthers)).ok());
  }
  static_cast<void>(operation_->Finish(outcome).ok());
}

std::set<std::string> UnsyncedEntities(const SyncTracker& tracker, std::string_view member) {
  std::set<std::string> entities;
  for (const SyncStatus& status : tracker.ListStatuses()) {
    const bool own = status.id == SyncStatusId(member, status.target.entity);
    if (own && status.state != SyncState::kSynced) entities.insert(status.target.entity);
  }
  return entities;
}

}  // namespace tidemark::internal
