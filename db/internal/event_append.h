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

namespace tidemark::internal {

/// Two passes: by id, to tell what is new; then by (page, row), to write it. Requires fold_mutex,
/// commit_mutex and a window without entries of the entity.
class EventAppend {
 public:
  /// `log` is null for a dry run.
  EventAppend(StoreState& state,
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
  void Note(const StagedId& id, Outcome outcome);
  Outcome OutcomeOf(const StagedId& id) const;

  Status Write();
  Status WriteRow(const StagedId& id);
  Status Index(std::string id, IndexEntry entry);
  Status FinishFile();

  StoreState& state_;
  const StagingReader& reader_;
  const ReplacePlan& plan_;
  HiddenLog* const log_;
  ReplaceProgress& progress_;
  EntityChange& change_;
  const EntityPtr entity_;
  LivenessCopy liveness_;
  std::map<uint32_t, std::vector<Outcome>> outcomes_;  // by page, then by place
  bool to_window_ = true;
  std::vector<std::pair<std::string, std::string>> file_rows_;  // entries of the next file
};

}  // namespace tidemark::internal
