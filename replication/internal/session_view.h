// What a session reads: the parts of the log that may hold something owed, at its cut.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "db/store.h"
#include "replication/internal/marks.h"

namespace tidemark {

/// The entry as the marks see it; refers to `entry`.
EntryState ToEntryState(const LogEntry& entry);

/// Rows of entities of which the session reads only some parts, as far as those are indexed.
using RowsToRead = std::map<EntityNumber, std::shared_ptr<const PartRows>>;
Result<RowsToRead> FindRowsToRead(const Store& store, const DeviceMarks& marks);

/// Opens the log at `cut` where the newest session of `marks` may be owed something, above
/// `position`.
LogCursor ReadOwed(const Store& store,
                   const std::shared_ptr<const Cut>& cut,
                   const DeviceMarks& marks,
                   const RowsToRead& rows,
                   SequenceNumber position);

/// Counts what the newest session of `marks` is owed at `cut`, reading no more entries than it
/// must.
Result<OwedTally> CountOwed(const Store& store,
                            const std::shared_ptr<const Cut>& cut,
                            const DeviceMarks& marks,
                            const RowsToRead& rows);

/// False if nothing in the log is newer than what the device at rest has; true if something may be.
bool MayOwe(const Store& store, const DeviceMarks& marks, const Selection& selection);

}  // namespace tidemark
