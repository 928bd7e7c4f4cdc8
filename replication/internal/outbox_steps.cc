#include "replication/internal/outbox_steps.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <vector>

#include "format/coding.h"
#include "format/hex.h"
#include "format/json.h"
#include "replication/internal/carried_answers.h"
#include "replication/internal/field_merge.h"
#include "replication/internal/outbox_entry.h"
#include "replication/uuid.h"

namespace tidemark::internal {
namespace {

constexpr size_t kPushBytesMax = 3 * 1024 * 1024;
constexpr size_t kFencesInOneStep = 1000;
constexpr size_t kRecordsInOneStep = 200;
constexpr size_t kBytesInOneStep = 8 * 1024 * 1024;
/// Longer current values of conflicts are not kept beside the operation that lost.
constexpr size_t kCurrentBytesMax = 256 * 1024;

Status AtOperation(const Status& status, size_t index) {
  return status.WithContext("operation " + std::to_string(index));
}

SequenceNumber FenceOf(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return SequenceNumber(number);
}

RowOp RowOpOf(WriteOp op) {
  return op == WriteOp::kPut      ? RowOp::kPut
         : op == WriteOp::kDelete ? RowOp::kDelete
                                  : RowOp::kAppend;
}

/// What the operation changes of what is here; not said where members are not told apart.
std::optional<std::string> ChangedBy(const OutboxOperation& operation,
                                     const std::optional<Record>& before) {
  const bool compares = operation.op == WriteOp::kPut && operation.value_kind == ValueKind::kJson &&
                        before.has_value() && before->value_kind == ValueKind::kJson;
  if (!compares) return std::nullopt;
  return ChangedMembers(before->value, operation.value);
}

bool WasApplied(const PushAnswer& answer) {
  return answer.outcome == PushOutcome::kApplied || answer.outcome == PushOutcome::kDuplicate;
}

/// Comes again with the next push, behind what was written meanwhile.
bool Waits(const PushAnswer& answer) {
  return answer.outcome == PushOutcome::kParentMissing ||
         (answer.outcome == PushOutcome::kSkipped &&
          (answer.code == kWaitsForParent || answer.code == kWaitsForOthers));
}

OperationError ErrorOf(const PushAnswer& answer) {
  OperationError error{.code = answer.code, .field = answer.field, .message = answer.message};
  if (error.code.empty()) error.code = PushOutcomeName(answer.outcome);
  if (!answer.current.has_value()) return error;
  error.version = answer.current->version.value();
  const auto& value = answer.current->value;
  if (value.has_value() && answer.current->value_kind == ValueKind::kJson &&
      value->size() <= kCurrentBytesMax) {
    error.current = *value;
  }
  return error;
}

}  // namespace

Status OutboxSteps::Load() {
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, store_.GetRow(kOutboxStateKey));
  if (row.has_value()) {
    TIDEMARK_ASSIGN_OR_RETURN(state_, DecodeOutboxState(*row));
  }
  return {};
}

Status OutboxSteps::Commit(LocalChanges* changes, ChangeOrigin origin) {
  std::vector<ReplicaChange> changed;
  if (listeners_.any()) {
    TIDEMARK_ASSIGN_OR_RETURN(changed, changes->Changed(origin));
  }
  TIDEMARK_RETURN_IF_ERROR(changes->Commit());
  listeners_.Note(std::move(changed));
  return {};
}

// Writing.

Status OutboxSteps::CheckWrite(const WriteOperation& written) const {
  if (IsLocalName(written.entity)) {
    return {ErrorCode::kReserved, "names that begin with _ are the engine's own"};
  }
  if (written.condition.if_version.has_value()) {
    return {ErrorCode::kInvalidArgument,
            "a replica's versions are not those of its source: write without if_version, and a "
            "change that somebody else made meanwhile is told as a conflict"};
  }
  const auto info = store_.FindEntity(written.entity);
  if (!info.has_value()) return {};
  const bool is_event = info->declaration.kind == EntityKind::kIncremental;
  if (is_event == (written.op == WriteOp::kAppend)) return {};
  return {
      ErrorCode::kWrongKind,
      info->name + (is_event ? " is incremental: append to it" : " is a snapshot: put into it")};
}

Status OutboxSteps::CheckRoom(const OutboxState& state) {
  if (state.pending + state.failed <= kOutboxOperationsMax) return {};
  return {ErrorCode::kTooLarge, "the outbox is full with 1,000,000 operations: push first"};
}

Result<LocalWriteResult> OutboxSteps::Write(const WriteBatch& batch,
                                            const LocalWriteOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(batch.status());
  if (!batch.operation_id().empty()) {
    return {ErrorCode::kInvalidArgument, "a replica's own operations have numbers, not ids"};
  }
  LocalChanges changes(store_, &state_);
  LocalWriteResult result;
  for (size_t i = 0; i < batch.size(); ++i) {
    TIDEMARK_RETURN_IF_ERROR(
        AtOperation(WriteOne(batch.operation(i), options, &changes, &result), i));
  }
  TIDEMARK_RETURN_IF_ERROR(CheckRoom(changes.state()));
  changes.batch().AddRows(batch);
  TIDEMARK_RETURN_IF_ERROR(Commit(&changes, ChangeOrigin::kLocal));
  return result;
}

Status OutboxSteps::WriteOne(const WriteOperation& written,
                             const LocalWriteOptions& options,
                             LocalChanges* changes,
                             LocalWriteResult* result) {
  TIDEMARK_RETURN_IF_ERROR(CheckWrite(written));
  OutboxOperation operation;
  operation.op = written.op;
  operation.entity = written.entity;
  operation.id = written.id.empty() ? RecordId(MakeUuid7(store_.runtime()))
                                    : RecordId(written.id, written.id_form);
  TIDEMARK_RETURN_IF_ERROR(CheckIdOfForm(operation.id.text(), operation.id.form()));
  operation.value_kind = written.value_kind;
  operation.value = written.value;
  operation.if_newer = written.condition.if_newer;
  operation.created_at = store_.runtime().clock().WallMilliseconds();
  if (written.op != WriteOp::kDelete && written.value_kind == ValueKind::kJson) {
    TIDEMARK_ASSIGN_OR_RETURN(operation.value, MinifyJson(written.value));
  }
  TIDEMARK_ASSIGN_OR_RETURN(const auto visible, changes->Visible(operation.entity, operation.id));
  if (written.condition.if_absent && visible.has_value()) {
    return {ErrorCode::kConditionFailed, "the record exists"};
  }
  if (operation.if_newer.has_value() && visible.has_value() && visible->writer_time.has_value() &&
      *operation.if_newer <= *visible->writer_time) {
    return {ErrorCode::kConditionFailed,
            "its timestamp is not newer than " + std::to_string(*visible->writer_time)};
  }
  const bool same = written.op == WriteOp::kDelete
                        ? !visible.has_value()
                        : visible.has_value() && visible->value_kind == operation.value_kind &&
                              visible->value == operation.value;
  result->ids.push_back(operation.id.text());
  if (same) {
    ++result->unchanged;
    return {};
  }
  if (written.op == WriteOp::kAppend && visible.has_value()) {
    return {ErrorCode::kConflict,
            "there is another event " + operation.id.text() + " of " + operation.entity};
  }
  ++result->applied;
  return Enqueue(std::move(operation), options.replace, changes);
}

Image OutboxSteps::ImageOf(const std::optional<Record>& visible) const {
  Image image;
  if (!visible.has_value()) return image;
  image.present = true;
  image.id_form = visible->id_form;
  image.value_kind = visible->value_kind;
  image.value = visible->value;
  const OriginVersion origin = visible->origin.value_or(OriginVersion());
  image.birth = origin.birth;
  image.head = origin.head;
  // A reset that is under way has listed it already if it was written since.
  const auto& sweep = replica_.sweep_through;
  if (sweep.has_value() && visible->version > *sweep) image.session = replica_.session;
  return image;
}

Status OutboxSteps::Enqueue(OutboxOperation operation, bool replace, LocalChanges* changes) {
  TIDEMARK_ASSIGN_OR_RETURN(LocalState* const local, changes->Find(operation.entity, operation.id));
  TIDEMARK_ASSIGN_OR_RETURN(const auto visible, changes->Visible(operation.entity, operation.id));
  if (!local->record.has_value()) changes->Begin(local, ImageOf(visible));
  operation.changed = ChangedBy(operation, visible);
  OutboxState& state = changes->state();
  operation.number = state.next_number;
  bool is_needed = true;
  if (replace) {
    TIDEMARK_ASSIGN_OR_RETURN(is_needed, Replace(&operation, changes, local));
  }
  changes->Show(operation.entity, operation.id, operation);
  if (!is_needed) {
    EndRecord(operation.entity, changes, local);
    return {};
  }
  if (operation.number == state.next_number) ++state.next_number;
  ++state.pending;
  std::vector<uint64_t>& numbers = local->record->operations;
  numbers.insert(std::upper_bound(numbers.begin(), numbers.end(), operation.number),
                 operation.number);
  changes->PutOperation(operation);
  return {};
}

// The new operation takes the place of the first one that it replaces (decisions B19, B20): what
// was written between them may build on it. What may have been sent stays, and so does the creation
// of the record: a later change is another kind of operation (rule J22).
Result<bool> OutboxSteps::Replace(OutboxOperation* operation,
                                  LocalChanges* changes,
                                  LocalState* local) {
  const std::vector<uint64_t>& numbers = local->record->operations;
  while (!numbers.empty()) {
    const uint64_t last = numbers.back();
    TIDEMARK_ASSIGN_OR_RETURN(const auto queued, changes->FindOperation(last));
    if (!queued.has_value() || last <= changes->state().sent_through) break;
    TIDEMARK_ASSIGN_OR_RETURN(const bool creates, Creates(*queued, *local, *changes));
    const bool replaced =
        operation->op == WriteOp::kDelete || (queued->op == operation->op && !creates);
    if (!replaced) break;  // what stays keeps its place before the new one
    operation->number = last;
    operation->changed = queued->changed.has_value() && operation->changed.has_value()
                             ? JoinedMembers(*queued->changed, *operation->changed)
                             : std::nullopt;
    TakeOffQueue(last, changes, local);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const bool beyond,
                            RefersBeyond(operation->number, *operation, *changes));
  if (beyond) operation->number = changes->state().next_number;
  // A record that the source never had, nor will, need not be deleted there.
  const bool unknown = operation->op == WriteOp::kDelete && numbers.empty() &&
                       local->record->base == kSequenceZero && !local->image.present;
  return !unknown;
}

Result<bool> OutboxSteps::Creates(const OutboxOperation& operation,
                                  const LocalState& local,
                                  const LocalChanges& changes) {
  if (operation.op == WriteOp::kDelete) return false;
  const std::vector<uint64_t>& numbers = local.record->operations;
  const auto at = std::lower_bound(numbers.begin(), numbers.end(), operation.number);
  if (at == numbers.begin()) return !local.image.present;
  TIDEMARK_ASSIGN_OR_RETURN(const auto before, changes.FindOperation(*std::prev(at)));
  return before.has_value() && before->op == WriteOp::kDelete;
}

Result<bool> OutboxSteps::RefersBeyond(uint64_t place,
                                       const OutboxOperation& operation,
                                       const LocalChanges& changes) const {
  const auto info = store_.FindEntity(operation.entity);
  if (place >= changes.state().next_number || !info.has_value() || operation.op != WriteOp::kPut ||
      operation.value_kind != ValueKind::kJson || !operation.value.starts_with('{')) {
    return false;
  }
  const std::vector<EntityReference>& references = info->declaration.references;
  std::vector<std::string> names;
  names.reserve(references.size());
  for (const EntityReference& reference : references) names.push_back(reference.field);
  TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonFields(operation.value, names));
  for (size_t i = 0; i < references.size(); ++i) {
    const bool is_id = fields[i].has_value() && (fields[i]->type == JsonType::kString ||
                                                 fields[i]->type == JsonType::kInteger);
    if (!is_id) continue;
    TIDEMARK_ASSIGN_OR_RETURN(
        const LocalState parent,
        changes.Look(references[i].entity, RecordId(std::string(fields[i]->text))));
    if (!parent.record.has_value() || parent.image.present) continue;
    const std::vector<uint64_t>& numbers = parent.record->operations;
    if (!numbers.empty() && numbers.front() > place) return true;
  }
  return false;
}

// Pushing.

/// The operation as a push tells it, without the version that it builds on.
BatchRow OutboxSteps::RowOf(const OutboxOperation& operation) {
  return {.op = RowOpOf(operation.op),
          .id_form = operation.id.form(),
          .value_kind = operation.value_kind,
          .sequence = SequenceNumber(operation.number),
          .birth = {},
          .superseded = {},
          .id = operation.id.text(),
          .value = operation.value,
          .writer_time = operation.if_newer,
          .ended = {},
          .origin_birth = {},
          .origin_head = {},
          .changed = operation.changed ? *operation.changed : std::string_view()};
}

/// The version at the source that the first pending operation of the record builds on.
Result<SequenceNumber> OutboxSteps::BaseOf(const OutboxOperation& operation) const {
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto row,
      store_.GetRow(LocalKey(kLocalRecordPrefix, operation.entity, operation.id.text())));
  if (!row.has_value()) return kSequenceZero;
  TIDEMARK_ASSIGN_OR_RETURN(const LocalRecord record, DecodeLocalRecord(*row));
  return record.base;
}

Result<std::optional<OutgoingPush>> OutboxSteps::NextPush(std::string_view device,
                                                          const PushRange& which) {
  BatchBuilder builder;
  uint64_t through = 0;
  uint64_t unsent = 0;
  ScanOptions later;
  if (which.after > 0) later.after = OperationId(which.after);
  RecordIterator rows = store_.GetView().Scan(kOutboxEntity, later);
  while (builder.size() < std::min(which.operations_max, kPushOperationsMax) && rows.Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(const OutboxOperation operation, DecodeOperation(rows.value()));
    if (operation.number > which.last) break;
    if (operation.state != OperationState::kPending) continue;
    const std::string_view changed = operation.changed ? *operation.changed : std::string_view();
    const size_t bytes = operation.value.size() + operation.id.text().size() + changed.size();
    if (!builder.empty() && builder.payload_bytes() + bytes > kPushBytesMax) break;
    const auto info = store_.FindEntity(operation.entity);
    BatchRow row = RowOf(operation);
    TIDEMARK_ASSIGN_OR_RETURN(row.superseded, BaseOf(operation));
    row.entity = builder.Entity(
        operation.entity, info.has_value() ? std::optional(info->declaration.kind) : std::nullopt);
    builder.Add(row);
    through = operation.number;
    if (through > state_.sent_through) ++unsent;
  }
  TIDEMARK_RETURN_IF_ERROR(rows.status());
  if (builder.empty()) return std::optional<OutgoingPush>{};
  if (through > state_.sent_through) {
    LocalChanges sending(store_, &state_);
    sending.state().sent_through = through;
    sending.state().sent += unsent;
    TIDEMARK_RETURN_IF_ERROR(sending.Commit());
  }
  OutgoingPush push{.operations = builder.size(), .through = through};
  push.bytes = builder.Finish({.kind = BatchKind::kPush,
                               .store = replica_.source,
                               .epoch = replica_.epoch,
                               .device = std::string(device),
                               .page = state_.answered_through,
                               .origin = EncodeHex(replica_.incarnation)});
  return std::optional<OutgoingPush>(std::move(push));
}

Status OutboxSteps::TakeAnswers(const std::vector<PushAnswer>& answers, PushTotals* totals) {
  for (size_t first = 0; first < answers.size();) {
    LocalChanges changes(store_, &state_);
    PushTotals sofar = *totals;
    size_t next = first;
    while (next < answers.size() && next - first < kRecordsInOneStep &&
           changes.batch().payload_bytes() < kBytesInOneStep) {
      TIDEMARK_RETURN_IF_ERROR(TakeAnswer(answers[next++], &changes, &sofar));
    }
    TIDEMARK_RETURN_IF_ERROR(Commit(&changes, ChangeOrigin::kRemote));
    *totals = sofar;
    first = next;
  }
  return {};
}

Result<std::vector<PushAnswer>> OutboxSteps::Recognise(
    const std::vector<KeptAnswer>& answers) const {
  std::vector<PushAnswer> recognised;
  for (const KeptAnswer& kept : answers) {
    const RecordId row(OperationId(kept.answer.operation));
    TIDEMARK_ASSIGN_OR_RETURN(const auto found, store_.Get(kOutboxEntity, row));
    if (!found.has_value()) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const OutboxOperation operation, DecodeOperation(found->value));
    if (OperationHash(RowOf(operation), operation.entity) != kept.operation_hash) continue;
    recognised.push_back(kept.answer);
  }
  return recognised;
}

void OutboxSteps::TakeOffQueue(uint64_t number, LocalChanges* changes, LocalState* local) {
  OutboxState& state = changes->state();
  changes->EraseOperation(number);
  std::erase(local->record->operations, number);
  --state.pending;
  if (number <= state.sent_through) --state.sent;
}

// Behind everything that waits, and after it, in their order, the later operations of the record:
// they build on it.
Status OutboxSteps::QueueAgain(OutboxOperation operation,
                               LocalChanges* changes,
                               LocalState* local) {
  OutboxState& state = changes->state();
  const std::vector<uint64_t> numbers = local->record->operations;
  const uint64_t before = operation.number;
  std::vector<OutboxOperation> moved = {std::move(operation)};
  for (const uint64_t number : numbers) {
    if (number < before) continue;
    TIDEMARK_ASSIGN_OR_RETURN(auto later, changes->FindOperation(number));
    if (!later.has_value()) return {ErrorCode::kCorruption, "an operation is gone"};
    TakeOffQueue(number, changes, local);
    later->error = {.code = std::string(kWaitsForParent),
                    .field = {},
                    .message = "an operation before it, of the same record, waits"};
    moved.push_back(*std::move(later));
  }
  for (OutboxOperation& again : moved) {
    again.number = state.next_number++;
    local->record->operations.push_back(again.number);
    ++state.pending;
    changes->PutOperation(again);
  }
  return {};
}

Status OutboxSteps::TakeAnswer(const PushAnswer& answer,
                               LocalChanges* changes,
                               PushTotals* totals) {
  TIDEMARK_ASSIGN_OR_RETURN(auto operation, changes->FindOperation(answer.operation));
  if (!operation.has_value() || operation->state != OperationState::kPending) return {};
  if (answer.operation > changes->state().sent_through) return {};  // it was not asked about it
  ++totals->counts[static_cast<size_t>(answer.outcome)];
  TIDEMARK_ASSIGN_OR_RETURN(LocalState* const local,
                            changes->Find(operation->entity, operation->id));
  if (!local->record.has_value()) {
    return {ErrorCode::kCorruption, "a pending operation without its record"};
  }
  OutboxState& state = changes->state();
  state.answered_through = std::max(state.answered_through, answer.operation);
  if (WasApplied(answer)) state.answered_version = std::max(state.answered_version, answer.version);
  TakeOffQueue(answer.operation, changes, local);
  if (WasApplied(answer)) {
    Apply(*operation, answer, changes, local);
  } else if (Waits(answer) && operation->attempts + 1 < kOperationWaitsMax) {
    operation->error = ErrorOf(answer);
    ++operation->attempts;
    TIDEMARK_RETURN_IF_ERROR(QueueAgain(*std::move(operation), changes, local));
    return {};
  } else {
    Fail(*operation, answer, changes);
  }
  if (local->record->operations.empty()) EndRecord(operation->entity, changes, local);
  return {};
}

void OutboxSteps::EndRecord(const std::string& entity,
                            LocalChanges* changes,
                            LocalState* local) const {
  // Whether the source still has it is known when the reset that is under way ends: to show it now
  // would look as if the reset had listed it.
  const bool unsure =
      replica_.sweep_through.has_value() && local->image.session != replica_.session;
  if (!unsure) changes->End(entity, local);
}

void OutboxSteps::Apply(const OutboxOperation& operation,
                        const PushAnswer& answer,
                        LocalChanges* changes,
                        LocalState* local) {
  const bool present = operation.op != WriteOp::kDelete && !answer.outside;
  if (answer.merged && !answer.outside) return ApplyMerged(operation, answer, local);
  local->record->base = present ? answer.version : kSequenceZero;
  if (answer.version <= replica_.reset_cut) return;  // the reset's pages tell what became of it
  // A page that told of this version, or that it left, was made after it was written. Operations
  // that were applied together have one version.
  const Image& image = local->image;
  if (answer.version > image.head || (answer.version == image.head && image.answered)) {
    local->image = {.present = present,
                    .answered = true,
                    .id_form = operation.id.form(),
                    .value_kind = operation.value_kind,
                    .birth = answer.birth,
                    .head = answer.version,
                    .session = replica_.session,
                    .value = present ? operation.value : std::string()};
    local->image_changed = true;
  }
  if (!present || replica_.sweep_through.has_value()) {
    changes->Fence(operation.entity, operation.id, answer.version);
  }
}

// The source has it otherwise than it was written here, and says how with a page. Until then what
// was written is shown, under the version that it was written on: a later operation builds on that
// one, as it does not know of the newer one either. A record that the source never handed out is
// not shown: should it be deleted before a page tells of it, nobody would say so.
void OutboxSteps::ApplyMerged(const OutboxOperation& operation,
                              const PushAnswer& answer,
                              LocalState* local) const {
  Image& image = local->image;
  const bool told = answer.version <= replica_.reset_cut || answer.version <= image.head;
  if (told || !image.present || operation.op == WriteOp::kDelete) return;
  image.id_form = operation.id.form();
  image.value_kind = operation.value_kind;
  image.value = operation.value;
  image.session = replica_.session;
  local->image_changed = true;
}

void OutboxSteps::Fail(OutboxOperation operation, const PushAnswer& answer, LocalChanges* changes) {
  operation.state = OperationState::kFailed;
  operation.error = ErrorOf(answer);
  ++operation.attempts;
  ++changes->state().failed;
  changes->PutOperation(operation);
}

// Pulling.

Result<bool> OutboxSteps::IsPending(std::string_view entity, std::string_view id) const {
  if (state_.records == 0) return false;
  TIDEMARK_ASSIGN_OR_RETURN(const auto row,
                            store_.GetRow(LocalKey(kLocalRecordPrefix, entity, id)));
  return row.has_value();
}

Result<bool> OutboxSteps::TakeRow(
    const BatchView& rows, const BatchRow& row, bool reset, WriteBatch* batch, bool* changed) {
  *changed = false;
  const std::string_view entity = rows.entity_name(row.entity);
  if (state_.fences > 0) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto fence,
                              store_.GetRow(LocalKey(kFencePrefix, entity, row.id)));
    if (fence.has_value() && row.sequence < FenceOf(*fence)) return true;
  }
  TIDEMARK_ASSIGN_OR_RETURN(const bool pending, IsPending(entity, row.id));
  if (!pending) return false;
  const std::string key = LocalKey(kImagePrefix, entity, row.id);
  TIDEMARK_ASSIGN_OR_RETURN(const auto known, store_.GetRow(key));
  if (known.has_value()) {
    TIDEMARK_ASSIGN_OR_RETURN(const Image image, DecodeImage(*known));
    if (image.head > row.sequence && !reset) return true;
    *changed = image.head != row.sequence || image.present != (row.op != RowOp::kDelete);
  }
  const bool present = row.op != RowOp::kDelete;
  batch->SetRow(key,
                EncodeImage({.present = present,
                             .id_form = row.id_form,
                             .value_kind = row.value_kind,
                             .birth = row.birth,
                             .head = row.sequence,
                             .session = replica_.session,
                             .value = present ? std::string(row.value) : std::string()}));
  return true;
}

Status OutboxSteps::ForgetFences() {
  while (state_.fences > 0) {
    LocalChanges changes(store_, &state_);
    size_t found = 0;
    TIDEMARK_RETURN_IF_ERROR(store_.ScanRows(kFencePrefix, [&](std::string_view key, auto) {
      changes.batch().DeleteRow(key);
      return ++found < kFencesInOneStep;
    }));
    if (found < kFencesInOneStep) changes.state().fences = 0;
    TIDEMARK_RETURN_IF_ERROR(changes.Commit());
  }
  return {};
}

Status OutboxSteps::FinishReset() {
  if (state_.records == 0) return {};
  TIDEMARK_RETURN_IF_ERROR(ForgetUnlisted());
  std::vector<std::pair<std::string, std::string>> answered;  // entity and id
  Status damaged;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(kLocalRecordPrefix, [&](std::string_view key, std::string_view value) {
        const auto record = DecodeLocalRecord(value);
        if (!record.ok()) damaged = record.status();
        if (record.ok() && record->operations.empty()) {
          ByteReader name(key.substr(kLocalRecordPrefix.size()));
          std::string entity = name.Ordered();
          answered.emplace_back(std::move(entity), std::string(name.rest()));
        }
        return damaged.ok();
      }));
  TIDEMARK_RETURN_IF_ERROR(damaged);
  for (size_t first = 0; first < answered.size(); first += kRecordsInOneStep) {
    LocalChanges changes(store_, &state_);
    const size_t last = std::min(first + kRecordsInOneStep, answered.size());
    for (size_t i = first; i < last; ++i) {
      const auto& [entity, id] = answered[i];
      TIDEMARK_ASSIGN_OR_RETURN(LocalState* const local, changes.Find(entity, RecordId(id)));
      changes.End(entity, local);
    }
    TIDEMARK_RETURN_IF_ERROR(Commit(&changes, ChangeOrigin::kRemote));
  }
  return {};
}

Status OutboxSteps::ForgetUnlisted() {
  std::vector<std::string> unlisted;
  Status damaged;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(kImagePrefix, [&](std::string_view key, std::string_view value) {
        const auto image = DecodeImage(value);
        if (!image.ok()) damaged = image.status();
        if (image.ok() && image->present && image->session != replica_.session) {
          unlisted.emplace_back(key);
        }
        return damaged.ok();
      }));
  TIDEMARK_RETURN_IF_ERROR(damaged);
  if (unlisted.empty()) return {};
  LocalChanges changes(store_, &state_);
  const std::string nothing = EncodeImage({.session = replica_.session});
  for (const std::string& key : unlisted) changes.batch().SetRow(key, nothing);
  return changes.Commit();
}

}  // namespace tidemark::internal
