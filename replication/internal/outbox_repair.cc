// What a person does about operations that failed, or are not wanted any more: writes them again,
// or takes them off (rule J26).
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "replication/internal/outbox_entry.h"
#include "replication/internal/outbox_steps.h"

namespace tidemark::internal {

Status OutboxSteps::Retry(const std::vector<uint64_t>& numbers) {
  LocalChanges changes(store_, &state_);
  for (const uint64_t number : numbers) {
    TIDEMARK_RETURN_IF_ERROR(RetryOne(number, &changes));
  }
  return Commit(&changes, ChangeOrigin::kLocal);
}

Status OutboxSteps::RetryOne(uint64_t number, LocalChanges* changes) {
  TIDEMARK_ASSIGN_OR_RETURN(auto operation, changes->FindOperation(number));
  if (!operation.has_value() || operation->state != OperationState::kFailed) {
    return {ErrorCode::kNotFound, "no operation " + std::to_string(number) + " has failed"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto visible, changes->Visible(operation->entity, operation->id));
  if (operation->op == WriteOp::kAppend && visible.has_value()) {
    return {ErrorCode::kConflict,
            "there is another event of the id of operation " + std::to_string(number) +
                ": drop the operation"};
  }
  changes->EraseOperation(number);
  --changes->state().failed;
  operation->state = OperationState::kPending;
  operation->attempts = 0;
  operation->error = {};
  return Enqueue(*std::move(operation), /*replace=*/false, changes);
}

Status OutboxSteps::Drop(const std::vector<uint64_t>& numbers) {
  LocalChanges changes(store_, &state_);
  for (const uint64_t number : numbers) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto operation, changes.FindOperation(number));
    if (!operation.has_value()) {
      return {ErrorCode::kNotFound, "there is no operation " + std::to_string(number)};
    }
    TIDEMARK_RETURN_IF_ERROR(DropOne(*operation, &changes));
  }
  return Commit(&changes, ChangeOrigin::kLocal);
}

Result<uint64_t> OutboxSteps::DropRecord(const std::string& entity, const RecordId& id) {
  LocalChanges changes(store_, &state_);
  uint64_t dropped = 0;
  RecordIterator rows = store_.GetView().Scan(kOutboxEntity, ScanOptions{});
  while (rows.Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(const OutboxOperation operation, DecodeOperation(rows.value()));
    if (operation.entity != entity || operation.id.text() != id.text()) continue;
    // The oldest first: what is left of the record is not shown in between.
    TIDEMARK_RETURN_IF_ERROR(DropOne(operation, &changes));
    ++dropped;
  }
  TIDEMARK_RETURN_IF_ERROR(rows.status());
  if (dropped == 0) {
    return {ErrorCode::kNotFound, "there is no operation of " + entity + " " + id.text()};
  }
  TIDEMARK_RETURN_IF_ERROR(Commit(&changes, ChangeOrigin::kLocal));
  return dropped;
}

Status OutboxSteps::DropOne(const OutboxOperation& operation, LocalChanges* changes) {
  const uint64_t number = operation.number;
  OutboxState& state = changes->state();
  if (operation.state == OperationState::kFailed) {
    changes->EraseOperation(number);
    --state.failed;
    return {};
  }
  if (number <= state.sent_through) {
    return {ErrorCode::kBusy,
            "operation " + std::to_string(number) + " was sent and may be applied: push, and see"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(LocalState* const local, changes->Find(operation.entity, operation.id));
  if (!local->record.has_value()) {
    return {ErrorCode::kCorruption, "a pending operation without its record"};
  }
  const std::vector<uint64_t>& numbers = local->record->operations;
  const bool was_last = !numbers.empty() && numbers.back() == number;
  TakeOffQueue(number, changes, local);
  if (numbers.empty()) {
    EndRecord(operation.entity, changes, local);
  } else if (was_last) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto before, changes->FindOperation(numbers.back()));
    if (before.has_value()) changes->ShowAgain(before->entity, before->id, *before);
  }
  return {};
}

}  // namespace tidemark::internal
