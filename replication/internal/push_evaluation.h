// Decides what becomes of each operation of a push, against the store as it is now, and makes the
// write batch of those that go. Nothing is changed here: the batch carries conditions, so that a
// record which somebody else changes meanwhile refuses it, and the push is evaluated again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "db/store.h"
#include "format/batch.h"
#include "format/checksum.h"
#include "format/record_json.h"
#include "replication/conflict.h"
#include "replication/internal/row_check.h"
#include "replication/push.h"
#include "replication/selection.h"

namespace tidemark::internal {

/// Every version that a device replaced without having seen it, as an event each; the newest
/// 10,000 at least.
inline constexpr std::string_view kConflictsEntity = "_conflicts";
inline constexpr size_t kConflictsKept = 10'000;

/// What a push leaves behind for one record.
struct PushedRecord {
  EntityNumber entity = 0;
  std::string id;
  bool live = false;
  bool written = false;           ///< false: it was as the device says before
  bool outside = false;           ///< not in the device's selection now
  bool merged = false;            ///< it is not as the device wrote it: others' changes are in it
  SequenceNumber version_before;  ///< zero: there was none
  SequenceNumber birth_before;
  std::vector<SequenceNumber> older;  ///< births of lives of the id that ended before
  std::vector<size_t> answers;        ///< those that its version and birth belong into
};

/// The last answer to an operation of a record that was answered before.
struct AnsweredRecord {
  PushAnswer answer;
  bool deleted = false;  ///< the operation was a deletion
};
using AnsweredRecords =
    std::map<std::pair<std::string, std::string>, AnsweredRecord>;  ///< by entity and id

/// Used by one thread that holds the device's lock, for one push.
class PushEvaluation {
 public:
  /// All must outlive it. `earlier` are records of pushes that were sent before this one without
  /// waiting for their answers; null: there are none.
  PushEvaluation(const Store& store,
                 const std::string& device,
                 const Selection& selection,
                 const ConflictResolver& resolver,
                 const AnsweredRecords* earlier = nullptr)
      : store_(store),
        device_(device),
        selection_(selection),
        resolver_(resolver),
        earlier_(earlier),
        secret_(store.identity().secret) {}

  /// Takes the next operation; an error is the store's, not the operation's.
  Status Add(const BatchView& rows, size_t index);
  /// An operation that was answered before. Later ones may build on it.
  void AddAnswered(const BatchView& rows, size_t index, PushAnswer answer);
  /// The same of one that is answered elsewhere: an earlier part of the push.
  void NoteAnswered(const BatchView& rows, size_t index, const PushAnswer& answer);
  /// After the last one.
  Status Finish();

  std::vector<PushAnswer>& answers() { return answers_; }
  /// The operations of `batch()` are those of the records that are `written`, in this order, and
  /// then only local ones.
  const std::deque<PushedRecord>& records() const { return records_; }
  const WriteBatch& batch() const { return batch_; }
  /// A version was replaced that the device had not seen.
  bool has_overridden() const { return !overridden_.empty(); }
  /// Of values that are kept beside those of the operations: replaced ones, and merged ones.
  size_t held_bytes() const { return held_bytes_; }

 private:
  struct TypedView {
    ValueKind kind = ValueKind::kJson;
    std::string_view bytes;
  };
  struct Operation {
    BatchRow row;
    std::string_view entity;
    EntityInfo info;
  };
  /// A record as the operations so far leave it.
  struct State {
    EntityInfo info;
    RecordId id{""};
    std::optional<Record> before;
    Hash128 hash_before;  // of its value
    bool live = false;
    ValueKind value_kind = ValueKind::kBytes;
    std::string_view value;
    std::string made;                    // what it refers to if the value is no operation's
    bool as_pushed = true;               // the operations so far left what their device has
    std::optional<int64_t> writer_time;  // of `before`, or of the operation that was applied last
    std::optional<int64_t> given_time;   // by an operation of this push
    bool touched = false;
    std::optional<PushOutcome> refused;  // by the first operation that was not applied
    std::optional<SequenceNumber> own;   // version by an operation that was answered before
    bool unseen = false;                 // the device had not seen what was there
    bool overrides = false;              // the device replaces what it has not seen
    std::vector<size_t> answers;
  };

  /// null: no operation of the record was answered before.
  const AnsweredRecord* FindAnswered(const std::string& entity, const std::string& id) const;
  Result<State*> Load(const Operation& operation);
  /// Fills what is wrong with the operation itself; false: nothing is.
  bool RefuseMalformed(const Operation& operation, PushAnswer* answer);
  /// Whether the record that a field of the operation names is there for the device.
  Result<bool> HasParent(const Operation& operation,
                         const std::string& parent,
                         const std::optional<RecordId>& id) const;
  /// `value` is what the record would become; of its references those in `only`, or all.
  Result<bool> RefuseOrphan(const Operation& operation,
                            const TypedView& value,
                            const std::optional<std::set<std::string>>& only,
                            PushAnswer* answer) const;
  /// The device has seen what the operation replaces.
  static bool IsSeen(const Operation& operation, const State& state);
  /// Fills what the record's state has against the operation; false: nothing. `*made` is what the
  /// record becomes if that is not what was pushed.
  Result<bool> Refuse(const Operation& operation,
                      State* state,
                      std::optional<TypedValue>* made,
                      PushAnswer* answer);
  bool RefuseConflict(const Operation& operation,
                      State* state,
                      std::optional<TypedValue>* made,
                      PushAnswer* answer);
  Result<bool> RefuseMade(const Operation& operation, const TypedValue& made, PushAnswer* answer);
  void Tell(const State& state, PushAnswer* answer);
  Hash128 HashOf(ValueKind kind, std::string_view value) const;
  const RowChecker& CheckerOf(const EntityInfo& info);
  bool IsShown(EntityNumber entity, ValueKind kind, std::string_view value) const;
  Status FinishRecord(const State& state);
  void Write(const State& state);

  const Store& store_;
  const std::string& device_;
  const Selection& selection_;
  const ConflictResolver& resolver_;
  const AnsweredRecords* const earlier_;
  const HashSecret secret_;
  std::map<std::pair<EntityNumber, std::string>, State*> by_id_;
  AnsweredRecords answered_;
  std::deque<State> states_;  // in the order of their first operations
  std::map<EntityNumber, RowChecker> checkers_;
  std::vector<PushAnswer> answers_;
  size_t told_bytes_ = 0;  // of current values
  size_t held_bytes_ = 0;
  std::deque<PushedRecord> records_;
  WriteBatch batch_;
  std::vector<std::string> overridden_;  // versions, as `_conflicts` has them
};

}  // namespace tidemark::internal
