#include "replication/internal/push_evaluation.h"

#include <algorithm>

#include "format/json.h"
#include "format/record_json.h"
#include "replication/internal/marks.h"

namespace tidemark::internal {
namespace {

/// The code of one that builds on what was refused.
constexpr std::string_view kBuildsOnRefused = "skipped";

bool Refuse(PushAnswer* answer,
            PushOutcome outcome,
            std::string_view code,
            std::string message,
            std::string_view field = {}) {
  answer->outcome = outcome;
  answer->code = code;
  answer->field = field;
  answer->message = std::move(message);
  return true;
}

bool RefuseInvalid(PushAnswer* answer, ErrorCode code, std::string message) {
  return Refuse(answer, PushOutcome::kInvalid, GetErrorInfo(code).name, std::move(message));
}

bool IsSame(ValueKind kind, std::string_view value, ValueKind other_kind, std::string_view other) {
  return kind == other_kind && value == other;
}

// As `_conflicts` has it.
std::string ConflictJson(const std::string& device, const EntityInfo& info, const Record& lost) {
  JsonWriter writer;
  writer.BeginObject();
  writer.Key("entity").String(info.name);
  writer.Key("id").String(lost.id);
  writer.Key("device").String(device);
  writer.Key("version").Unsigned(lost.version.value());
  writer.Key("data").Raw(ValueToJson(lost.value, lost.value_kind));
  writer.EndObject();
  return writer.Take();
}

}  // namespace

Hash128 PushEvaluation::HashOf(ValueKind kind, std::string_view value) const {
  return KeyedHash128(secret_, static_cast<uint8_t>(kind), value);
}

const RowChecker& PushEvaluation::CheckerOf(const EntityInfo& info) {
  const auto known = checkers_.find(info.number);
  if (known != checkers_.end()) return known->second;
  EntityDeclaration fields_only = info.declaration;
  fields_only.id_fields.clear();  // the operation itself says which record it is about
  return checkers_.emplace(info.number, RowChecker(fields_only)).first->second;
}

bool PushEvaluation::IsShown(EntityNumber entity, ValueKind kind, std::string_view value) const {
  if (selection_.Contains(entity)) return true;
  BatchRow row;
  row.value_kind = kind;
  row.value = value;
  std::vector<OpenStay> scratch;
  return Shows(
      selection_,
      {.entity = entity, .live = true, .stays = store_.KeysOf(entity).StaysOf(row, &scratch)});
}

bool PushEvaluation::RefuseMalformed(const Operation& operation, PushAnswer* answer) {
  const BatchRow& row = operation.row;
  const bool is_event = operation.info.declaration.kind == EntityKind::kIncremental;
  const bool appends = row.op == RowOp::kAppend;
  if (is_event != appends) {
    return RefuseInvalid(answer,
                         ErrorCode::kWrongKind,
                         operation.info.name + (is_event ? " is incremental: events are only added"
                                                         : " is a snapshot: put into it"));
  }
  if (const Status id = CheckIdOfForm(row.id, row.id_form); !id.ok()) {
    return RefuseInvalid(answer, id.code(), id.message());
  }
  if (appends && row.writer_time.has_value()) {
    return RefuseInvalid(answer, ErrorCode::kUnsupported, "events are not newer than each other");
  }
  if (row.op == RowOp::kDelete || row.value_kind == ValueKind::kBytes) return false;
  if (row.value_kind != ValueKind::kJson) {
    return RefuseInvalid(answer, ErrorCode::kUnsupported, "values are JSON or bytes");
  }
  const Result<std::string> minified = MinifyJson(row.value);
  if (!minified.ok() || *minified != row.value) {
    return RefuseInvalid(answer,
                         ErrorCode::kMalformedJson,
                         minified.ok() ? "the value is not minified" : minified.status().message());
  }
  const EntityDeclaration& declared = operation.info.declaration;
  if (declared.fields.empty() && declared.references.empty()) return false;
  const CheckedRow checked = CheckerOf(operation.info).Check(row.value);
  if (!checked.fault.has_value()) return false;
  return Refuse(answer,
                PushOutcome::kInvalid,
                checked.fault->code,
                checked.fault->message,
                checked.fault->field);
}

Result<bool> PushEvaluation::HasParent(const Operation& operation,
                                       const std::string& parent,
                                       const std::optional<RecordId>& id) const {
  if (!id.has_value()) return false;
  if (parent == operation.info.name && id->text() == operation.row.id) return true;  // itself
  const auto info = store_.FindEntity(parent);
  if (!info.has_value()) return false;
  const auto pushed = by_id_.find({info->number, id->text()});
  if (pushed != by_id_.end()) return pushed->second->live;
  TIDEMARK_ASSIGN_OR_RETURN(const auto record, store_.Get(parent, *id));
  // What the device may not see is not there: nothing tells it otherwise.
  return record.has_value() && IsShown(info->number, record->value_kind, record->value);
}

Result<bool> PushEvaluation::RefuseOrphan(const Operation& operation, PushAnswer* answer) {
  const EntityDeclaration& declared = operation.info.declaration;
  const BatchRow& row = operation.row;
  if (declared.reference_policy != ReferencePolicy::kStrict || declared.references.empty() ||
      row.op == RowOp::kDelete || row.value_kind != ValueKind::kJson) {
    return false;
  }
  std::vector<std::string> names;
  for (const EntityReference& reference : declared.references) names.push_back(reference.field);
  TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonFields(row.value, names));
  for (size_t i = 0; i < names.size(); ++i) {
    if (!fields[i].has_value() || fields[i]->type == JsonType::kNull) continue;
    const std::string& parent = declared.references[i].entity;
    const std::optional<RecordId> id = IdOfField(*fields[i]);
    TIDEMARK_ASSIGN_OR_RETURN(const bool found, HasParent(operation, parent, id));
    if (found) continue;
    return Refuse(answer,
                  PushOutcome::kParentMissing,
                  "reference",
                  names[i] + " names a record of " + parent + " that is not there" +
                      (id.has_value() ? ": " + id->text() : std::string()),
                  names[i]);
  }
  return false;
}

void PushEvaluation::Tell(const State& state, PushAnswer* answer) {
  if (!state.before.has_value()) return;
  const Record& record = *state.before;
  PushCurrent current{.version = record.version, .value_kind = record.value_kind, .value = {}};
  if (told_bytes_ + record.value.size() <= kPushValueBytesMax) {
    told_bytes_ += record.value.size();
    current.value = record.value;
  }
  answer->current = std::move(current);
}

bool PushEvaluation::RefuseConflict(const Operation& operation, State* state, PushAnswer* answer) {
  const BatchRow& row = operation.row;
  if (!state->touched && state->before.has_value() &&
      !IsShown(state->info.number, state->before->value_kind, state->before->value)) {
    return RefuseInvalid(
        answer, ErrorCode::kNotAllowed, "the record is none that this device may see");
  }
  if (row.op == RowOp::kAppend) {
    if (!state->live || IsSame(row.value_kind, row.value, state->value_kind, state->value)) {
      return false;
    }
    return Refuse(answer, PushOutcome::kConflict, "conflict", "there is another event of this id");
  }
  if (row.writer_time.has_value()) {
    if (!state->writer_time.has_value() || *row.writer_time > *state->writer_time) return false;
    Tell(*state, answer);
    return Refuse(answer,
                  PushOutcome::kConflict,
                  "not_newer",
                  "its timestamp is not newer than " + std::to_string(*state->writer_time));
  }
  if (state->touched) return false;  // it builds on the operation before it
  const SequenceNumber version = state->before.has_value() ? state->before->version : kSequenceZero;
  if (state->own.has_value() ? *state->own == version : row.superseded == version) return false;
  if (row.op == RowOp::kDelete) {
    if (!state->before.has_value()) return false;
  } else if (state->before.has_value() &&
             IsSame(row.value_kind, row.value, state->before->value_kind, state->before->value)) {
    return false;
  }
  if (state->info.declaration.conflicts == ConflictPolicy::kLastWriter) {
    state->overrides = true;
    return false;
  }
  Tell(*state, answer);
  return Refuse(answer,
                PushOutcome::kConflict,
                "conflict",
                state->before.has_value()
                    ? "the record is at version " + std::to_string(version.value()) + ", not " +
                          std::to_string(row.superseded.value())
                    : "the record was deleted by somebody else");
}

const AnsweredRecord* PushEvaluation::FindAnswered(const std::string& entity,
                                                   const std::string& id) const {
  const auto here = answered_.find({entity, id});
  if (here != answered_.end()) return &here->second;
  if (earlier_ == nullptr) return nullptr;
  const auto before = earlier_->find({entity, id});
  return before == earlier_->end() ? nullptr : &before->second;
}

Result<PushEvaluation::State*> PushEvaluation::Load(const Operation& operation) {
  const auto key = std::pair(operation.info.number, std::string(operation.row.id));
  const auto known = by_id_.find(key);
  if (known != by_id_.end()) return known->second;
  State& state = states_.emplace_back();
  state.info = operation.info;
  state.id = RecordId(operation.row.id, operation.row.id_form);
  TIDEMARK_ASSIGN_OR_RETURN(state.before, store_.Get(operation.info.name, state.id));
  if (state.before.has_value()) {
    state.live = true;
    state.value_kind = state.before->value_kind;
    state.value = state.before->value;
    state.hash_before = HashOf(state.value_kind, state.value);
    state.writer_time = state.before->writer_time;
  }
  const AnsweredRecord* const answered = FindAnswered(operation.info.name, state.id.text());
  if (answered != nullptr) {
    const auto& [answer, deleted] = *answered;
    const bool applied =
        answer.outcome == PushOutcome::kDuplicate || answer.outcome == PushOutcome::kApplied;
    if (!applied) {
      state.refused = answer.code == kWaitsForParent ? PushOutcome::kParentMissing : answer.outcome;
    } else {
      state.own = deleted && !state.before.has_value() ? kSequenceZero : answer.version;
    }
  }
  by_id_[key] = &state;
  return &state;
}

Status PushEvaluation::Add(const BatchView& rows, size_t index) {
  Operation operation{.row = rows.row(index), .entity = {}, .info = {}};
  operation.entity = rows.entity_name(operation.row.entity);
  PushAnswer& answer = answers_.emplace_back();
  answer.operation = operation.row.sequence.value();
  if (IsLocalName(operation.entity)) {
    RefuseInvalid(&answer, ErrorCode::kReserved, "names that begin with _ are the engine's own");
    return {};
  }
  const auto info = store_.FindEntity(operation.entity);
  if (!info.has_value() || !selection_.Touches(info->number)) {
    RefuseInvalid(&answer,
                  ErrorCode::kNotAllowed,
                  "this device may see nothing of " + std::string(operation.entity));
    return {};
  }
  operation.info = *info;
  if (RefuseMalformed(operation, &answer)) return {};
  TIDEMARK_ASSIGN_OR_RETURN(State* const state, Load(operation));
  if (state->refused.has_value()) {
    const bool waits = *state->refused == PushOutcome::kParentMissing;
    Refuse(&answer,
           PushOutcome::kSkipped,
           waits ? kWaitsForParent : kBuildsOnRefused,
           "an operation before it, of the same record, was not applied");
    return {};
  }
  TIDEMARK_ASSIGN_OR_RETURN(const bool orphan, RefuseOrphan(operation, &answer));
  if (orphan || RefuseConflict(operation, state, &answer)) {
    state->refused = answer.outcome;
    if (!state->touched) state->before.reset();  // values of a whole push are too much to keep
    return {};
  }
  const BatchRow& row = operation.row;
  if (!state->touched && state->before.has_value() && !state->overrides) {
    state->before->value = {};  // its hash tells whether anything has changed
  }
  state->touched = true;
  state->live = row.op != RowOp::kDelete;
  state->value_kind = row.value_kind;
  state->value = row.value;
  if (row.writer_time.has_value()) {
    state->writer_time = row.writer_time;
    state->given_time = row.writer_time;
  }
  state->answers.push_back(answers_.size() - 1);
  return {};
}

void PushEvaluation::NoteAnswered(const BatchView& rows, size_t index, const PushAnswer& answer) {
  const BatchRow row = rows.row(index);
  answered_[{std::string(rows.entity_name(row.entity)), std::string(row.id)}] = {
      answer, row.op == RowOp::kDelete};
}

void PushEvaluation::AddAnswered(const BatchView& rows, size_t index, PushAnswer answer) {
  NoteAnswered(rows, index, answer);
  answers_.push_back(std::move(answer));
}

Status PushEvaluation::Finish() {
  for (const State& state : states_) {
    if (state.touched) TIDEMARK_RETURN_IF_ERROR(FinishRecord(state));
  }
  // Rows of the engine itself come last, so that the records' versions follow each other.
  for (const std::string& json : overridden_) {
    batch_.Append(kConflictsEntity, json, ValueKind::kJson);
  }
  return {};
}

Status PushEvaluation::FinishRecord(const State& state) {
  PushedRecord record;
  record.entity = state.info.number;
  record.id = state.id.text();
  record.live = state.live;
  record.answers = state.answers;
  if (state.before.has_value()) {
    record.version_before = state.before->version;
    record.birth_before = state.before->birth;
  } else {
    TIDEMARK_ASSIGN_OR_RETURN(const auto history, store_.FindHistory(record.entity, state.id));
    const size_t ended = history.has_value() ? history->ended.size() : 0;
    for (size_t i = 0; i < ended; ++i) record.older.push_back(history->ended[i].birth);
  }
  if (state.live) {
    record.outside = !IsShown(record.entity, state.value_kind, state.value);
    record.written =
        !state.before.has_value() || HashOf(state.value_kind, state.value) != state.hash_before;
  } else {
    record.written = state.before.has_value();
  }
  if (record.written) Write(state);
  if (record.written && state.overrides && state.before.has_value()) {
    overridden_.push_back(ConflictJson(device_, state.info, *state.before));
  }
  for (const size_t answer : state.answers) answers_[answer].outside = record.outside;
  records_.push_back(std::move(record));
  return {};
}

void PushEvaluation::Write(const State& state) {
  WriteCondition condition;
  if (state.before.has_value()) {
    condition.if_version = state.before->version;
  } else {
    condition.if_absent = true;
  }
  condition.if_newer = state.given_time;
  if (!state.live) {
    batch_.Delete(state.info.name, state.id, condition);
  } else {
    batch_.Put(state.info.name, state.id, state.value, state.value_kind, condition);
  }
}

}  // namespace tidemark::internal
