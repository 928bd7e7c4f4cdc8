#include "db/write_batch.h"

#include "db/tuning.h"

namespace tidemark {
namespace {

constexpr size_t kOperationIdBytesMax = 128;
constexpr size_t kRowBytesMax = 8 * 1024 * 1024;

}  // namespace

void WriteBatch::Add(WriteOp op,
                     std::string_view entity,
                     std::string_view id,
                     IdForm form,
                     std::string_view value,
                     ValueKind kind,
                     const WriteCondition& condition,
                     const std::optional<OriginVersion>& origin) {
  if (!oversized_.ok()) return;
  const std::string where = "operation " + std::to_string(operations_.size());
  if (entity.size() > kNameBytesMax) {
    oversized_ = {ErrorCode::kTooLarge, where + ": an entity's name has at most 64 bytes"};
  } else if (id.size() > kIdBytesMax) {
    oversized_ = {ErrorCode::kTooLarge, where + ": an id has at most 512 bytes"};
  } else if (const size_t most = IsLocalName(entity) ? kLocalValueBytesMax : kValueBytesMax;
             value.size() > most) {
    oversized_ = {ErrorCode::kTooLarge,
                  where + ": a value has at most " + (most == kValueBytesMax ? "1" : "2") +
                      " MiB, this one has " + std::to_string(value.size()) + " bytes"};
  } else if (operations_.size() >= tuning::kBatchOperations) {
    oversized_ = {ErrorCode::kTooLarge, "a write batch has at most 100,000 operations"};
  } else if (arena_.size() + entity.size() + id.size() + value.size() > tuning::kBatchBytes) {
    oversized_ = {ErrorCode::kTooLarge, "a write batch has at most 64 MiB"};
  }
  if (!oversized_.ok()) return;

  Stored stored{.begin = arena_.size(),
                .value_size = static_cast<uint32_t>(value.size()),
                .id_size = static_cast<uint16_t>(id.size()),
                .entity_size = static_cast<uint8_t>(entity.size()),
                .op = op,
                .id_form = form,
                .value_kind = kind,
                .extra = -1};
  const bool conditional = condition.if_absent || condition.renew ||
                           condition.if_version.has_value() || condition.if_newer.has_value();
  if (conditional || origin.has_value()) {
    stored.extra = static_cast<int32_t>(extras_.size());
    extras_.push_back({condition, origin});
  }
  arena_.append(entity).append(id).append(value);
  operations_.push_back(stored);
}

WriteBatch& WriteBatch::Put(std::string_view entity,
                            const RecordId& id,
                            std::string_view value,
                            ValueKind kind,
                            const WriteCondition& condition,
                            const std::optional<OriginVersion>& origin) {
  Add(WriteOp::kPut, entity, id.text(), id.form(), value, kind, condition, origin);
  return *this;
}

WriteBatch& WriteBatch::Delete(std::string_view entity,
                               const RecordId& id,
                               const WriteCondition& condition) {
  Add(WriteOp::kDelete, entity, id.text(), id.form(), {}, ValueKind::kBytes, condition, {});
  return *this;
}

WriteBatch& WriteBatch::Append(std::string_view entity,
                               const RecordId& id,
                               std::string_view value,
                               ValueKind kind,
                               const std::optional<OriginVersion>& origin) {
  Add(WriteOp::kAppend, entity, id.text(), id.form(), value, kind, {}, origin);
  return *this;
}

WriteBatch& WriteBatch::Append(std::string_view entity, std::string_view value, ValueKind kind) {
  Add(WriteOp::kAppend, entity, {}, IdForm::kText, value, kind, {}, {});
  return *this;
}

WriteBatch& WriteBatch::SetRow(std::string_view key, std::string_view value) {
  if (value.size() > kRowBytesMax && oversized_.ok()) {
    oversized_ = {ErrorCode::kTooLarge, "a row has at most 8 MiB"};
  }
  rows_.push_back({std::string(key), std::string(value)});
  return *this;
}

WriteBatch& WriteBatch::DeleteRow(std::string_view key) {
  rows_.push_back({std::string(key), std::nullopt});
  return *this;
}

WriteBatch& WriteBatch::AddRows(const WriteBatch& other) {
  rows_.insert(rows_.end(), other.rows_.begin(), other.rows_.end());
  return *this;
}

WriteBatch& WriteBatch::SetOperationId(std::string_view id) {
  if (id.empty() || id.size() > kOperationIdBytesMax) {
    oversized_ = {ErrorCode::kInvalidArgument, "an operation id has 1 to 128 bytes"};
  }
  operation_id_ = id;
  return *this;
}

void WriteBatch::Clear() {
  arena_.clear();
  operations_.clear();
  extras_.clear();
  rows_.clear();
  operation_id_.clear();
  oversized_ = {};
}

WriteOperation WriteBatch::operation(size_t index) const {
  const Stored& stored = operations_[index];
  const std::string_view bytes = std::string_view(arena_).substr(
      stored.begin, size_t{stored.entity_size} + stored.id_size + stored.value_size);
  WriteOperation operation;
  operation.op = stored.op;
  operation.id_form = stored.id_form;
  operation.value_kind = stored.value_kind;
  operation.entity = bytes.substr(0, stored.entity_size);
  operation.id = bytes.substr(stored.entity_size, stored.id_size);
  operation.value = bytes.substr(size_t{stored.entity_size} + stored.id_size);
  if (stored.extra >= 0) {
    const Extra& extra = extras_[static_cast<size_t>(stored.extra)];
    operation.condition = extra.condition;
    operation.origin = extra.origin;
  }
  return operation;
}

void CommitContext::AddRows(const WriteBatch& batch) {
  for (const WriteBatch::Row& row : batch.rows()) {
    if (row.value.has_value()) {
      SetRow(row.key, *row.value);
    } else {
      DeleteRow(row.key);
    }
  }
}

}  // namespace tidemark
