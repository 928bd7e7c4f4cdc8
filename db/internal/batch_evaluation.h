// One batch on its way into a group: what each id was, what it becomes, and which operation says
// so.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "db/internal/commit_group.h"
#include "db/write_batch.h"

namespace tidemark::internal {

/// One batch on its way into the group: what each id was, what it becomes, which operation says so.
class BatchEvaluation {
 public:
  BatchEvaluation(CommitGroup& group, const WriteBatch& batch, const CommitOptions& options)
      : group_(group),
        batch_(batch),
        want_outcomes_(options.want_outcomes),
        rewrite_events_(options.rewrite_events) {}

  Status Run() {
    TIDEMARK_RETURN_IF_ERROR(CollectSlots());
    TIDEMARK_RETURN_IF_ERROR(LookUp());
    TIDEMARK_RETURN_IF_ERROR(Evaluate());
    return MakeEventIds();
  }
  /// Gives the changes their sequence numbers. Cannot fail.
  void Emit(CommitResult* result);
  size_t change_bound() const { return batch_.size(); }

 private:
  struct Slot {
    const EntityState* entity;
    std::string_view id;
    uint64_t hash;
    IndexEntry before;
    // As of the operations evaluated so far.
    bool live = false;
    Hash128 value_hash;
    std::optional<int64_t> writer_time;
    std::optional<int64_t> kept_time;  // as loaded
    std::optional<OriginVersion> origin;
    std::vector<OpenStay> stays;  // before, if the record lives and its entity has keys
    int64_t final_op = -1;
  };
  struct Step {
    const EntityState* entity = nullptr;
    uint32_t slot = 0;  // position + 1; 0: an event without an id
    WriteOutcome outcome = WriteOutcome::kUnchanged;
    bool renamed = false;  // an event whose id is taken by other content
    Hash128 value_hash;
    std::string made_id;  // of an event that has none, or whose id is taken
  };

  Status CollectSlots();
  Status LookUp();
  /// Parts that records have been in.
  Status LoadStays();
  /// Writers' times that came with writes that changed nothing.
  Status LoadKeptTimes();
  void KeepTimes();
  Status Evaluate();
  /// An id that the store makes belongs to no record: whoever wrote such an id keeps it.
  Status MakeEventIds();
  Result<bool> IsTaken(const EntityState& entity, std::string_view id) const;
  /// True if operation `index` becomes a row.
  bool IsEmitted(size_t index) const;
  Status CheckCondition(const Slot& slot, const WriteOperation& operation, size_t index) const;
  void EvaluateWrite(Slot& slot, Step& step, const WriteOperation& operation, size_t index) const;
  void EvaluateAppend(Step& step, const WriteOperation& operation, size_t index);
  bool IsNetChange(const Slot& slot, const WriteOperation& operation) const;
  GroupRow MakeRow(const Step& step, const WriteOperation& operation, SequenceNumber sequence);

  CommitGroup& group_;
  const WriteBatch& batch_;
  const bool want_outcomes_;
  const bool rewrite_events_;
  std::vector<Slot> slots_;
  std::vector<Step> steps_;
};

}  // namespace tidemark::internal
