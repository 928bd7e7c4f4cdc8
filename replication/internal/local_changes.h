// One step of a replica's own writes: everything that changes in it is one write batch, so that a
// record, its operation and what is remembered of both are never apart (contract 34).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "db/store.h"
#include "format/status.h"
#include "replication/internal/local_rows.h"
#include "replication/outbox.h"
#include "replication/replica_changes.h"

namespace tidemark::internal {

/// A record with pending operations, as this step leaves it so far.
struct LocalState {
  RecordId id{""};
  std::optional<LocalRecord> record;  ///< nullopt: nothing is pending
  Image image;
  bool image_changed = false;
};

/// Collects one step. Reads what is stored, and what it changed itself. Used under the replica's
/// lock.
class LocalChanges {
 public:
  /// `state` is what is stored; it becomes what `Commit` stored.
  LocalChanges(Store& store, OutboxState* state) : store_(store), stored_(*state), state_(*state) {}

  OutboxState& state() { return state_; }
  const OutboxState& state() const { return state_; }
  /// For whatever else belongs into the step.
  WriteBatch& batch() { return batch_; }

  /// nullopt: no operation of the record is pending.
  Result<LocalState*> Find(std::string_view entity, const RecordId& id);
  /// The same without making the record a part of this step.
  Result<LocalState> Look(std::string_view entity, const RecordId& id) const;
  /// The record as applications see it.
  Result<std::optional<Record>> Visible(std::string_view entity, const RecordId& id) const;

  /// Makes the record one with pending operations; `image` is how the source has it.
  void Begin(LocalState* local, Image image);
  /// The last pending operation is gone: applications see the record as the source has it.
  void End(std::string_view entity, LocalState* local);

  void Show(std::string_view entity, const RecordId& id, const OutboxOperation& operation);
  /// The same for what was written before and comes up once more, such as after a later operation
  /// was taken back. Its timestamp is kept, and compared with none.
  void ShowAgain(std::string_view entity, const RecordId& id, const OutboxOperation& operation);
  void Hide(std::string_view entity, const RecordId& id);
  void PutOperation(const OutboxOperation& operation);
  void EraseOperation(uint64_t number);
  Result<std::optional<OutboxOperation>> FindOperation(uint64_t number) const;

  /// Pages that know less than version `head` of the record say nothing here until the next
  /// session.
  void Fence(std::string_view entity, const RecordId& id, SequenceNumber head);

  /// How this step changes what applications see, in the order in which records came up.
  Result<std::vector<ReplicaChange>> Changed(ChangeOrigin origin) const;
  /// Everything, durably, or nothing.
  Status Commit();

 private:
  using Key = std::pair<std::string, std::string>;  // entity and id

  void See(std::string_view entity, const RecordId& id, std::optional<Record> record);

  Store& store_;
  OutboxState& stored_;
  OutboxState state_;
  WriteBatch batch_;
  std::map<Key, LocalState> locals_;
  std::map<Key, std::optional<Record>> visible_;  // what this step shows
  std::vector<Key> seen_;                         // its keys, as they came up
  std::map<uint64_t, std::optional<OutboxOperation>> operations_;
};

}  // namespace tidemark::internal
