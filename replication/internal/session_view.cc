#include "replication/internal/session_view.h"

#include <algorithm>
#include <utility>

namespace tidemark {

EntryState ToEntryState(const LogEntry& entry) {
  return {.entity = entry.entity,
          .head = entry.head,
          .live = entry.live,
          .birth = entry.birth,
          .ended = entry.ended,
          .stays = entry.stays};
}

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

Status AddRows(const Store& store,
               EntityNumber entity,
               const std::vector<PartBound>& parts,
               RowsToRead* rows) {
  if (parts.empty()) return {};
  TIDEMARK_ASSIGN_OR_RETURN(PartRows found, store.FindPartRows(entity, parts));
  (*rows)[entity] = std::make_shared<const PartRows>(std::move(found));
  return {};
}

// Of a range whose live entries are all owed: those that belong to a queue by a value, which alone
// are read. Notes them.
Result<uint64_t> CountByValue(const Store& store,
                              const std::shared_ptr<const Cut>& cut,
                              const ReadRange& range,
                              SessionView* view) {
  SessionQueues& queues = view->queues;
  if (queues.OfAll(range.entity).has_value()) return 0;
  const size_t rest = queues.OfRest(range.entity);
  LogCursor cursor = store.ReadLog(cut,
                                   {{.entity = range.entity,
                                     .after = range.live_after,
                                     .tombstones = false,
                                     .only = RowsOf(view->queue_rows, range.entity)}});
  uint64_t count = 0;
  while (cursor.Next()) {
    const size_t queue = queues.Of(ToEntryState(cursor.entry()), /*shown=*/true);
    if (queue == rest) continue;
    queues.Owe(queue, 1);
    ++count;
  }
  TIDEMARK_RETURN_IF_ERROR(cursor.status());
  return count;
}

}  // namespace

void SessionView::ForgetRows() {
  rows.clear();
  queue_rows.clear();
}

Result<SessionView> MakeSessionView(const Store& store,
                                    const DeviceMarks& marks,
                                    std::shared_ptr<const ResolvedQueues> queues) {
  SessionView view{.rows = {}, .queue_rows = {}, .queues = SessionQueues(std::move(queues))};
  for (const EntityNumber entity : store.EntityNumbers()) {
    const auto parts = marks.PartsToRead(entity);
    if (parts.has_value()) {
      TIDEMARK_RETURN_IF_ERROR(AddRows(store, entity, *parts, &view.rows));
      continue;
    }
    const auto range = marks.Range(entity);
    if (!range.has_value() || !range->live) continue;
    std::vector<PartBound> bounds;
    for (const KeyValue& value : view.queues.DecidingValues(entity)) {
      bounds.push_back({value, range->live_after});
    }
    TIDEMARK_RETURN_IF_ERROR(AddRows(store, entity, bounds, &view.queue_rows));
  }
  return view;
}

LogCursor ReadOwed(const Store& store,
                   const std::shared_ptr<const Cut>& cut,
                   const DeviceMarks& marks,
                   const SessionView& view,
                   size_t queue) {
  const SequenceNumber position = view.queues.position(queue);
  std::vector<LogRange> ranges;
  for (const EntityNumber entity : store.EntityNumbers()) {
    const auto range = marks.Range(entity);
    bool only_values = false;
    if (!range.has_value() || !view.queues.Touches(queue, entity, &only_values)) continue;
    auto rows = RowsOf(view.rows, entity);
    if (rows == nullptr && only_values) rows = RowsOf(view.queue_rows, entity);
    const SequenceNumber live_after = std::max(range->live_after, position);
    const SequenceNumber tombstones_after = std::max(range->tombstones_after, position);
    const bool tombstones = range->tombstones && !only_values;  // which have no values
    if (range->live && tombstones && live_after == tombstones_after) {
      ranges.push_back({.entity = entity, .after = live_after, .only = rows});
      continue;
    }
    if (range->live) {
      ranges.push_back({.entity = entity, .after = live_after, .tombstones = false, .only = rows});
    }
    if (tombstones) {
      ranges.push_back({.entity = entity, .after = tombstones_after, .live = false, .only = rows});
    }
  }
  return store.ReadLog(cut, ranges);
}

Result<OwedTally> CountOwed(const Store& store,
                            const std::shared_ptr<const Cut>& cut,
                            const DeviceMarks& marks,
                            SessionView* view) {
  OwedTally tally;
  SessionQueues& queues = view->queues;
  std::vector<LogRange> to_read;
  for (const EntityNumber entity : store.EntityNumbers()) {
    const auto range = marks.Range(entity);
    if (!range.has_value()) continue;
    if (range->live && range->all_live_owed) {
      const uint64_t count = store.CountLiveAt(*cut, entity, range->live_after);
      const auto lowest = store.FirstLiveAt(*cut, entity, range->live_after);
      tally.AddWhole(*range, count, lowest.value_or(kSequenceLimit));
      TIDEMARK_ASSIGN_OR_RETURN(const uint64_t by_value, CountByValue(store, cut, *range, view));
      queues.Owe(queues.OfRest(entity), count - by_value);
    } else if (range->live) {
      to_read.push_back({.entity = entity,
                         .after = range->live_after,
                         .tombstones = false,
                         .only = RowsOf(view->rows, entity)});
    }
    if (range->tombstones) {
      to_read.push_back({.entity = entity,
                         .after = range->tombstones_after,
                         .live = false,
                         .only = RowsOf(view->rows, entity)});
    }
  }
  LogCursor cursor = store.ReadLog(cut, to_read);
  while (cursor.Next()) {
    const EntryState entry = ToEntryState(cursor.entry());
    const auto owed = marks.Owed(entry);
    if (!owed.has_value()) continue;
    tally.Add(*owed);
    queues.Owe(queues.Of(entry, !owed->deleted()), 1);
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
