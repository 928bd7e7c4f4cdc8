// Temporary ids: a record is written under an id of the device's own until somebody names it.
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
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

/// `json` with `to` where one of the members `names` was `from`; nullopt: none of them was.
Result<std::optional<std::string>> Renamed(const std::string& json,
                                           const std::vector<std::string>& names,
                                           const RecordId& from,
                                           const RecordId& to) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto named, ReadJsonFields(json, names));
  const auto refers = [&](const std::optional<JsonField>& field) {
    return field.has_value() && Names(*field, from);
  };
  if (std::none_of(named.begin(), named.end(), refers)) return std::optional<std::string>();
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(json));
  JsonWriter writer;
  writer.BeginObject();
  for (const JsonField& member : members) {
    const bool is_reference = std::find(names.begin(), names.end(), member.name) != names.end();
    const bool renamed = is_reference && Names(member, from);
    writer.Key(member.name);
    writer.Raw(renamed ? IdToJson(to.text(), to.form()) : FieldToJson(member));
  }
  return std::optional(writer.EndObject().Take());
}

bool IsObject(ValueKind kind, std::string_view value) {
  return kind == ValueKind::kJson && value.starts_with('{');
}

/// The fields of each entity that may hold the id.
using ReferringFields = std::map<std::string, std::vector<std::string>>;

ReferringFields FieldsOf(const IdReplacement& what) {
  ReferringFields fields;
  for (const EntityReference& reference : what.references) {
    fields[reference.entity].push_back(reference.field);
  }
  return fields;
}

Status CheckRoomFor(uint64_t changed) {
  if (changed <= kIdReplacementsMax) return {};
  return {ErrorCode::kTooLarge,
          "more than " + std::to_string(kIdReplacementsMax) +
              " operations and records hold the temporary id: push, so that fewer wait, or leave a "
              "reference out"};
}

}  // namespace

Status OutboxSteps::RenameOperations(Renaming* renaming) {
  const IdReplacement& what = renaming->what;
  const ReferringFields fields = FieldsOf(what);
  RecordIterator rows = store_.GetView().Scan(kOutboxEntity, ScanOptions{});
  while (rows.Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(OutboxOperation operation, DecodeOperation(rows.value()));
    const std::pair record(operation.entity, operation.id.text());
    bool changed = false;
    if (operation.entity == what.entity && operation.id.text() == what.temporary.text()) {
      operation.id = what.real;
      changed = true;
    }
    const auto referring = fields.find(operation.entity);
    if (referring != fields.end() && IsObject(operation.value_kind, operation.value)) {
      TIDEMARK_ASSIGN_OR_RETURN(
          auto value, Renamed(operation.value, referring->second, what.temporary, what.real));
      changed = changed || value.has_value();
      if (value.has_value()) operation.value = *std::move(value);
    }
    if (!changed) continue;
    const bool sent = operation.number <= state_.sent_through;
    if (sent && operation.state == OperationState::kPending) {
      return {ErrorCode::kBusy,
              "operation " + std::to_string(operation.number) +
                  " was sent with the temporary id and may be applied: push, and see"};
    }
    TIDEMARK_RETURN_IF_ERROR(CheckRoomFor(++renaming->changed));
    renaming->changes->PutOperation(operation);
    renaming->queued.insert(record);
  }
  return rows.status();
}

Status OutboxSteps::ShowRenamed(const Renaming& renaming) {
  const IdReplacement& what = renaming.what;
  LocalChanges* const changes = renaming.changes;
  for (const auto& [entity, id] : renaming.queued) {
    const bool is_moved = entity == what.entity && id == what.temporary.text();
    TIDEMARK_ASSIGN_OR_RETURN(LocalState* const local,
                              changes->Find(entity, is_moved ? what.real : RecordId(id)));
    if (!local->record.has_value() || local->record->operations.empty()) continue;  // it failed
    TIDEMARK_ASSIGN_OR_RETURN(const auto last,
                              changes->FindOperation(local->record->operations.back()));
    if (last.has_value()) changes->ShowAgain(entity, last->id, *last);
  }
  return {};
}

Status OutboxSteps::RenameHeld(const std::string& entity,
                               const std::vector<std::string>& fields,
                               Renaming* renaming) {
  const IdReplacement& what = renaming->what;
  const auto info = store_.FindEntity(entity);
  if (!info.has_value()) return {};
  RecordIterator rows = store_.GetView().Scan(entity, ScanOptions{});
  while (rows.Next()) {
    const Record& held = rows.record();
    if (!IsObject(held.value_kind, held.value)) continue;
    if (entity == what.entity && held.id == what.temporary.text()) continue;
    auto renamed = Renamed(held.value, fields, what.temporary, what.real);
    if (!renamed.ok() || !renamed->has_value()) continue;  // what cannot be read refers to nothing
    const RecordId id(held.id, held.id_form);
    TIDEMARK_ASSIGN_OR_RETURN(LocalState* const local, renaming->changes->Find(entity, id));
    // What is shown of it is its last operation, which is renamed already.
    if (local->record.has_value() && !local->record->operations.empty()) continue;
    if (info->declaration.kind == EntityKind::kIncremental) {
      return {ErrorCode::kWrongKind,
              "event " + held.id + " of " + entity +
                  " was sent with the temporary id, and events do not change: leave this "
                  "reference out"};
    }
    TIDEMARK_RETURN_IF_ERROR(CheckRoomFor(++renaming->changed));
    OutboxOperation operation;
    operation.entity = entity;
    operation.id = id;
    operation.value_kind = ValueKind::kJson;
    operation.value = **std::move(renamed);
    operation.created_at = store_.runtime().clock().WallMilliseconds();
    TIDEMARK_RETURN_IF_ERROR(Enqueue(std::move(operation), /*replace=*/false, renaming->changes));
  }
  return rows.status();
}

Status OutboxSteps::ReplaceId(const IdReplacement& what) {
  TIDEMARK_RETURN_IF_ERROR(CheckRecordId(what.real.text()));
  for (const EntityReference& reference : what.references) {
    if (IsLocalName(reference.entity)) {
      return {ErrorCode::kReserved, "names that begin with _ are the engine's own"};
    }
  }
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
  Renaming renaming{.what = what, .changes = &changes};
  TIDEMARK_RETURN_IF_ERROR(RenameOperations(&renaming));

  to->id = what.real;
  to->record = std::exchange(from->record, std::nullopt);
  to->image_changed = true;
  changes.Hide(what.entity, what.temporary);
  TIDEMARK_RETURN_IF_ERROR(ShowRenamed(renaming));
  for (const auto& [entity, fields] : FieldsOf(what)) {
    TIDEMARK_RETURN_IF_ERROR(RenameHeld(entity, fields, &renaming));
  }
  TIDEMARK_RETURN_IF_ERROR(CheckRoom(changes.state()));
  return Commit(&changes, ChangeOrigin::kLocal);
}

}  // namespace tidemark::internal
