// A write batch: changes of several entities, and rows of upper layers, that commit as a whole.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/checksum.h"
#include "format/record.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

/// When a write takes effect. A condition that does not hold refuses the whole batch with
/// `kConditionFailed`, naming the operation (contract 22).
struct WriteCondition {
  bool if_absent = false;
  std::optional<SequenceNumber> if_version = {};
  /// The writer's own timestamp, kept with the record and its tombstone; equal is not newer.
  std::optional<int64_t> if_newer = {};
  /// Makes a new version even when the value is equal: whoever sweeps what was not written again
  /// tells it by its version.
  bool renew = false;
};

/// A record's version at the source it was replicated from: kept beside this store's own.
struct OriginVersion {
  SequenceNumber birth;
  SequenceNumber head;
  bool operator==(const OriginVersion&) const = default;
};

enum class WriteOp : uint8_t { kPut, kDelete, kAppend };

/// One operation, as the views of a batch.
struct WriteOperation {
  WriteOp op = WriteOp::kPut;
  IdForm id_form = IdForm::kText;
  ValueKind value_kind = ValueKind::kBytes;
  std::string_view entity;
  std::string_view id;  ///< append: may be empty, then the store makes one
  std::string_view value;
  WriteCondition condition;
  std::optional<OriginVersion> origin;
};

/// Collects writes in order; several of one id collapse to the last when the batch commits.
/// Thread-compatible. Copies what it is given.
class WriteBatch {
 public:
  WriteBatch& Put(std::string_view entity,
                  const RecordId& id,
                  std::string_view value,
                  ValueKind kind = ValueKind::kBytes,
                  const WriteCondition& condition = {},
                  const std::optional<OriginVersion>& origin = {});
  /// Deleting what is not there is no change.
  WriteBatch& Delete(std::string_view entity,
                     const RecordId& id,
                     const WriteCondition& condition = {});
  /// An event. The same id with equal bytes is the same event; with other bytes it is a further
  /// one, whose record id is the id, `~` and its sequence number.
  WriteBatch& Append(std::string_view entity,
                     const RecordId& id,
                     std::string_view value,
                     ValueKind kind = ValueKind::kBytes,
                     const std::optional<OriginVersion>& origin = {});
  /// An event without an id of its own; the store makes one.
  WriteBatch& Append(std::string_view entity,
                     std::string_view value,
                     ValueKind kind = ValueKind::kBytes);

  /// A row of an upper layer: small durable state that is no record, invisible to devices. Keys
  /// begin with the layer's prefix; see docs/storage_format.md.
  WriteBatch& SetRow(std::string_view key, std::string_view value);
  WriteBatch& DeleteRow(std::string_view key);
  /// All rows of `other`, in their order; its operations are left out.
  WriteBatch& AddRows(const WriteBatch& other);

  /// Makes the batch idempotent: a repeat within 7 days or a million ids answers what the first
  /// one answered; another batch with the same id is `kIdempotencyMismatch`. 1 to 128 bytes.
  WriteBatch& SetOperationId(std::string_view id);

  size_t size() const { return operations_.size(); }
  bool empty() const { return operations_.empty() && rows_.empty(); }
  size_t payload_bytes() const { return arena_.size(); }
  void Clear();

  /// Requires index < size().
  WriteOperation operation(size_t index) const;
  const std::string& operation_id() const { return operation_id_; }

  struct Row {
    std::string key;
    std::optional<std::string> value;  ///< nullopt deletes
  };
  const std::vector<Row>& rows() const { return rows_; }

 private:
  struct Extra {
    WriteCondition condition;
    std::optional<OriginVersion> origin;
  };
  struct Stored {
    size_t begin;  // of entity, id and value in the arena, in this order
    uint32_t value_size;
    uint16_t id_size;
    uint8_t entity_size;
    WriteOp op;
    IdForm id_form;
    ValueKind value_kind;
    int32_t extra;  // index into extras_, or -1
  };
  void Add(WriteOp op,
           std::string_view entity,
           std::string_view id,
           IdForm form,
           std::string_view value,
           ValueKind kind,
           const WriteCondition& condition,
           const std::optional<OriginVersion>& origin);

  std::string arena_;
  std::vector<Stored> operations_;
  std::vector<Extra> extras_;
  std::vector<Row> rows_;
  std::string operation_id_;
  Status oversized_;  // the first operation that no commit can accept

 public:
  /// The first operation too large to be stored even here; a commit answers it.
  const Status& status() const { return oversized_; }
};

class Cut;

/// What the one committer lets a precondition see and add. Valid during the call only.
class CommitContext {
 public:
  virtual ~CommitContext() = default;
  /// The last sequence number before this batch: everything at or below it commits before or with
  /// this batch's group.
  virtual SequenceNumber sequence() const = 0;
  /// Chain hash at `sequence()`.
  virtual Hash128 chain() const = 0;
  /// The row as it stands, writes before this batch included.
  virtual Result<std::optional<std::string>> GetRow(std::string_view key) const = 0;
  virtual void SetRow(std::string_view key, std::string_view value) = 0;
  virtual void DeleteRow(std::string_view key) = 0;

  /// All rows of `batch`, in their order; its operations are left out.
  void AddRows(const WriteBatch& batch);
};

struct CommitOptions {
  /// Durable when the call returns, unless the store was opened with `Durability::kOrder`.
  bool sync = true;
  /// Runs in the committer, after every earlier commit and before every later one; an error refuses
  /// the batch and leaves no trace. Must be short and must not call the store.
  std::function<Status(CommitContext&)> precondition = {};
  /// Pins a cut right before this batch, for a session: see `CommitResult::cut`.
  bool pin_cut = false;
  /// Whoever sent the batch has its records already: what ends one of them leaves a tombstone.
  bool exposes = false;
  /// Fills `CommitResult::outcomes`.
  bool want_outcomes = false;
  /// A replica repeats what its source says: lets puts and deletes change incremental entities, and
  /// a store that is a replica be written to.
  bool rewrite_events = false;
  /// The batch may write local entities, whose names begin with `_`: for layers of the engine.
  bool local = false;
};

enum class WriteOutcome : uint8_t { kCreated, kUpdated, kDeleted, kAppended, kUnchanged };

struct OperationOutcome {
  WriteOutcome outcome = WriteOutcome::kUnchanged;
  SequenceNumber version;  ///< head of the record after the batch; zero where there is none
  std::string id;          ///< append: the event's record id; else empty
};

struct CommitResult {
  /// Last sequence number of the batch, or of the store when nothing changed.
  SequenceNumber sequence;
  uint64_t applied = 0;
  uint64_t unchanged = 0;
  bool replayed = false;  ///< the operation id was known; this is the first answer
  /// One an operation, when asked for; of a repeat, when the first call asked for them.
  std::vector<OperationOutcome> outcomes;
  std::shared_ptr<const Cut> cut;  ///< when `pin_cut` was set
};

}  // namespace tidemark
