// A group commit: batches evaluated one after the other against what is committed and each other,
// encoded as segments, written at once, and then published.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rocksdb/write_batch.h>

#include "db/internal/store_state.h"
#include "db/write_batch.h"
#include "format/batch.h"

namespace tidemark::internal {

class BatchEvaluation;
class PinnedCut;

/// A change that got a sequence number.
struct GroupRow {
  const EntityState* entity = nullptr;
  RowOp op = RowOp::kPut;
  IdForm id_form = IdForm::kText;
  ValueKind value_kind = ValueKind::kBytes;
  SequenceNumber superseded;
  std::string_view id;
  std::string_view value;
  uint64_t hash = 0;  // of entity and id
  IndexEntry entry;   // what the index says from now on; its head is the row's sequence
};

/// A row of another column family that joins a commit.
struct JoinedRow {
  rocksdb::ColumnFamilyHandle* family = nullptr;
  std::string key;
  std::optional<std::string> value;  ///< nullopt deletes
};

/// Used by one thread that holds the commit mutex throughout, in the order Add..., Write, Publish.
class CommitGroup {
 public:
  explicit CommitGroup(StoreState& state);
  /// Drops the column families that were made for batches which failed.
  ~CommitGroup();
  CommitGroup(const CommitGroup&) = delete;
  CommitGroup& operator=(const CommitGroup&) = delete;

  /// Evaluates a batch. An error leaves the group as it was. `batch` must outlive the group.
  Result<CommitResult> Add(const WriteBatch& batch, const CommitOptions& options);

  /// A row of the store itself in the same write.
  void SetRow(std::string key, std::string value) { rows_[std::move(key)] = std::move(value); }
  /// Rows of other column families in the same write. `rows` must outlive the group.
  void Join(const std::vector<JoinedRow>& rows) { joined_.push_back(&rows); }
  /// The log goes on to `last`: the segments up to there are written and become visible with this
  /// group. Requires: nothing was added yet that got a sequence number.
  void ExtendLog(SequenceNumber last, std::string_view checksums);
  /// Runs under the state mutex, exclusively, in the instant of publication.
  void OnPublish(std::function<void(StoreState&)> publish) {
    on_publish_.push_back(std::move(publish));
  }
  /// An entity's new state, published with the group.
  void SetEntity(EntityState entity);

  /// Writes everything added, atomically. On an error nothing was published, and the store takes no
  /// more writes.
  Status Write(bool sync);
  /// Makes the group visible. Requires: written.
  void Publish();

  SequenceNumber sequence() const { return head_.sequence; }
  bool empty() const {
    return group_rows_.empty() && rows_.empty() && entities_.empty() && joined_.empty();
  }

 private:
  class Context;
  friend class BatchEvaluation;

  Result<CommitResult> AddBatch(const WriteBatch& batch, const CommitOptions& options);
  /// Entities that were made for a batch which failed, or came to nothing, leave no trace.
  void DropUnusedEntities();
  Result<const EntityState*> ResolveEntity(std::string_view name, WriteOp op);
  Result<const EntityState*> MakeLocalEntity(std::string_view name, EntityKind kind);
  Result<const EntityState*> MakeProvisional(EntityNumber first_free,
                                             std::string_view name,
                                             const EntityDeclaration& declaration);
  Result<std::optional<std::string>> GetRow(std::string_view key) const;
  Result<std::optional<CommitResult>> CheckOperationId(const WriteBatch& batch,
                                                       Hash128* hash) const;
  void KeepOperationId(const WriteBatch& batch, const Hash128& hash, const CommitResult& result);
  void EncodeSegments(rocksdb::WriteBatch* write);
  IndexEntry FindInGroup(EntityNumber entity, std::string_view id, uint64_t hash, bool* found);

  StoreState& state_;
  std::shared_ptr<const Catalog> catalog_;
  HeadRow head_;
  std::vector<GroupRow> group_rows_;
  Layer overlay_;        // rows of earlier batches, by id
  size_t overlaid_ = 0;  // group rows that are in the overlay
  std::map<std::string, std::optional<std::string>, std::less<>> rows_;
  std::map<EntityNumber, std::shared_ptr<const EntityState>> entities_;  // made or changed here
  std::map<std::string, std::shared_ptr<const EntityState>, std::less<>> provisional_;
  std::deque<std::string> made_ids_;
  std::vector<const std::vector<JoinedRow>*> joined_;
  std::vector<std::function<void(StoreState&)>> on_publish_;
  struct Pin {
    size_t before_row;
    std::shared_ptr<PinnedCut> cut;
  };
  std::vector<Pin> pins_;
  std::vector<std::pair<EntityNumber, SequenceNumber>> small_segments_;  // and their keys
  size_t made_entities_ = 0;
  size_t batches_ = 0;
  bool attempted_ = false;
};

/// A cut that unpins itself.
class PinnedCut final : public Cut {
 public:
  PinnedCut(StoreState& state, SequenceNumber sequence, const Hash128& chain)
      : state_(state), sequence_(sequence), chain_(chain) {}
  ~PinnedCut() override;
  PinnedCut(const PinnedCut&) = delete;
  PinnedCut& operator=(const PinnedCut&) = delete;

  /// Requires state_mutex, exclusively. Until then destruction releases nothing.
  void Pin();
  SequenceNumber sequence() const override { return sequence_; }
  Hash128 chain() const override { return chain_; }

 private:
  StoreState& state_;
  SequenceNumber sequence_;
  Hash128 chain_;
  bool pinned_ = false;
};

}  // namespace tidemark::internal
