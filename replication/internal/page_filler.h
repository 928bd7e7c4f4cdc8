// Filling one page of a session: entries of its view are asked about, and what is owed is encoded.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "db/change_log.h"
#include "db/store.h"
#include "format/sequence.h"
#include "format/status.h"
#include "replication/internal/marks.h"
#include "replication/internal/page_workspace.h"
#include "replication/internal/session_queues.h"
#include "replication/source.h"

namespace tidemark::internal {

/// Used by one thread that holds the device's lock, for one page.
class PageFiller {
 public:
  /// `written` are ids of which the device knows more than the session's view.
  PageFiller(const Store& store,
             const PageOptions& options,
             const std::set<std::pair<EntityNumber, std::string>>& written,
             const SessionQueues& queues,
             size_t queue,
             DeviceMarks* marks,
             PageWorkspace* workspace)
      : store_(store),
        options_(options),
        written_(written),
        queues_(queues),
        queue_(queue),
        marks_(*marks),
        workspace_(*workspace),
        taken_(queues.main() + 1) {}

  /// Reads on until the page is full or the log ends. A page that has as many records as are left
  /// in the queue, by what the session's start counted, reads on to see whether anything follows.
  Status Fill(LogCursor* cursor);

  /// False: the log has nothing more to hand out.
  bool more() const { return more_; }
  /// Entries of the queue at or below it were handed out, or need not be. Zero when nothing was
  /// read.
  SequenceNumber position() const { return position_; }
  /// How many instructions were taken of each queue.
  const std::vector<uint64_t>& taken() const { return taken_; }

 private:
  /// What is to be done with one row.
  struct Finding {
    Verdict verdict = Verdict::kNothing;
    RowOp op = RowOp::kCreated;
    size_t queue = 0;               ///< that the entry belongs to
    std::optional<BatchRow> whole;  ///< if it was needed; then `instruction_` is set
  };
  /// What holds for all rows of a run.
  struct RunFacts {
    std::optional<DeviceMarks::LiveExaminer> examine;  ///< of live rows, when they are plain
    std::optional<size_t> queue;                       ///< of all of them
    SequenceNumber asked_after;  ///< of all of them: heads that may be handed out are above it
  };
  RunFacts FactsOf(const LogRun& run) const;
  /// Takes the rows from `from` on that are to be handed out as they are, as most rows of a drain
  /// are, as long as the page has room. Returns the first row that it did not take.
  Result<size_t> TakePlain(const LogRun& run, const RunFacts& facts, size_t from);
  Finding Examine(const LogRun& run,
                  const RunFacts& facts,
                  uint16_t row,
                  const RowOutline& outline);
  /// Heads of entries of `queue` that the queue which is asked may hand out are above this.
  SequenceNumber AskedAfter(size_t queue) const {
    return queue_ == queues_.main() || queue_ == queue ? queues_.position(queue) : kSequenceLimit;
  }
  Status TakeRun(const LogRun& run);
  /// Any row of the run.
  Status TakeOne(const LogRun& run, const RunFacts& facts, size_t index);
  /// Takes a row that is to be handed out and has room.
  Status Take(const LogRun& run, uint16_t row, const RowOutline& outline, const Finding& found);
  bool IsFull() const { return workspace_.instructions.size() == options_.records_max; }
  /// True when the page has room; else the entry begins the next page.
  bool HasRoomFor(const RowOutline& outline, bool with_value) const;
  Status NameEntity(EntityNumber entity);
  void AddAny(const BatchRow& row);
  /// Encodes the rows that were picked and not encoded yet.
  void Flush(const BatchView& rows);

  const Store& store_;
  const PageOptions& options_;
  const std::set<std::pair<EntityNumber, std::string>>& written_;
  const SessionQueues& queues_;
  const size_t queue_;  // that is asked
  DeviceMarks& marks_;
  PageWorkspace& workspace_;
  std::vector<uint64_t> taken_;  // by queue
  Instruction instruction_;
  std::vector<OpenStay> stays_;
  EntityNumber named_entity_ = 0;
  uint16_t name_ = 0;
  size_t bytes_ = 0;  // of ids and values, picked ones included
  bool more_ = false;
  SequenceNumber position_;
};

}  // namespace tidemark::internal
