// What a replica does with its own writes: takes them, sends them, and works in what the source
// answers and what its pages say meanwhile.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "db/store.h"
#include "format/batch.h"
#include "format/status.h"
#include "replication/internal/change_listeners.h"
#include "replication/internal/local_changes.h"
#include "replication/internal/push_rows.h"
#include "replication/internal/replica_state.h"
#include "replication/outbox.h"
#include "replication/push.h"
#include "replication/replica.h"

namespace tidemark::internal {

/// Which pending operations to send.
struct PushRange {
  uint64_t after = 0;  ///< only with higher numbers
  uint64_t last = 0;   ///< and none above it
  size_t operations_max = kPushOperationsMax;
};

struct OutgoingPush {
  std::string bytes;
  size_t operations = 0;
  uint64_t through = 0;  ///< number of the last of them
};

/// Thread-compatible: the replica's lock is held over every call.
class OutboxSteps {
 public:
  /// All must outlive it.
  OutboxSteps(Store& store, const ReplicaState& replica, ChangeListeners& listeners)
      : store_(store), replica_(replica), listeners_(listeners) {}
  Status Load();

  const OutboxState& state() const { return state_; }

  // Writing.

  Result<LocalWriteResult> Write(const WriteBatch& batch, const LocalWriteOptions& options);
  Status ReplaceId(const IdReplacement& what);
  /// All of them in one step, or none.
  Status Retry(const std::vector<uint64_t>& numbers);
  Status Drop(const std::vector<uint64_t>& numbers);
  /// Every operation of the record; answers how many there were.
  Result<uint64_t> DropRecord(const std::string& entity, const RecordId& id);

  // Pushing.

  /// The first pending operations after `which.after`, as the batch to send; nullopt: there are
  /// none. From here on they may have reached the source.
  Result<std::optional<OutgoingPush>> NextPush(std::string_view device, const PushRange& which);
  /// One step for all answers of a push.
  Status TakeAnswers(const std::vector<PushAnswer>& answers, PushTotals* totals);
  /// Those of the answers that are to operations which are in the outbox, as they are there.
  Result<std::vector<PushAnswer>> Recognise(const std::vector<KeptAnswer>& answers) const;

  // Pulling.

  /// True if a row of a page was dealt with: the record is one that was written here.
  Result<bool> TakeRow(
      const BatchView& rows, const BatchRow& row, bool reset, WriteBatch* batch, bool* changed);
  /// True if operations of the record are pending.
  Result<bool> IsPending(std::string_view entity, std::string_view id) const;
  /// A new session began: pages of older ones are refused as such.
  Status ForgetFences();
  /// A reset ends: records that it did not list are no more at the source.
  Status FinishReset();

 private:
  Status WriteOne(const WriteOperation& written,
                  const LocalWriteOptions& options,
                  LocalChanges* changes,
                  LocalWriteResult* result);
  /// What a replacement of an id changed so far.
  struct Renaming {
    const IdReplacement& what;
    LocalChanges* changes;
    /// Entity and id, as they were before, of the records whose operations changed.
    std::set<std::pair<std::string, std::string>> queued = {};
    uint64_t changed = 0;  ///< operations, and records that became operations
  };
  /// Puts the real id where the temporary one is: in operations, and in the records that they show.
  Status RenameOperations(Renaming* renaming);
  Status ShowRenamed(const Renaming& renaming);
  /// The same in records of which nothing waits: each becomes a write of this device.
  Status RenameHeld(const std::string& entity,
                    const std::vector<std::string>& fields,
                    Renaming* renaming);
  static Status CheckRoom(const OutboxState& state);
  Status CheckWrite(const WriteOperation& written) const;
  Status Enqueue(OutboxOperation operation, bool replace, LocalChanges* changes);
  /// Takes operations that the new one makes needless off the queue. Answers whether anything is
  /// left to be sent. The new one takes the number, and what they changed it changes, too.
  Result<bool> Replace(OutboxOperation* operation, LocalChanges* changes, LocalState* local);
  static BatchRow RowOf(const OutboxOperation& operation);
  /// Whether the source gets the record by this operation: it neither has it nor will before.
  static Result<bool> Creates(const OutboxOperation& operation,
                              const LocalState& local,
                              const LocalChanges& changes);
  /// Whether it refers to a record that is created by an operation after `place`.
  Result<bool> RefersBeyond(uint64_t place,
                            const OutboxOperation& operation,
                            const LocalChanges& changes) const;
  Status RetryOne(uint64_t number, LocalChanges* changes);
  Status DropOne(const OutboxOperation& operation, LocalChanges* changes);
  Image ImageOf(const std::optional<Record>& visible) const;
  Result<SequenceNumber> BaseOf(const OutboxOperation& operation) const;
  /// A pending operation is none any more.
  static void TakeOffQueue(uint64_t number, LocalChanges* changes, LocalState* local);
  Status QueueAgain(OutboxOperation operation, LocalChanges* changes, LocalState* local);
  Status TakeAnswer(const PushAnswer& answer, LocalChanges* changes, PushTotals* totals);
  Status ForgetUnlisted();
  /// No operation of the record is pending any more.
  void EndRecord(const std::string& entity, LocalChanges* changes, LocalState* local) const;
  void Apply(const OutboxOperation& operation,
             const PushAnswer& answer,
             LocalChanges* changes,
             LocalState* local);
  void ApplyMerged(const OutboxOperation& operation,
                   const PushAnswer& answer,
                   LocalState* local) const;
  static void Fail(OutboxOperation operation, const PushAnswer& answer, LocalChanges* changes);

  /// Commits a step, and notes what it changed for who listens.
  Status Commit(LocalChanges* changes, ChangeOrigin origin);

  Store& store_;
  const ReplicaState& replica_;
  ChangeListeners& listeners_;
  OutboxState state_;
};

}  // namespace tidemark::internal
