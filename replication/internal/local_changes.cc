#include "replication/internal/local_changes.h"

#include <algorithm>

#include "replication/internal/outbox_entry.h"

namespace tidemark::internal {

Result<LocalState*> LocalChanges::Find(std::string_view entity, const RecordId& id) {
  const Key key(entity, id.text());
  if (const auto known = locals_.find(key); known != locals_.end()) return &known->second;
  TIDEMARK_ASSIGN_OR_RETURN(LocalState local, Look(entity, id));
  return &(locals_[key] = std::move(local));
}

Result<LocalState> LocalChanges::Look(std::string_view entity, const RecordId& id) const {
  const auto known = locals_.find(Key(entity, id.text()));
  if (known != locals_.end()) return known->second;
  LocalState local;
  local.id = id;
  if (stored_.records == 0) return local;
  TIDEMARK_ASSIGN_OR_RETURN(const auto row,
                            store_.GetRow(LocalKey(kLocalRecordPrefix, entity, id.text())));
  if (!row.has_value()) return local;
  TIDEMARK_ASSIGN_OR_RETURN(local.record, DecodeLocalRecord(*row));
  TIDEMARK_ASSIGN_OR_RETURN(const auto image,
                            store_.GetRow(LocalKey(kImagePrefix, entity, id.text())));
  if (image.has_value()) {
    TIDEMARK_ASSIGN_OR_RETURN(local.image, DecodeImage(*image));
  }
  return local;
}

Result<std::optional<Record>> LocalChanges::Visible(std::string_view entity,
                                                    const RecordId& id) const {
  const auto shown = visible_.find(Key(entity, id.text()));
  if (shown != visible_.end()) return shown->second;
  return store_.Get(entity, id);
}

void LocalChanges::Begin(LocalState* local, Image image) {
  local->record.emplace();
  local->record->base = image.present ? image.head : kSequenceZero;
  local->image = std::move(image);
  local->image_changed = true;
  ++state_.records;
}

void LocalChanges::End(std::string_view entity, LocalState* local) {
  const Image& image = local->image;
  const RecordId id(local->id.text(), image.present ? image.id_form : local->id.form());
  if (image.present) {
    batch_.Put(entity,
               id,
               image.value,
               image.value_kind,
               {},
               OriginVersion{.birth = image.birth, .head = image.head});
    See(entity,
        id,
        Record{.id = id.text(),
               .id_form = id.form(),
               .value_kind = image.value_kind,
               .value = image.value,
               .version = {},
               .birth = {},
               .writer_time = {},
               .origin = OriginVersion{image.birth, image.head}});
  } else {
    Hide(entity, id);
  }
  local->record.reset();
  local->image = {};
  --state_.records;
}

void LocalChanges::Show(std::string_view entity,
                        const RecordId& id,
                        const OutboxOperation& operation) {
  const WriteCondition condition{.if_newer = operation.if_newer};
  if (operation.op == WriteOp::kDelete) {
    batch_.Delete(entity, id, condition);
    See(entity, id, std::nullopt);
    return;
  }
  if (operation.op == WriteOp::kAppend) {
    batch_.Append(entity, id, operation.value, operation.value_kind);
  } else {
    batch_.Put(entity, id, operation.value, operation.value_kind, condition);
  }
  See(entity,
      id,
      Record{.id = id.text(),
             .id_form = id.form(),
             .value_kind = operation.value_kind,
             .value = operation.value,
             .version = {},
             .birth = {},
             .writer_time = operation.if_newer,
             .origin = {}});
}

void LocalChanges::ShowAgain(std::string_view entity,
                             const RecordId& id,
                             const OutboxOperation& operation) {
  // What is put without a timestamp takes away the one that is there, which may be the same.
  if (operation.if_newer.has_value()) batch_.Put(entity, id, "");
  Show(entity, id, operation);
}

void LocalChanges::Hide(std::string_view entity, const RecordId& id) {
  batch_.Delete(entity, id);
  See(entity, id, std::nullopt);
}

void LocalChanges::See(std::string_view entity, const RecordId& id, std::optional<Record> record) {
  const auto [shown, is_new] = visible_.insert_or_assign(Key(entity, id.text()), std::move(record));
  if (is_new) seen_.push_back(shown->first);
}

Result<std::vector<ReplicaChange>> LocalChanges::Changed(ChangeOrigin origin) const {
  std::vector<ReplicaChange> changed;
  for (const Key& key : seen_) {
    const std::optional<Record>& after = visible_.at(key);
    TIDEMARK_ASSIGN_OR_RETURN(const auto before, store_.Get(key.first, RecordId(key.second)));
    if (!before.has_value() && !after.has_value()) continue;
    ReplicaChange change{.entity = key.first, .origin = origin};
    if (!before.has_value()) {
      change.id = RecordId(key.second, after->id_form);
    } else if (!after.has_value()) {
      change.kind = ChangeKind::kDeleted;
      change.id = RecordId(key.second, before->id_form);
    } else if (before->value != after->value || before->value_kind != after->value_kind) {
      change.kind = ChangeKind::kUpdated;
      change.id = RecordId(key.second, after->id_form);
    } else {
      continue;
    }
    changed.push_back(std::move(change));
  }
  return changed;
}

void LocalChanges::PutOperation(const OutboxOperation& operation) {
  operations_[operation.number] = operation;
  batch_.Put(kOutboxEntity,
             RecordId(OperationId(operation.number)),
             EncodeOperation(operation),
             ValueKind::kJson);
}

void LocalChanges::EraseOperation(uint64_t number) {
  operations_[number] = std::nullopt;
  batch_.Delete(kOutboxEntity, RecordId(OperationId(number)));
}

Result<std::optional<OutboxOperation>> LocalChanges::FindOperation(uint64_t number) const {
  const auto known = operations_.find(number);
  if (known != operations_.end()) return known->second;
  TIDEMARK_ASSIGN_OR_RETURN(const auto row,
                            store_.Get(kOutboxEntity, RecordId(OperationId(number))));
  if (!row.has_value()) return std::optional<OutboxOperation>{};
  TIDEMARK_ASSIGN_OR_RETURN(OutboxOperation operation, DecodeOperation(row->value));
  return std::optional<OutboxOperation>(std::move(operation));
}

void LocalChanges::Fence(std::string_view entity, const RecordId& id, SequenceNumber head) {
  batch_.SetRow(LocalKey(kFencePrefix, entity, id.text()), std::to_string(head.value()));
  ++state_.fences;
}

Status LocalChanges::Commit() {
  for (const auto& [key, local] : locals_) {
    const auto& [entity, id] = key;
    const std::string record_key = LocalKey(kLocalRecordPrefix, entity, id);
    const std::string image_key = LocalKey(kImagePrefix, entity, id);
    if (local.record.has_value()) {
      batch_.SetRow(record_key, EncodeLocalRecord(*local.record));
      if (local.image_changed) batch_.SetRow(image_key, EncodeImage(local.image));
    } else if (stored_.records > 0) {
      batch_.DeleteRow(record_key);
      batch_.DeleteRow(image_key);
    }
  }
  batch_.SetRow(kOutboxStateKey, EncodeOutboxState(state_));
  CommitOptions options;
  options.rewrite_events = true;
  options.local = true;
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(batch_, options).status());
  stored_ = state_;
  return {};
}

}  // namespace tidemark::internal
