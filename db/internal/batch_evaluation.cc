#include "db/internal/batch_evaluation.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "db/internal/kept_times.h"
#include "db/internal/record_rules.h"
#include "db/internal/rocks_status.h"
#include "format/record.h"

namespace tidemark::internal {
namespace {

Status ConditionFailed(const WriteOperation& operation, size_t index, std::string_view what) {
  return {ErrorCode::kConditionFailed,
          "operation " + std::to_string(index) + ", " + std::string(operation.entity) + " " +
              std::string(operation.id) + ": " + std::string(what)};
}

/// Open addressing over the slots of one batch, so that operations on one id find each other.
class SlotTable {
 public:
  explicit SlotTable(size_t operations) {
    size_t size = 16;
    while (size < operations * 2) size *= 2;
    table_.assign(size, 0);
  }

  /// Position in the table for `hash`; `is_same` tells whether slot n is the one looked for.
  template <typename IsSame>
  uint32_t& Probe(uint64_t hash, const IsSame& is_same) {
    const size_t mask = table_.size() - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      if (table_[at] == 0 || is_same(table_[at] - 1)) return table_[at];
    }
  }

 private:
  std::vector<uint32_t> table_;  // slot + 1; 0 is empty
};

using IdSet = std::set<std::pair<const EntityState*, std::string_view>>;

}  // namespace

Status BatchEvaluation::CollectSlots() {
  steps_.resize(batch_.size());
  slots_.reserve(batch_.size());
  SlotTable table(batch_.size());
  std::string_view last_name;
  const EntityState* entity = nullptr;
  for (size_t i = 0; i < batch_.size(); ++i) {
    const WriteOperation operation = batch_.operation(i);
    if (entity == nullptr || operation.entity != last_name) {
      auto resolved = group_.ResolveEntity(operation.entity, operation.op);
      if (!resolved.ok()) return resolved.status();
      entity = *resolved;
      last_name = operation.entity;
    }
    const bool is_event = entity->declaration.kind == EntityKind::kIncremental;
    const bool fits = operation.op == WriteOp::kAppend ? is_event : !is_event || rewrite_events_;
    if (!fits) {
      return {ErrorCode::kWrongKind,
              "operation " + std::to_string(i) + ": " + entity->name +
                  (is_event ? " is incremental: append to it" : " is a snapshot: put into it")};
    }
    steps_[i].entity = entity;
    if (operation.id.empty() && operation.op == WriteOp::kAppend) continue;
    const uint64_t hash = KeyHash(entity->number, operation.id);
    uint32_t& at = table.Probe(hash, [&](uint32_t slot) {
      return slots_[slot].hash == hash && slots_[slot].entity == entity &&
             slots_[slot].id == operation.id;
    });
    if (at == 0) {
      slots_.push_back({.entity = entity,
                        .id = operation.id,
                        .hash = hash,
                        .before = {},
                        .value_hash = {},
                        .writer_time = {},
                        .kept_time = {},
                        .origin = {},
                        .stays = {}});
      at = static_cast<uint32_t>(slots_.size());
    }
    steps_[i].slot = at;
  }
  return {};
}

Status BatchEvaluation::LookUp() {
  StoreState& state = group_.state_;
  std::vector<uint32_t> missing;
  {
    const std::shared_lock lock(state.state_mutex);
    for (uint32_t i = 0; i < slots_.size(); ++i) {
      Slot& slot = slots_[i];
      bool found = false;
      slot.before = group_.FindInGroup(slot.entity->number, slot.id, slot.hash, &found);
      if (found) continue;
      const IndexEntry* entry = state.window.Find(slot.entity->number, slot.id, slot.hash);
      if (entry == nullptr) {
        missing.push_back(i);
      } else {
        slot.before = Validated(state, slot.entity->number, *entry);
      }
    }
  }
  // The window had no word on these; a fold that ends now only moves what was in it. Ids are looked
  // up in order, entity by entity, so that neighbours share blocks.
  std::sort(missing.begin(), missing.end(), [this](uint32_t a, uint32_t b) {
    return slots_[a].entity != slots_[b].entity
               ? slots_[a].entity->number < slots_[b].entity->number
               : slots_[a].id < slots_[b].id;
  });
  std::vector<rocksdb::Slice> keys;
  std::vector<rocksdb::PinnableSlice> values;
  std::vector<rocksdb::Status> statuses;
  for (size_t begin = 0; begin < missing.size();) {
    const EntityState* entity = slots_[missing[begin]].entity;
    size_t end = begin;
    keys.clear();
    for (; end < missing.size() && slots_[missing[end]].entity == entity; ++end) {
      keys.emplace_back(slots_[missing[end]].id.data(), slots_[missing[end]].id.size());
    }
    values.clear();
    values.resize(keys.size());
    statuses.assign(keys.size(), rocksdb::Status::OK());
    state.db->MultiGet(rocksdb::ReadOptions(),
                       entity->index.get(),
                       keys.size(),
                       keys.data(),
                       values.data(),
                       statuses.data(),
                       /*sorted_input=*/true);
    const std::shared_lock lock(state.state_mutex);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (statuses[i].IsNotFound()) continue;
      if (!statuses[i].ok()) return FromRocks(statuses[i], "reading the index of " + entity->name);
      IndexEntry entry;
      if (!DecodeIndexEntry({values[i].data(), values[i].size()}, &entry)) {
        return {ErrorCode::kCorruption, "the index of " + entity->name + " is damaged"};
      }
      slots_[missing[begin + i]].before = Validated(state, entity->number, std::move(entry));
    }
    begin = end;
  }
  for (Slot& slot : slots_) {
    slot.live = slot.before.live();
    slot.value_hash = slot.before.hash;
    slot.writer_time = slot.before.writer_time();
    slot.origin = slot.before.origin();
  }
  TIDEMARK_RETURN_IF_ERROR(LoadStays());
  return LoadKeptTimes();
}

Status BatchEvaluation::LoadStays() {
  for (Slot& slot : slots_) {
    if (slot.entity->keys.empty() || !slot.before.live()) continue;
    if (slot.before.head > group_.state_.head.sequence) {  // of this group, which says all keys
      slot.stays = slot.before.stays();
      continue;
    }
    TIDEMARK_ASSIGN_OR_RETURN(slot.stays,
                              StaysOf(group_.state_, *slot.entity, slot.before, slot.id));
  }
  return {};
}

Status BatchEvaluation::LoadKeptTimes() {
  for (size_t i = 0; i < batch_.size(); ++i) {
    if (steps_[i].slot == 0 || !batch_.operation(i).condition.if_newer.has_value()) continue;
    Slot& slot = slots_[steps_[i].slot - 1];
    if (slot.before.state == IndexState::kAbsent) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const auto row,
                              group_.GetRow(row_key::WriterTime(slot.entity->number, slot.id)));
    if (!row.has_value()) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const KeptTime kept, DecodeKeptTime(*row));
    if (kept.head != slot.before.head) continue;
    slot.writer_time = kept.time;
    slot.kept_time = kept.time;
  }
  return {};
}

Status BatchEvaluation::CheckCondition(const Slot& slot,
                                       const WriteOperation& operation,
                                       size_t index) const {
  const WriteCondition& condition = operation.condition;
  if (condition.if_absent && slot.live) {
    return ConditionFailed(operation, index, "the record exists");
  }
  if (condition.if_version.has_value()) {
    if (!slot.live) return ConditionFailed(operation, index, "the record does not exist");
    if (slot.final_op >= 0 || slot.before.head != *condition.if_version) {
      return ConditionFailed(operation,
                             index,
                             "the record is at version " +
                                 std::to_string(slot.before.head.value()) + ", not " +
                                 std::to_string(condition.if_version->value()));
    }
  }
  if (condition.if_newer.has_value() && slot.writer_time.has_value() &&
      *condition.if_newer <= *slot.writer_time) {
    return ConditionFailed(operation,
                           index,
                           "its timestamp " + std::to_string(*condition.if_newer) +
                               " is not newer than " + std::to_string(*slot.writer_time));
  }
  return {};
}

Status BatchEvaluation::Evaluate() {
  for (size_t i = 0; i < batch_.size(); ++i) {
    const WriteOperation operation = batch_.operation(i);
    Step& step = steps_[i];
    if (operation.op == WriteOp::kAppend) {
      EvaluateAppend(step, operation, i);
      continue;
    }
    Slot& slot = slots_[step.slot - 1];
    TIDEMARK_RETURN_IF_ERROR(CheckCondition(slot, operation, i));
    EvaluateWrite(slot, step, operation, i);
  }
  return {};
}

void BatchEvaluation::EvaluateWrite(Slot& slot,
                                    Step& step,
                                    const WriteOperation& operation,
                                    size_t index) const {
  const std::optional<int64_t> time = operation.condition.if_newer;
  if (operation.op == WriteOp::kDelete) {
    if (!slot.live) {
      if (time.has_value()) slot.writer_time = time;
      return;
    }
    step.outcome = WriteOutcome::kDeleted;
    slot.live = false;
    slot.origin = std::nullopt;
  } else {
    step.value_hash =
        ValueHash(group_.state_.identity.secret, operation.value_kind, operation.value);
    const bool same_origin = !operation.origin.has_value() || operation.origin == slot.origin;
    const bool same = slot.live && step.value_hash == slot.value_hash && same_origin;
    if (same && !operation.condition.renew) {
      if (time.has_value()) slot.writer_time = time;
      return;
    }
    step.outcome = slot.live ? WriteOutcome::kUpdated : WriteOutcome::kCreated;
    slot.live = true;
    slot.value_hash = step.value_hash;
    slot.origin = operation.origin;
  }
  slot.writer_time = time;
  slot.final_op = static_cast<int64_t>(index);
}

void BatchEvaluation::EvaluateAppend(Step& step, const WriteOperation& operation, size_t index) {
  step.value_hash = ValueHash(group_.state_.identity.secret, operation.value_kind, operation.value);
  step.outcome = WriteOutcome::kAppended;
  if (step.slot == 0) return;
  Slot& slot = slots_[step.slot - 1];
  if (!slot.live) {
    slot.live = true;
    slot.value_hash = step.value_hash;
    slot.origin = operation.origin;
    slot.final_op = static_cast<int64_t>(index);
  } else if (slot.value_hash == step.value_hash) {
    step.outcome = WriteOutcome::kUnchanged;
  } else {
    step.renamed = true;
  }
}

bool BatchEvaluation::IsNetChange(const Slot& slot, const WriteOperation& operation) const {
  if (operation.op == WriteOp::kDelete) return slot.before.live();
  if (operation.condition.renew) return true;
  const bool same = slot.before.live() && slot.before.hash == slot.value_hash &&
                    (!slot.origin.has_value() || slot.origin == slot.before.origin());
  return !same;
}

bool BatchEvaluation::IsEmitted(size_t index) const {
  const Step& step = steps_[index];
  if (step.outcome == WriteOutcome::kUnchanged) return false;
  if (step.slot == 0 || step.renamed) return true;
  const Slot& slot = slots_[step.slot - 1];
  return slot.final_op == static_cast<int64_t>(index) && IsNetChange(slot, batch_.operation(index));
}

Status BatchEvaluation::MakeEventIds() {
  SequenceNumber sequence = group_.head_.sequence;
  IdSet given;  // ids of this batch that look as if they were made
  for (const Slot& slot : slots_) {
    if (LooksMade(slot.id)) given.emplace(slot.entity, slot.id);
  }
  for (size_t i = 0; i < batch_.size(); ++i) {
    if (!IsEmitted(i)) continue;
    sequence = sequence.Next();
    Step& step = steps_[i];
    if (step.slot != 0 && !step.renamed) continue;
    step.made_id = MadeEventId(batch_.operation(i).id, sequence);
    while (true) {
      const bool is_given = given.contains({step.entity, step.made_id});
      TIDEMARK_ASSIGN_OR_RETURN(const bool taken, IsTaken(*step.entity, step.made_id));
      if (!taken && !is_given) break;
      step.made_id = MadeEventId(step.made_id, sequence);
    }
  }
  return {};
}

Result<bool> BatchEvaluation::IsTaken(const EntityState& entity, std::string_view id) const {
  const uint64_t hash = KeyHash(entity.number, id);
  bool found = false;
  const IndexEntry grouped = group_.FindInGroup(entity.number, id, hash, &found);
  if (found) return grouped.state != IndexState::kAbsent;
  const StoreState& state = group_.state_;
  {
    const std::shared_lock lock(state.state_mutex);
    const IndexEntry* recent = state.window.Find(entity.number, id, hash);
    if (recent != nullptr) {
      return Validated(state, entity.number, *recent).state != IndexState::kAbsent;
    }
  }
  rocksdb::PinnableSlice bytes;
  const rocksdb::Status read = state.db->Get(
      rocksdb::ReadOptions(), entity.index.get(), rocksdb::Slice(id.data(), id.size()), &bytes);
  if (read.IsNotFound()) return false;
  if (!read.ok()) return FromRocks(read, "reading the index of " + entity.name);
  return true;
}

GroupRow BatchEvaluation::MakeRow(const Step& step,
                                  const WriteOperation& operation,
                                  SequenceNumber sequence) {
  GroupRow row;
  row.entity = step.entity;
  row.id_form = operation.id_form;
  row.value_kind = operation.value_kind;
  row.id = operation.id;
  row.value = operation.value;
  row.entry.head = sequence;
  row.entry.birth = sequence;
  row.entry.hash = step.value_hash;
  row.entry.state = IndexState::kLive;
  const bool is_event = step.entity->declaration.kind == EntityKind::kIncremental;
  row.op = operation.op == WriteOp::kDelete ? RowOp::kDelete
           : is_event                       ? RowOp::kAppend
                                            : RowOp::kPut;
  IndexExtra extra{
      .writer_time = operation.condition.if_newer, .origin = operation.origin, .ended = {}};
  std::vector<KeyValue> values;
  if (operation.op != WriteOp::kDelete && !step.entity->keys.empty()) {
    values = ReadKeyValues(
        group_.state_.identity.secret, step.entity->keys, operation.value_kind, operation.value);
  }
  if (step.slot == 0 || step.renamed) {
    row.id = group_.made_ids_.emplace_back(step.made_id);
    row.hash = KeyHash(step.entity->number, row.id);
    for (const KeyValue& value : values) extra.stays.push_back({value, sequence});
  } else {
    const Slot& slot = slots_[step.slot - 1];
    row.hash = slot.hash;
    row.superseded = slot.before.head;
    if (slot.before.live()) row.entry.birth = slot.before.birth;
    if (operation.op != WriteOp::kAppend) extra.writer_time = slot.writer_time;
    const RecordChange change{.before = slot.before,
                              .stays_before = slot.stays,
                              .deleted = operation.op == WriteOp::kDelete,
                              .values = std::move(values),
                              .sequence = sequence,
                              .exposed = group_.head_.exposed,
                              // The tombstone keeps the writer's time, so that there has to be one
                              // until the next purge.
                              .keeps_life = slot.writer_time.has_value()};
    StaysAfter stays = StaysAfterChange(change, *slot.entity, group_.state_.stay_filter);
    extra.stays = std::move(stays.open);
    extra.ended = std::move(stays.ended);
    if (operation.op == WriteOp::kDelete) {
      row.entry.state = extra.ended.empty() ? IndexState::kAbsent : IndexState::kTombstone;
      row.value = {};
    }
  }
  row.entry.extra = MakeExtra(std::move(extra));
  return row;
}

void BatchEvaluation::Emit(CommitResult* result) {
  std::vector<SequenceNumber> versions(want_outcomes_ ? slots_.size() : 0);
  for (size_t i = 0; want_outcomes_ && i < slots_.size(); ++i) {
    if (slots_[i].before.live()) versions[i] = slots_[i].before.head;
  }
  std::vector<const GroupRow*> row_of;
  if (want_outcomes_) result->outcomes.resize(batch_.size());
  for (size_t i = 0; i < batch_.size(); ++i) {
    const Step& step = steps_[i];
    if (step.outcome == WriteOutcome::kUnchanged) {
      ++result->unchanged;
    } else {
      ++result->applied;
    }
    if (want_outcomes_) result->outcomes[i].outcome = step.outcome;
    const WriteOperation operation = batch_.operation(i);
    const bool own_row = step.slot == 0 || step.renamed;
    if (!IsEmitted(i)) continue;
    const SequenceNumber sequence = group_.head_.sequence.Next();
    group_.group_rows_.push_back(MakeRow(step, operation, sequence));
    group_.head_.sequence = sequence;
    if (!want_outcomes_) continue;
    if (operation.op == WriteOp::kAppend) {
      result->outcomes[i].id = group_.group_rows_.back().id;
      result->outcomes[i].version = sequence;
    }
    if (!own_row) {
      versions[step.slot - 1] = operation.op == WriteOp::kDelete ? kSequenceZero : sequence;
    }
  }
  for (size_t i = 0; want_outcomes_ && i < batch_.size(); ++i) {
    const Step& step = steps_[i];
    if (step.slot == 0 || step.renamed) continue;
    OperationOutcome& outcome = result->outcomes[i];
    outcome.version = versions[step.slot - 1];
    if (batch_.operation(i).op == WriteOp::kAppend) outcome.id = batch_.operation(i).id;
  }
  KeepTimes();
}

void BatchEvaluation::KeepTimes() {
  for (const Slot& slot : slots_) {
    if (slot.before.state == IndexState::kAbsent || slot.live != slot.before.live()) continue;
    if (!slot.writer_time.has_value()) continue;
    const std::optional<int64_t> known =
        slot.kept_time.has_value() ? slot.kept_time : slot.before.writer_time();
    const bool has_row = slot.final_op >= 0 && IsEmitted(static_cast<size_t>(slot.final_op));
    if (has_row || slot.writer_time == known) continue;
    group_.SetRow(row_key::WriterTime(slot.entity->number, slot.id),
                  EncodeKeptTime({.head = slot.before.head, .time = *slot.writer_time}));
  }
}

}  // namespace tidemark::internal
