#include "db/internal/commit_group.h"

#include <algorithm>
#include <cassert>
#include <chrono>

#include "db/internal/batch_evaluation.h"
#include "db/internal/rocks_status.h"
#include "db/tuning.h"
#include "format/coding.h"
#include "format/record.h"

namespace tidemark::internal {
namespace {

/// What a batch says, for telling a repetition from another batch with the same operation id.
Hash128 BatchHash(const WriteBatch& batch) {
  std::string text;
  for (size_t i = 0; i < batch.size(); ++i) {
    const WriteOperation operation = batch.operation(i);
    text.push_back(static_cast<char>(operation.op));
    text.push_back(static_cast<char>(operation.value_kind));
    AppendBytes(&text, operation.entity);
    AppendBytes(&text, operation.id);
    AppendBytes(&text, operation.value);
    text.push_back(static_cast<char>(operation.id_form));
    const WriteCondition& condition = operation.condition;
    text.push_back(static_cast<char>((condition.if_absent ? 1 : 0) | (condition.renew ? 2 : 0) |
                                     (condition.if_version.has_value() ? 4 : 0) |
                                     (condition.if_newer.has_value() ? 8 : 0) |
                                     (operation.origin.has_value() ? 16 : 0)));
    AppendVarint(&text, condition.if_version.value_or(kSequenceZero).value());
    AppendVarint(&text, static_cast<uint64_t>(condition.if_newer.value_or(0)));
    AppendVarint(&text, operation.origin.value_or(OriginVersion()).birth.value());
    AppendVarint(&text, operation.origin.value_or(OriginVersion()).head.value());
  }
  for (const WriteBatch::Row& row : batch.rows()) {
    AppendBytes(&text, row.key);
    text.push_back(row.value.has_value() ? 1 : 0);
    AppendBytes(&text, row.value.value_or(std::string()));
  }
  return Checksum128(text);
}

/// Whether the batch writes to an entity that is not local.
bool WritesServed(const WriteBatch& batch) {
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!IsLocalName(batch.operation(i).entity)) return true;
  }
  return false;
}

}  // namespace

PinnedCut::~PinnedCut() {
  if (!pinned_) return;
  const std::unique_lock lock(state_.state_mutex);
  state_.liveness.Unpin(sequence_);
}

void PinnedCut::Pin() {
  state_.liveness.Pin(sequence_);
  pinned_ = true;
}

/// What a precondition sees: the rows of the group so far, and room for its own.
class CommitGroup::Context final : public CommitContext {
 public:
  explicit Context(const CommitGroup& group) : group_(group) {}

  SequenceNumber sequence() const override { return group_.head_.sequence; }
  Hash128 chain() const override { return group_.head_.chain; }
  Result<std::optional<std::string>> GetRow(std::string_view key) const override {
    const std::string full = row_key::Upper(key);
    if (const auto found = rows_.find(full); found != rows_.end()) return found->second;
    return group_.GetRow(full);
  }
  void SetRow(std::string_view key, std::string_view value) override {
    rows_[row_key::Upper(key)] = std::string(value);
  }
  void DeleteRow(std::string_view key) override { rows_[row_key::Upper(key)] = std::nullopt; }

  std::map<std::string, std::optional<std::string>>& rows() { return rows_; }

 private:
  const CommitGroup& group_;
  std::map<std::string, std::optional<std::string>> rows_;
};

CommitGroup::CommitGroup(StoreState& state)
    : state_(state), catalog_(state.GetCatalog()), head_(state.head) {}

CommitGroup::~CommitGroup() {
  // After a failed write nobody knows whether it will be back at the next open, and then its
  // entities need their families.
  if (!attempted_) entities_.clear();
  DropUnusedEntities();
}

void CommitGroup::DropUnusedEntities() {
  std::erase_if(provisional_, [this](const auto& made) {
    const EntityState& entity = *made.second;
    if (entities_.contains(entity.number)) return false;
    if (catalog_->Find(entity.number) != nullptr) return true;  // still the dropped one
    // What cannot be dropped now is dropped at the next open.
    state_.db->DropColumnFamily(entity.log.get()).PermitUncheckedError();
    state_.db->DropColumnFamily(entity.index.get()).PermitUncheckedError();
    return true;
  });
}

void CommitGroup::SetEntity(EntityState entity) {
  rows_[row_key::Entity(entity.number)] = EncodeEntity(entity);
  const EntityNumber number = entity.number;
  entities_[number] = std::make_shared<const EntityState>(std::move(entity));
}

void CommitGroup::ExtendLog(SequenceNumber last, std::string_view checksums) {
  assert(group_rows_.empty() && last >= head_.sequence);
  if (last == head_.sequence) return;
  head_.sequence = last;
  head_.chain = ChainHash(head_.chain, checksums);
}

Result<const EntityState*> CommitGroup::ResolveEntity(std::string_view name, WriteOp op) {
  if (const EntityPtr entity = catalog_->Find(name)) return entity.get();
  const EntityKind kind = op == WriteOp::kAppend ? EntityKind::kIncremental : EntityKind::kSnapshot;
  if (const auto found = provisional_.find(name); found != provisional_.end()) {
    return found->second.get();
  }
  if (IsLocalName(name)) return MakeLocalEntity(name, kind);
  TIDEMARK_RETURN_IF_ERROR(CheckName(name));
  size_t of_kind = catalog_->CountOfKind(kind);
  for (const auto& [made_name, made] : provisional_) {
    if (!IsLocal(made->number) && made->declaration.kind == kind) ++of_kind;
  }
  if (of_kind >= kEntitiesOfAKindMax) {
    return {ErrorCode::kTooLarge,
            "there are " + std::to_string(kEntitiesOfAKindMax) + " entities of this kind already"};
  }
  EntityDeclaration declaration;
  declaration.kind = kind;
  if (const EntityPtr dropped = catalog_->FindDropped(name)) {
    const auto& revived = provisional_[std::string(name)] =
        std::make_shared<const EntityState>(Revived(*dropped, declaration, head_.sequence));
    return revived.get();
  }
  return MakeProvisional(catalog_->next_number(), name, declaration);
}

Result<const EntityState*> CommitGroup::MakeLocalEntity(std::string_view name, EntityKind kind) {
  TIDEMARK_RETURN_IF_ERROR(CheckLocalName(name));
  EntityDeclaration declaration;
  declaration.kind = kind;
  return MakeProvisional(catalog_->next_local_number(), name, declaration);
}

Result<const EntityState*> CommitGroup::MakeProvisional(EntityNumber first_free,
                                                        std::string_view name,
                                                        const EntityDeclaration& declaration) {
  const auto number = static_cast<EntityNumber>(first_free + made_entities_++);
  TIDEMARK_ASSIGN_OR_RETURN(EntityState made, MakeEntity(state_, number, name, declaration));
  const auto& kept = provisional_[std::string(name)] =
      std::make_shared<const EntityState>(std::move(made));
  return kept.get();
}

Result<std::optional<std::string>> CommitGroup::GetRow(std::string_view key) const {
  if (const auto found = rows_.find(key); found != rows_.end()) return found->second;
  return ReadRow(state_, key);
}

IndexEntry CommitGroup::FindInGroup(EntityNumber entity,
                                    std::string_view id,
                                    uint64_t hash,
                                    bool* found) {
  if (group_rows_.empty()) return {};
  for (; overlaid_ < group_rows_.size(); ++overlaid_) {
    const GroupRow& row = group_rows_[overlaid_];
    overlay_.Set(row.entity->number, row.id, row.hash, row.entry);
  }
  const IndexEntry* entry = overlay_.Find(entity, id, hash);
  *found = entry != nullptr;
  return entry == nullptr ? IndexEntry{} : *entry;
}

Result<std::optional<CommitResult>> CommitGroup::CheckOperationId(const WriteBatch& batch,
                                                                  Hash128* hash) const {
  *hash = BatchHash(batch);
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, GetRow(row_key::Operation(batch.operation_id())));
  if (!row.has_value()) return std::optional<CommitResult>{};
  ByteReader reader(*row);
  const Hash128 first_hash = reader.Hash();
  CommitResult result;
  result.sequence = reader.Sequence();
  result.applied = reader.Varint();
  result.unchanged = reader.Varint();
  result.replayed = true;
  const uint64_t outcomes = reader.empty() ? 0 : reader.Varint();
  for (uint64_t i = 0; i < outcomes && reader.ok(); ++i) {
    OperationOutcome& outcome = result.outcomes.emplace_back();
    outcome.outcome = static_cast<WriteOutcome>(reader.Varint());
    outcome.version = SequenceNumber(reader.Varint());
    outcome.id = reader.Bytes();
  }
  if (!reader.Finished()) return {ErrorCode::kCorruption, "an idempotency row is damaged"};
  if (first_hash != *hash) {
    return {ErrorCode::kIdempotencyMismatch,
            "operation id " + batch.operation_id() + " was used before for another batch"};
  }
  return std::optional<CommitResult>(result);
}

void CommitGroup::KeepOperationId(const WriteBatch& batch,
                                  const Hash128& hash,
                                  const CommitResult& result) {
  const int64_t now = state_.runtime->clock().WallMilliseconds();
  std::string row;
  AppendHash(&row, hash);
  AppendVarint(&row, result.sequence.value());
  AppendVarint(&row, result.applied);
  AppendVarint(&row, result.unchanged);
  if (!result.outcomes.empty()) {
    AppendVarint(&row, result.outcomes.size());
    for (const OperationOutcome& outcome : result.outcomes) {
      AppendVarint(&row, static_cast<uint64_t>(outcome.outcome));
      AppendVarint(&row, outcome.version.value());
      AppendBytes(&row, outcome.id);
    }
  }
  rows_[row_key::Operation(batch.operation_id())] = std::move(row);
  std::string order;
  AppendVarint(&order, static_cast<uint64_t>(now));
  AppendBytes(&order, batch.operation_id());
  rows_[row_key::OperationOrder(head_.operations++)] = std::move(order);

  // Each new id retires up to two old ones, so the number kept falls to its bounds by itself.
  for (int i = 0; i < 2 && head_.operations_first < head_.operations; ++i) {
    const std::string key = row_key::OperationOrder(head_.operations_first);
    const auto oldest = GetRow(key);
    if (!oldest.ok() || !oldest->has_value()) break;
    ByteReader reader(**oldest);
    const auto time = static_cast<int64_t>(reader.Varint());
    const bool too_many = head_.operations - head_.operations_first > tuning::kOperationIds;
    if (!too_many && now - time < tuning::kOperationIdMilliseconds) break;
    rows_[row_key::Operation(reader.Bytes())] = std::nullopt;
    rows_[key] = std::nullopt;
    ++head_.operations_first;
  }
}

Result<CommitResult> CommitGroup::Add(const WriteBatch& batch, const CommitOptions& options) {
  Result<CommitResult> result = AddBatch(batch, options);
  DropUnusedEntities();
  return result;
}

Result<CommitResult> CommitGroup::AddBatch(const WriteBatch& batch, const CommitOptions& options) {
  if (state_.is_replica && !options.rewrite_events && WritesServed(batch)) {
    return CheckNoReplica(state_);
  }
  CommitResult result;
  result.sequence = head_.sequence;
  Hash128 batch_hash;
  if (!batch.operation_id().empty()) {
    TIDEMARK_ASSIGN_OR_RETURN(auto first_answer, CheckOperationId(batch, &batch_hash));
    if (first_answer.has_value()) return *first_answer;
  }
  Context context(*this);
  if (options.precondition) TIDEMARK_RETURN_IF_ERROR(options.precondition(context));

  BatchEvaluation evaluation(*this, batch, options);
  TIDEMARK_RETURN_IF_ERROR(evaluation.Run());
  if (head_.sequence + evaluation.change_bound() >= state_.number_limit) {
    if (state_.number_limit < kSequenceLimit) {
      return {ErrorCode::kBusy, "a replacement is being made; write again when it is done"};
    }
    return {ErrorCode::kTooLarge, "the store has used up its sequence numbers"};
  }

  // From here on nothing fails.
  if (options.pin_cut) {
    assert(group_rows_.empty() && "a pin begins a group");
    result.cut = std::make_shared<PinnedCut>(state_, head_.sequence, head_.chain);
    pins_.push_back(
        {0, std::static_pointer_cast<PinnedCut>(std::const_pointer_cast<Cut>(result.cut))});
    head_.exposed = std::max(head_.exposed, head_.sequence);
    std::string chain;
    AppendHash(&chain, head_.chain);
    rows_[row_key::Position(head_.sequence)] = std::move(chain);
  }
  const size_t first_row = group_rows_.size();
  evaluation.Emit(&result);
  if (options.exposes) head_.exposed = head_.sequence;
  for (size_t i = first_row; i < group_rows_.size(); ++i) {
    const EntityNumber number = group_rows_[i].entity->number;
    const EntityPtr existing = catalog_->Find(number);
    if ((existing == nullptr || existing->dropped) && !entities_.contains(number)) {
      SetEntity(*group_rows_[i].entity);
    }
  }
  if (group_rows_.size() > first_row) result.sequence = head_.sequence;
  for (const WriteBatch::Row& row : batch.rows()) rows_[row_key::Upper(row.key)] = row.value;
  for (auto& [key, value] : context.rows()) rows_[key] = std::move(value);
  if (!batch.operation_id().empty()) KeepOperationId(batch, batch_hash, result);
  ++batches_;
  return result;
}

void CommitGroup::EncodeSegments(rocksdb::WriteBatch* write) {
  std::map<EntityNumber, std::vector<GroupRow*>> by_entity;
  for (GroupRow& row : group_rows_) by_entity[row.entity->number].push_back(&row);
  BatchBuilder builder;
  std::string checksums;
  for (auto& [number, rows] : by_entity) {
    for (size_t begin = 0; begin < rows.size();) {
      const SequenceNumber first = rows[begin]->entry.head;
      const uint16_t name = builder.Entity(rows[begin]->entity->name);
      size_t end = begin;
      while (end < rows.size() && end - begin < tuning::kSegmentRecords &&
             (end == begin || builder.payload_bytes() < tuning::kSegmentBytes)) {
        GroupRow& row = *rows[end++];
        row.entry.distance = static_cast<uint32_t>(row.entry.head - first);
        const IndexExtra* extra = row.entry.extra.get();
        BatchRow encoded{.entity = name,
                         .op = row.op,
                         .id_form = row.id_form,
                         .value_kind = row.value_kind,
                         .sequence = row.entry.head,
                         .birth = row.entry.birth,
                         .superseded = row.superseded,
                         .id = row.id,
                         .value = row.value,
                         .writer_time = {},
                         .ended = {}};
        if (extra != nullptr) {
          encoded.writer_time = extra->writer_time;
          encoded.ended = extra->ended;
          encoded.stays = extra->stays;
          if (extra->origin.has_value()) {
            encoded.origin_birth = extra->origin->birth;
            encoded.origin_head = extra->origin->head;
          }
        }
        builder.Add(encoded);
      }
      const std::string segment = builder.Finish({.kind = BatchKind::kSegment});
      std::string key;
      AppendBigEndian64(&key, first.value());
      write->Put(rows[begin]->entity->log.get(), key, segment).PermitUncheckedError();
      AppendHash(&checksums, BatchChecksum(segment));
      if (IsSmallSegment(end - begin)) small_segments_.emplace_back(number, first);
      begin = end;
    }
  }
  if (!checksums.empty()) head_.chain = ChainHash(head_.chain, checksums);
}

Status CommitGroup::Write(bool sync) {
  TIDEMARK_RETURN_IF_ERROR(state_.write_error);
  rocksdb::WriteBatch write;
  EncodeSegments(&write);
  ++head_.commit;
  rows_[row_key::kHead] = EncodeHead(head_);
  for (const auto& [key, value] : rows_) {
    const rocksdb::Status added = value.has_value() ? write.Put(state_.rows.get(), key, *value)
                                                    : write.Delete(state_.rows.get(), key);
    if (!added.ok()) return FromRocks(added, "building a commit");
  }
  for (const std::vector<JoinedRow>* rows : joined_) {
    for (const JoinedRow& row : *rows) {
      const rocksdb::Status added = row.value.has_value()
                                        ? write.Put(row.family, row.key, *row.value)
                                        : write.Delete(row.family, row.key);
      if (!added.ok()) return FromRocks(added, "building a commit");
    }
  }
  rocksdb::WriteOptions options;
  options.sync = sync && state_.syncing();
  attempted_ = true;
  const MonotonicTime begin = state_.runtime->clock().Now();
  const rocksdb::Status written = state_.db->Write(options, &write);
  if (!written.ok()) {
    state_.write_error = FromRocks(written, "writing a commit; reopen the store to go on");
    return state_.write_error;
  }
  state_.head = head_;
  ++state_.groups;
  state_.commits += batches_;
  if (!options.sync) return {};

  ++state_.syncs;
  const auto took = state_.runtime->clock().Now() - begin;
  state_.sync_micros +=
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  state_.durable = head_.sequence.value();
  state_.synced_commit = head_.commit;
  // The guard may lag one group behind, never more: then a loss of the log shows.
  Status guarded;
  if (state_.guarded_commit > 0) {
    guarded = state_.guard->Cover(SequenceNumber(state_.guarded_commit));
  }
  state_.guard->Advance(SequenceNumber(head_.commit));
  state_.guarded_commit = head_.commit;
  if (!guarded.ok()) state_.write_error = guarded.WithContext("writing the guard");
  return {};
}

void CommitGroup::Publish() {
  {
    const std::unique_lock lock(state_.state_mutex);
    for (const Pin& pin : pins_) pin.cut->Pin();
    for (const auto& [number, entity] : entities_) {
      state_.catalog = state_.catalog->With(entity);
    }
    for (GroupRow& row : group_rows_) {
      const EntityNumber entity = row.entity->number;
      if (row.superseded != kSequenceZero) {
        state_.liveness.Supersede(entity, row.superseded, row.entry.head);
        ++state_.dead_rows[entity];
      }
      if (row.entry.state == IndexState::kLive) state_.liveness.AddLive(entity, row.entry.head);
      if (row.entry.state == IndexState::kTombstone) {
        state_.liveness.AddTombstone(entity, row.entry.head);
      }
      state_.window.Set(entity, row.id, row.hash, std::move(row.entry));
      if (!row.entity->keys.empty()) ++state_.unindexed;
    }
    for (const auto& [number, key] : small_segments_) state_.small_segments[number].Note(key);
    for (const auto& publish : on_publish_) publish(state_);
    state_.visible = head_.sequence;
    state_.visible_chain = head_.chain;
    if (state_.window.size() >= state_.options.window_records) state_.fold_wanted = true;
  }
  const bool index_lags = state_.unindexed >= tuning::kPartIndexLag;
  if (index_lags) state_.unindexed = 0;
  if (state_.fold_wanted || index_lags) state_.wake_upkeep();
  if (state_.waiters > 0) {
    const std::lock_guard lock(state_.wait_mutex);
    state_.committed.notify_all();
  }
}

}  // namespace tidemark::internal
