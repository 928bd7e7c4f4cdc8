#include "replication/internal/push_evaluation.h"

#include <algorithm>

#include "format/json.h"
#include "format/record_json.h"
#include "replication/internal/conflict_decision.h"
#include "replication/internal/field_merge.h"
#include "replication/internal/marks.h"

namespace tidemark::internal {
namespace {

/// The code of one that builds on what was refused.
constexpr std::string_view kBuildsOnRefused = "skipped";

bool RefuseWith(PushAnswer* answer,
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
  return RefuseWith(answer, PushOutcome::kInvalid, GetErrorInfo(code).name, std::move(message));
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
  if (!row.changed.empty() && !ReadMembers(row.changed).ok()) {
    return RefuseInvalid(
        answer, ErrorCode::kMalformedJson, "the changed members are a list of names");
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
  return RefuseWith(answer,
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

Result<bool> PushEvaluation::RefuseOrphan(const Operation& operation,
                                          const TypedView& value,
                                          const std::optional<std::set<std::string>>& only,
                                          PushAnswer* answer) const {
  const EntityDeclaration& declared = operation.info.declaration;
  if (declared.reference_policy != ReferencePolicy::kStrict || declared.references.empty() ||
      value.kind != ValueKind::kJson) {
    return false;
  }
  std::vector<std::string> names;
  for (const EntityReference& reference : declared.references) names.push_back(reference.field);
  TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonFields(value.bytes, names));
  for (size_t i = 0; i < names.size(); ++i) {
    if (only.has_value() && !only->contains(names[i])) continue;
    if (!fields[i].has_value() || fields[i]->type == JsonType::kNull) continue;
    const std::string& parent = declared.references[i].entity;
    const std::optional<RecordId> id = IdOfField(*fields[i]);
    TIDEMARK_ASSIGN_OR_RETURN(const bool found, HasParent(operation, parent, id));
    if (found) continue;
    return RefuseWith(answer,
                      PushOutcome::kParentMissing,
                      "reference",
                      names[i] + " names a record of " + parent + " that is not there" +
                          (id.has_value() ? ": " + id->text() : std::string()),
                      names[i]);
  }
  return false;
}

void PushEvaluation::Tell(const State& state, PushAnswer* answer) {
  // What an earlier operation of the push makes of it has no version yet.
  if (state.touched || !state.before.has_value()) return;
  const Record& record = *state.before;
  PushCurrent current{.version = record.version, .value_kind = record.value_kind, .value = {}};
  if (told_bytes_ + record.value.size() <= kPushValueBytesMax) {
    told_bytes_ += record.value.size();
    current.value = record.value;
  }
  answer->current = std::move(current);
}

bool PushEvaluation::IsSeen(const Operation& operation, const State& state) {
  if (state.touched) return state.as_pushed;  // it builds on the operation before it
  const SequenceNumber version = state.before.has_value() ? state.before->version : kSequenceZero;
  return state.own.value_or(operation.row.superseded) == version;
}

bool PushEvaluation::RefuseConflict(const Operation& operation,
                                    State* state,
                                    std::optional<TypedValue>* made,
                                    PushAnswer* answer) {
  const BatchRow& row = operation.row;
  const bool deletes = row.op == RowOp::kDelete;
  if (!state->touched && state->before.has_value() &&
      !IsShown(state->info.number, state->before->value_kind, state->before->value)) {
    return RefuseInvalid(
        answer, ErrorCode::kNotAllowed, "the record is none that this device may see");
  }
  const bool agrees =
      deletes ? !state->live
              : state->live && IsSame(row.value_kind, row.value, state->value_kind, state->value);
  if (row.op == RowOp::kAppend) {
    if (!state->live || agrees) return false;
    return RefuseWith(
        answer, PushOutcome::kConflict, kRefusedAsConflict, "there is another event of this id");
  }
  const bool seen = IsSeen(operation, *state);
  const bool goes_on = agrees || seen;
  state->unseen = state->unseen || !seen;
  if (row.writer_time.has_value()) {
    if (!state->writer_time.has_value() || *row.writer_time > *state->writer_time) {
      state->overrides = state->overrides || !goes_on;
      return false;
    }
    Tell(*state, answer);
    return RefuseWith(answer,
                      PushOutcome::kConflict,
                      "not_newer",
                      "its timestamp is not newer than " + std::to_string(*state->writer_time));
  }
  if (goes_on) return false;
  Conflict conflict{.device = device_,
                    .entity = state->info.name,
                    .id = state->id,
                    .base = row.superseded,
                    .version = state->before.has_value() ? state->before->version : kSequenceZero,
                    .current = {},
                    .pushed = {}};
  if (state->live) conflict.current = ConflictValue{state->value_kind, state->value};
  if (!deletes) conflict.pushed = ConflictValue{row.value_kind, row.value};
  ConflictDecision decision =
      DecideConflict(conflict,
                     {.policy = state->info.declaration.conflicts,
                      .changed = row.changed,
                      .birth = state->before.has_value() ? state->before->birth : kSequenceZero,
                      .resolver = resolver_});
  if (decision.outcome != PushOutcome::kApplied) {
    if (decision.outcome == PushOutcome::kConflict) Tell(*state, answer);
    return RefuseWith(answer, decision.outcome, decision.code, std::move(decision.message));
  }
  state->overrides = true;
  *made = std::move(decision.made);
  return false;
}

/// A value that comes from no device alone is checked like one that does.
Result<bool> PushEvaluation::RefuseMade(const Operation& operation,
                                        const TypedValue& made,
                                        PushAnswer* answer) {
  const EntityDeclaration& declared = operation.info.declaration;
  if (made.kind != ValueKind::kJson) return false;
  if (!declared.fields.empty() || !declared.references.empty()) {
    const CheckedRow checked = CheckerOf(operation.info).Check(made.bytes);
    if (checked.fault.has_value()) {
      const bool by_callback = declared.conflicts == ConflictPolicy::kCallback;
      return RefuseWith(answer,
                        by_callback ? PushOutcome::kConflict : PushOutcome::kInvalid,
                        by_callback ? kResolverFailed : std::string_view(checked.fault->code),
                        "what the conflict ends in: " + checked.fault->message,
                        checked.fault->field);
    }
  }
  // By field, references that the device did not change are as the source had them.
  if (declared.conflicts == ConflictPolicy::kByField) return false;
  return RefuseOrphan(operation, {made.kind, made.bytes}, {}, answer);
}

Result<bool> PushEvaluation::Refuse(const Operation& operation,
                                    State* state,
                                    std::optional<TypedValue>* made,
                                    PushAnswer* answer) {
  const BatchRow& row = operation.row;
  std::optional<std::set<std::string>> changed;
  const bool merges = operation.info.declaration.conflicts == ConflictPolicy::kByField &&
                      !row.changed.empty() && !IsSeen(operation, *state);
  if (merges) {
    TIDEMARK_ASSIGN_OR_RETURN(changed, ReadMembers(row.changed));
  }
  if (row.op != RowOp::kDelete) {
    TIDEMARK_ASSIGN_OR_RETURN(
        const bool orphan, RefuseOrphan(operation, {row.value_kind, row.value}, changed, answer));
    if (orphan) return true;
  }
  if (RefuseConflict(operation, state, made, answer)) return true;
  if (!made->has_value()) return false;
  return RefuseMade(operation, **made, answer);
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
    } else if (!answer.merged) {  // else the device has not seen what it made of it
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
    RefuseWith(&answer,
               PushOutcome::kSkipped,
               waits ? kWaitsForParent : kBuildsOnRefused,
               "an operation before it, of the same record, was not applied");
    return {};
  }
  std::optional<TypedValue> made;
  TIDEMARK_ASSIGN_OR_RETURN(const bool refused, Refuse(operation, state, &made, &answer));
  if (refused) {
    state->refused = answer.outcome;
    if (!state->touched) state->before.reset();  // values of a whole push are too much to keep
    return {};
  }
  const BatchRow& row = operation.row;
  if (!state->touched && state->before.has_value() && !state->overrides) {
    state->before->value = {};  // its hash tells whether anything has changed
  }
  const bool keeps_loser = !state->touched && state->overrides && state->before.has_value();
  if (keeps_loser) held_bytes_ += state->before->value.size();
  if (made.has_value()) held_bytes_ += made->bytes.size();
  state->touched = true;
  state->as_pushed = !made.has_value();
  state->live = made.has_value() || row.op != RowOp::kDelete;
  state->value_kind = made.has_value() ? made->kind : row.value_kind;
  if (made.has_value()) state->made = std::move(made->bytes);
  state->value = made.has_value() ? std::string_view(state->made) : row.value;
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
  }
  if (!state.before.has_value() || state.unseen) {
    // The device may have a life that it does not know to have ended.
    TIDEMARK_ASSIGN_OR_RETURN(const auto history, store_.FindHistory(record.entity, state.id));
    const size_t ended = history.has_value() ? history->ended.size() : 0;
    for (size_t i = 0; i < ended; ++i) {
      const SequenceNumber birth = history->ended[i].birth;
      if (birth != record.birth_before) record.older.push_back(birth);
    }
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
  record.merged = !state.as_pushed;
  for (const size_t answer : state.answers) {
    answers_[answer].outside = record.outside;
    answers_[answer].merged = record.merged;
  }
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
