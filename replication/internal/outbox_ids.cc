// Temporary ids: a record is written under an id of the device's own until somebody names it.
#include <set>
#include <utility>
#include <vector>

#include "format/json.h"
#include "format/record_json.h"
#include "replication/internal/outbox_entry.h"
#include "replication/internal/outbox_steps.h"

namespace tidemark::internal {
namespace {

bool Names(const JsonField& field, const RecordId& id) {
  const bool is_text = field.type == JsonType::kString;
  return (is_text || field.type == JsonType::kInteger) && field.text == id.text();
}

/// `json` with `to` where the member `name` was `from`; as it was where it was something else.
Result<std::string> Renamed(const std::string& json,
                            const std::string& name,
                            const RecordId& from,
                            const RecordId& to) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto named, ReadJsonFields(json, {name}));
  if (!named.front().has_value() || !Names(*named.front(), from)) return json;
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(json));
  JsonWriter writer;
  writer.BeginObject();
  for (const JsonField& member : members) {
    writer.Key(member.name);
    writer.Raw(member.name == name ? IdToJson(to.text(), to.form()) : FieldToJson(member));
  }
  return writer.EndObject().Take();
}

bool IsObject(const OutboxOperation& operation) {
  return operation.value_kind == ValueKind::kJson && operation.value.starts_with('{');
}

}  // namespace

Status OutboxSteps::RenameOperations(const IdReplacement& what,
                                     LocalChanges* changes,
                                     std::set<std::pair<std::string, std::string>>* touched) {
  RecordIterator rows = store_.GetView().Scan(kOutboxEntity, ScanOptions{});
  while (rows.Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(OutboxOperation operation, DecodeOperation(rows.value()));
    const std::pair record(operation.entity, operation.id.text());
    bool changed = false;
    if (operation.entity == what.entity && operation.id.text() == what.temporary.text()) {
      operation.id = what.real;
      changed = true;
    }
    for (const EntityReference& reference : what.references) {
      if (reference.entity != operation.entity || !IsObject(operation)) continue;
      TIDEMARK_ASSIGN_OR_RETURN(
          std::string value, Renamed(operation.value, reference.field, what.temporary, what.real));
      changed = changed || value != operation.value;
      operation.value = std::move(value);
    }
    if (!changed) continue;
    const bool sent = operation.number <= state_.sent_through;
    if (sent && operation.state == OperationState::kPending) {
      return {ErrorCode::kBusy,
              "operation " + std::to_string(operation.number) +
                  " was sent with the temporary id and may be applied: push, and see"};
    }
    changes->PutOperation(operation);
    touched->insert(record);
  }
  return rows.status();
}

Status OutboxSteps::ReplaceId(const IdReplacement& what) {
  TIDEMARK_RETURN_IF_ERROR(CheckRecordId(what.real.text()));
  LocalChanges changes(store_, &state_);
  TIDEMARK_ASSIGN_OR_RETURN(LocalState* const from, changes.Find(what.entity, what.temporary));
  if (!from->record.has_value() || from->record->operations.empty()) {
    return {ErrorCode::kNotFound,
            "nothing waits of " + what.entity + " " + what.temporary.text() +
                ": only a record that its source does not know yet has a temporary id"};
  }
  if (from->image.present) {
    return {ErrorCode::kConflict, "the source knows the record by this id"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(LocalState* const to, changes.Find(what.entity, what.real));
  TIDEMARK_ASSIGN_OR_RETURN(const auto taken, changes.Visible(what.entity, what.real));
  if (taken.has_value() || to->record.has_value()) {
    return {ErrorCode::kConflict, "there is a record of this id: " + what.real.text()};
  }
  std::set<std::pair<std::string, std::string>> touched;
  TIDEMARK_RETURN_IF_ERROR(RenameOperations(what, &changes, &touched));

  to->id = what.real;
  to->record = std::exchange(from->record, std::nullopt);
  to->image_changed = true;
  changes.Hide(what.entity, what.temporary);
  for (const auto& [entity, id] : touched) {
    const bool is_moved = entity == what.entity && id == what.temporary.text();
    TIDEMARK_ASSIGN_OR_RETURN(LocalState* const local,
                              changes.Find(entity, is_moved ? what.real : RecordId(id)));
    if (!local->record.has_value() || local->record->operations.empty()) continue;  // it failed
    TIDEMARK_ASSIGN_OR_RETURN(const auto last,
                              changes.FindOperation(local->record->operations.back()));
    if (last.has_value()) changes.Show(entity, last->id, *last);
  }
  return changes.Commit();
}

}  // namespace tidemark::internal
