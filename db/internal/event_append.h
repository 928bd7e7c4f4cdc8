// Appending staged events in the order of (page, row), by the rules of `WriteBatch::Append`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "db/internal/entity_change.h"
#include "db/internal/hidden_log.h"
#include "db/internal/staged_merge.h"
#include "db/internal/staged_values.h"

namespace tidemark::internal {

/// Two passes: by id, to tell what is new; then by (page, row), to write it. Requires fold_mutex.
class EventAppend {
 public:
  /// `log` is null for a dry run.
  EventAppend(StoreState& state,
              const MergeBase& base,
              const StagingReader& reader,
              const ReplacePlan& plan,
              HiddenLog* log,
              ReplaceProgress& progress,
              EntityChange* change);

  /// `staged` is sorted by (id, page, row).
  Status Run(StagedInput& staged);

 private:
  /// What becomes of a row. The default needs no memory.
  enum class Outcome : uint8_t {
    kAppended,    ///< under its own id, which was never there, or without an id
    kReappended,  ///< under its own id, of which the index knows something
    kRenamed,     ///< its id belongs to other content
    kUnchanged,   ///< the event is there
  };

  Status Compare(StagedInput& staged);
  Result<IndexEntry> LookUp(std::string_view id) const;
  /// True if an id that the store would make belongs to a record, or comes with this stage.
  Result<bool> IsTaken(std::string_view id);
  void Note(const StagedId& id, Outcome outcome);
  Outcome OutcomeOf(const StagedId& id) const;

  Status Write();
  Status WriteRow(const StagedId& id);
  Status Index(std::string id, IndexEntry entry);
  Status FinishFile();

  StoreState& state_;
  const MergeBase& base_;
  const StagingReader& reader_;
  const ReplacePlan& plan_;
  HiddenLog* const log_;
  ReplaceProgress& progress_;
  EntityChange& change_;
  const EntityPtr entity_;
  const LivenessCopy liveness_;
  bool staged_looks_made_ = false;  // some staged id could be one that the store makes
  std::shared_ptr<StagedRun> staged_ids_;
  std::map<uint32_t, std::vector<Outcome>> outcomes_;  // by page, then by place
  StagedValues values_;
  bool to_window_ = true;
  std::vector<std::pair<std::string, std::string>> file_rows_;  // entries of the next file
};

}  // namespace tidemark::internal
