#include "replication/internal/session_view.h"

#include <algorithm>

namespace tidemark {

EntryState ToEntryState(const LogEntry& entry) {
  return {.part = entry.entity,
          .head = entry.head,
          .live = entry.live,
          .birth = entry.birth,
          .ended = entry.ended};
}

LogCursor ReadOwed(const Store& store,
                   const std::shared_ptr<const Cut>& cut,
                   const DeviceMarks& marks,
                   SequenceNumber position) {
  std::vector<LogRange> ranges;
  for (const EntityNumber entity : store.EntityNumbers()) {
    const auto range = marks.Range(entity);
    if (!range.has_value()) continue;
    const SequenceNumber live_after = std::max(range->live_after, position);
    const SequenceNumber tombstones_after = std::max(range->tombstones_after, position);
    if (range->live && range->tombstones && live_after == tombstones_after) {
      ranges.push_back({.entity = entity, .after = live_after});
      continue;
    }
    if (range->live) {
      ranges.push_back({.entity = entity, .after = live_after, .tombstones = false});
    }
    if (range->tombstones) {
      ranges.push_back({.entity = entity, .after = tombstones_after, .live = false});
    }
  }
  return store.ReadLog(cut, ranges);
}

Result<OwedTally> CountOwed(const Store& store,
                            const std::shared_ptr<const Cut>& cut,
                            const DeviceMarks& marks) {
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
      to_read.push_back({.entity = entity, .after = range->live_after, .tombstones = false});
    }
    if (range->tombstones) {
      to_read.push_back({.entity = entity, .after = range->tombstones_after, .live = false});
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
    return selection.Contains(entity) &&
           (store.CountLive(entity, floor) > 0 ||
            (!holds_nothing && store.CountTombstones(entity, floor) > 0));
  });
}

}  // namespace tidemark
