#include "replication/internal/session_view.h"

#include <algorithm>
#include <utility>

namespace tidemark {
namespace {

std::shared_ptr<const PartRows> RowsOf(const RowsToRead& rows, EntityNumber entity) {
  const auto found = rows.find(entity);
  return found == rows.end() ? nullptr : found->second;
}

// True if something newer than `floor` is, or may be, in these parts.
bool HasNewer(const Store& store,
              EntityNumber entity,
              std::span<const Part> parts,
              SequenceNumber floor) {
  std::vector<PartBound> bounds;
  for (const Part& part : parts) bounds.push_back({part.in, floor});
  const auto rows = store.FindPartRows(entity, bounds);
  if (!rows.ok() || !rows->heads.empty()) return true;
  const SequenceNumber unindexed = std::max(floor, rows->through);
  return store.CountLive(entity, unindexed) > 0 || store.CountTombstones(entity, unindexed) > 0;
}

}  // namespace

EntryState ToEntryState(const LogEntry& entry) {
  return {.entity = entry.entity,
          .head = entry.head,
          .live = entry.live,
          .birth = entry.birth,
          .ended = entry.ended,
          .stays = entry.stays};
}

Result<RowsToRead> FindRowsToRead(const Store& store, const DeviceMarks& marks) {
  RowsToRead rows;
  for (const EntityNumber entity : store.EntityNumbers()) {
    const auto parts = marks.PartsToRead(entity);
    if (!parts.has_value() || parts->empty()) continue;
    TIDEMARK_ASSIGN_OR_RETURN(PartRows found, store.FindPartRows(entity, *parts));
    rows[entity] = std::make_shared<const PartRows>(std::move(found));
  }
  return rows;
}

LogCursor ReadOwed(const Store& store,
                   const std::shared_ptr<const Cut>& cut,
                   const DeviceMarks& marks,
                   const RowsToRead& rows,
                   SequenceNumber position) {
  std::vector<LogRange> ranges;
  for (const EntityNumber entity : store.EntityNumbers()) {
    const auto range = marks.Range(entity);
    if (!range.has_value()) continue;
    const SequenceNumber live_after = std::max(range->live_after, position);
    const SequenceNumber tombstones_after = std::max(range->tombstones_after, position);
    if (range->live && range->tombstones && live_after == tombstones_after) {
      ranges.push_back({.entity = entity, .after = live_after, .only = RowsOf(rows, entity)});
      continue;
    }
    if (range->live) {
      ranges.push_back({.entity = entity,
                        .after = live_after,
                        .tombstones = false,
                        .only = RowsOf(rows, entity)});
    }
    if (range->tombstones) {
      ranges.push_back({.entity = entity,
                        .after = tombstones_after,
                        .live = false,
                        .only = RowsOf(rows, entity)});
    }
  }
  return store.ReadLog(cut, ranges);
}

Result<OwedTally> CountOwed(const Store& store,
                            const std::shared_ptr<const Cut>& cut,
                            const DeviceMarks& marks,
                            const RowsToRead& rows) {
  OwedTally tally;
  std::vector<LogRange> to_read;
  for (const EntityNumber entity : store.EntityNumbers()) {
    const auto range = marks.Range(entity);
    if (!range.has_value()) continue;
    if (range->live && range->all_live_owed) {
      const uint64_t count = store.CountLiveAt(*cut, entity, range->live_after);
      const auto lowest = store.FirstLiveAt(*cut, entity, range->live_after);
      tally.AddWhole(*range, count, lowest.value_or(kSequenceLimit));
    } else if (range->live) {
      to_read.push_back({.entity = entity,
                         .after = range->live_after,
                         .tombstones = false,
                         .only = RowsOf(rows, entity)});
    }
    if (range->tombstones) {
      to_read.push_back({.entity = entity,
                         .after = range->tombstones_after,
                         .live = false,
                         .only = RowsOf(rows, entity)});
    }
  }
  LogCursor cursor = store.ReadLog(cut, to_read);
  while (cursor.Next()) {
    if (const auto owed = marks.Owed(ToEntryState(cursor.entry()))) tally.Add(*owed);
  }
  TIDEMARK_RETURN_IF_ERROR(cursor.status());
  return tally;
}

bool MayOwe(const Store& store, const DeviceMarks& marks, const Selection& selection) {
  if (!marks.AtRest() || marks.reset_pending() || marks.session() == 0) return true;
  // Who holds nothing is owed what is live, and no deletion.
  const bool holds_nothing = marks.HoldsNothing();
  if (!holds_nothing && !(marks.floor_selection() == selection)) return true;
  const SequenceNumber floor = holds_nothing ? kSequenceZero : marks.floor();
  const std::vector<EntityNumber> entities = store.EntityNumbers();
  return std::any_of(entities.begin(), entities.end(), [&](EntityNumber entity) {
    if (!selection.Contains(entity)) {
      const std::span<const Part> parts = selection.ValuesOf(entity);
      return !parts.empty() && HasNewer(store, entity, parts, floor);
    }
    return store.CountLive(entity, floor) > 0 ||
           (!holds_nothing && store.CountTombstones(entity, floor) > 0);
  });
}

}  // namespace tidemark
