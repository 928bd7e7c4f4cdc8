// What a session reads: the parts of the log that may hold something owed, at its cut.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "db/store.h"
#include "replication/internal/marks.h"
#include "replication/internal/queue_table.h"
#include "replication/internal/session_queues.h"

namespace tidemark {

/// The entry as the marks see it; refers to `entry`.
EntryState ToEntryState(const LogEntry& entry);

/// Rows of entities of which only some parts are read, as far as those are indexed.
using RowsToRead = std::map<EntityNumber, std::shared_ptr<const PartRows>>;

/// What a session reads, beside its cut.
struct SessionView {
  RowsToRead rows;        ///< of entities of which the session reads only some parts
  RowsToRead queue_rows;  ///< of the others: rows of the values by which queues take some of them
  SessionQueues queues;

  /// The session is drained: only the queues are still asked for.
  void ForgetRows();
};

/// For the newest session of `marks`. `queues` may be null.
Result<SessionView> MakeSessionView(const Store& store,
                                    const DeviceMarks& marks,
                                    std::shared_ptr<const ResolvedQueues> queues = nullptr);

/// Opens the log at `cut` where the newest session of `marks` may be owed something that belongs to
/// `queue`, above the position of that queue.
LogCursor ReadOwed(const Store& store,
                   const std::shared_ptr<const Cut>& cut,
                   const DeviceMarks& marks,
                   const SessionView& view,
                   size_t queue);

/// Counts what the newest session of `marks` is owed at `cut`, by queue as well, reading no more
/// entries than it must.
Result<OwedTally> CountOwed(const Store& store,
                            const std::shared_ptr<const Cut>& cut,
                            const DeviceMarks& marks,
                            SessionView* view);

/// False if nothing in the log is newer than what the device at rest has; true if something may be.
bool MayOwe(const Store& store, const DeviceMarks& marks, const Selection& selection);

}  // namespace tidemark
