// The change log: what is current after a sequence number, in the order of heads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "db/entity_keys.h"
#include "db/write_batch.h"
#include "format/batch.h"
#include "format/sequence.h"
#include "format/sequence_set.h"
#include "format/status.h"

namespace tidemark {

/// A pinned cut: the log as of one sequence number stays readable while this lives. Destroy it
/// before its store. Thread-safe. A pin costs a few bytes, and lets the log keep what it shows.
class Cut {
 public:
  virtual ~Cut() = default;
  virtual SequenceNumber sequence() const = 0;
  /// Chain hash at the cut; completes the position.
  virtual Hash128 chain() const = 0;
};

/// An entry of the log: the newest row of an id at the cut.
struct LogEntry {
  EntityNumber entity = 0;
  SequenceNumber head;
  SequenceNumber birth;  ///< of the life; for a tombstone that of the life it ended
  bool live = false;     ///< false: a tombstone
  IdForm id_form = IdForm::kText;
  ValueKind value_kind = ValueKind::kBytes;
  std::string_view id;
  std::string_view value;
  std::optional<int64_t> writer_time;
  std::span<const EndedStay> ended;  ///< ended stays of the id that still matter
  std::span<const OpenStay> stays;   ///< values of declared keys that a live record has
};

/// What the log knows of one id, whether it lives or not.
struct IdHistory {
  SequenceNumber head;   ///< its last change
  SequenceNumber birth;  ///< of the life that lasts; live ids only
  bool live = false;
  std::vector<EndedStay> ended;  ///< ended stays that still matter, oldest first
  std::vector<OpenStay> stays;   ///< values of declared keys that a live record has
};

/// Entries of one entity that follow each other in the log and lie in one segment of it.
struct LogRun {
  EntityNumber entity = 0;
  const BatchView* rows = nullptr;   ///< the segment
  std::span<const uint16_t> picked;  ///< rows of it that are entries, in increasing order
  const EntityKeys* keys = nullptr;  ///< tell what the rows have of the entity's keys
};

/// A part, and the sequence number above which its rows are asked for.
struct PartBound {
  KeyValue in;
  SequenceNumber after;
};

/// Where rows of some parts are, as far as the log is indexed: at or below `through` only `heads`
/// concern them.
struct PartRows {
  SequenceSet heads;
  SequenceNumber through;
};

/// What to read of one entity.
struct LogRange {
  EntityNumber entity = 0;
  SequenceNumber after;  ///< only heads above it
  bool live = true;
  bool tombstones = true;
  std::shared_ptr<const PartRows> only = {};  ///< null: every row
};

/// Entries in increasing order of head, over several entities at once. The views of an entry are
/// valid until the next move. Keeps the cut alive. Thread-compatible. Reading costs what is
/// visible, not what was ever written.
class LogCursor {
 public:
  class Impl;
  explicit LogCursor(std::unique_ptr<Impl> impl);
  ~LogCursor();
  LogCursor(const LogCursor&) = delete;
  LogCursor& operator=(const LogCursor&) = delete;
  LogCursor(LogCursor&&) noexcept;
  LogCursor& operator=(LogCursor&&) noexcept;

  /// Moves to the next entry; false at the end or on an error.
  bool Next();
  const LogEntry& entry() const;
  /// Moves past all entries of the present run to the next run; false at the end or on an error.
  /// For whoever takes many entries at a time, instead of `Next`: cheaper than one by one.
  bool NextRun();
  const LogRun& run() const;
  const Status& status() const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark
