// Replacing a snapshot: what was staged, merged against the entity as it is.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <rocksdb/iterator.h>

#include "db/internal/entity_change.h"
#include "db/internal/hidden_log.h"
#include "db/internal/record_rules.h"
#include "db/internal/staged_merge.h"
#include "db/internal/staged_values.h"

namespace tidemark::internal {

/// Writes the differences to the log and the next generation's index, unless it is a dry run.
/// Requires fold_mutex.
class SnapshotMerge {
 public:
  /// `log` is null for a dry run.
  SnapshotMerge(StoreState& state,
                const MergeBase& base,
                CommitHold& commits,
                const StagingReader& reader,
                const ReplacePlan& plan,
                HiddenLog* log,
                ReplaceProgress& progress,
                EntityChange* change);

  /// `staged` is sorted by (id, page, row). `kDeleteGuard` when too much would be deleted. On an
  /// error `change` may own a family that is to be dropped.
  Status Run(StagedInput& staged);

 private:
  /// A staged row that won its id.
  struct Staged {
    std::string id;
    uint32_t value_size = 0;
    Hash128 hash;
    StagedPlace place;
  };

  Status NextStaged(StagedInput& staged);
  void PlaceIndex();
  Status ReadEntry();
  std::string_view EntryId() const { return {index_->key().data(), index_->key().size()}; }
  Result<bool> IsKept();

  Status MergeStaged(bool indexed);
  Status MergeUnlisted();
  /// `indexed`: the id has an entry, at index_.
  Status Change(RowOp op, std::string_view id, bool indexed);
  Status FindStays(std::string_view id, RecordChange* change);
  Status CheckGuard() const;

  // The next generation begins at the first difference: an identical snapshot writes nothing.
  Status BeginGeneration(std::string_view first_change);
  void CopyEntry();
  void BeginFile();
  void PutNext(std::string_view id, std::string_view entry);
  Status FinishGeneration();

  StoreState& state_;
  const MergeBase& base_;
  CommitHold& commits_;
  const ReplacePlan& plan_;
  HiddenLog* const log_;
  ReplaceProgress& progress_;
  EntityChange& change_;
  const EntityPtr entity_;
  const LivenessCopy liveness_;
  const uint64_t live_before_;
  std::vector<std::string> keep_;  // sorted
  size_t kept_ = 0;                // ids of keep_ that were passed

  bool has_staged_ = false;
  Staged staged_;
  bool staged_started_ = false;
  bool staged_more_ = false;

  std::unique_ptr<rocksdb::Iterator> index_;
  bool has_entry_ = false;
  bool valid_ = false;  // the entry at index_, by liveness
  IndexEntry entry_;

  StagedValues values_;
  std::vector<std::unique_ptr<SortedFile>> files_;  // of the next generation; none before it begins
  size_t file_rows_ = 0;                            // of the last one
  std::string encoded_;
};

}  // namespace tidemark::internal
