// Upkeep: what no device needs is forgotten, and events go by their retention.
#include <algorithm>

#include "replication/internal/holding.h"
#include "replication/internal/session_view.h"
#include "replication/internal/source_impl.h"

namespace tidemark {
namespace {

/// A pass of its own begins after this many acknowledged instructions, or half as many as there are
/// tombstones: then its cost is a share of the acknowledgements that led to it. A device that comes
/// to rest releases more than it acknowledged last, and counts for as many.
constexpr uint64_t kReleasedMin = 1024;

}  // namespace

/// Ends the sessions that were idle for too long; if too many deaths are still pinned, also the one
/// with the oldest cut.
void Source::Impl::ExpireSessions() {
  DevicePtr oldest;
  SequenceNumber oldest_cut = kSequenceLimit;
  for (const DevicePtr& device : All()) {
    const std::unique_lock lock(device->mutex, std::try_to_lock);
    if (!lock.owns_lock() || !device->session.has_value()) continue;
    if (IsExpired(*device)) {
      CloseSession(*device);
    } else if (device->session->cut != nullptr && device->session->cut->sequence() < oldest_cut) {
      oldest_cut = device->session->cut->sequence();
      oldest = device;
    }
  }
  if (oldest == nullptr || store_.pinned_deaths() <= options_.pinned_deaths_max) return;
  const std::lock_guard lock(oldest->mutex);
  CloseSession(*oldest);
}

bool Source::Impl::KeepsStay(EntityNumber entity, const EndedStay& stay) const {
  // Called inside a commit, so a device that is busy is taken to need it.
  const std::vector<DevicePtr> devices = All();
  return std::any_of(devices.begin(), devices.end(), [&](const DevicePtr& device) {
    const std::unique_lock lock(device->mutex, std::try_to_lock);
    return !lock.owns_lock() || device->stale || device->marks.Keeps(entity, stay);
  });
}

Status Source::Impl::ResetBeyondBound() {
  std::vector<DevicePtr> absent;
  std::vector<DeviceMarks> marks;
  for (DevicePtr& device : All()) {
    const std::lock_guard lock(device->mutex);
    TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
    if (IsReading(*device)) continue;
    marks.push_back(device->marks);
    absent.push_back(std::move(device));
  }
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<uint64_t> holding, CountHolding(store_, marks));
  for (size_t i = 0; i < absent.size(); ++i) {
    if (holding[i] <= *options_.held_tombstones_max) continue;
    const std::lock_guard lock(absent[i]->mutex);
    if (IsReading(*absent[i])) continue;  // it has come back
    TIDEMARK_RETURN_IF_ERROR(Refresh(*absent[i]));
    absent[i]->marks.Reset();
    TIDEMARK_RETURN_IF_ERROR(Save(*absent[i], /*with_descriptor=*/false, /*sync=*/true));
  }
  return {};
}

Result<PurgeResult> Source::Impl::Purge() {
  const std::lock_guard upkeep(upkeep_mutex_);
  return PurgeNow();
}

Result<PurgeResult> Source::Impl::PurgeNow() {
  ExpireSessions();
  if (options_.held_tombstones_max.has_value()) TIDEMARK_RETURN_IF_ERROR(ResetBeyondBound());
  // Marks as of now. A device that moves on meanwhile needs no more than it did: what a later
  // session may be owed was not dead at its cut.
  RestingFloors resting;
  SequenceSet positions;
  std::vector<DeviceMarks> restless;
  TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store_.PinCut());
  for (const DevicePtr& device : All()) {
    const std::lock_guard lock(device->mutex);
    TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
    positions.Add(device->marks.floor());
    positions.Add(device->marks.session_cut());
    if (device->marks.AtRest()) {
      resting.Add(device->marks);
    } else {
      restless.push_back(device->marks);
    }
  }
  resting.Seal();
  const auto is_needed = [&](EntityNumber entity, const EndedStay& life) {
    return resting.Keeps(entity, life) ||
           std::any_of(restless.begin(), restless.end(), [&](const DeviceMarks& marks) {
             return marks.Keeps(entity, life);
           });
  };

  PurgeResult result;
  for (const EntityNumber entity : store_.EntityNumbers()) {
    if (store_.CountTombstones(entity, kSequenceZero) == 0) continue;
    std::vector<SequenceNumber> heads;
    LogCursor cursor = store_.ReadLog(cut, {{.entity = entity, .live = false}});
    while (cursor.Next()) {
      const LogEntry& entry = cursor.entry();
      ++result.examined;
      const bool needed =
          std::any_of(entry.ended.begin(), entry.ended.end(), [&](const EndedStay& life) {
            return is_needed(entity, life);
          });
      if (!needed) heads.push_back(entry.head);
    }
    TIDEMARK_RETURN_IF_ERROR(cursor.status());
    result.purged += heads.size();
    TIDEMARK_RETURN_IF_ERROR(store_.PurgeTombstones(entity, heads));
  }
  TIDEMARK_RETURN_IF_ERROR(store_.PrunePositions(positions, cut->sequence()));
  return result;
}

void Source::Impl::NoteReleased(uint64_t acknowledged, bool settled) {
  released_ += acknowledged + (settled ? kReleasedMin : 0);
}

void Source::Impl::ForgetIfDue() {
  if (released_ < kReleasedMin) return;
  uint64_t tombstones = 0;
  for (const EntityNumber entity : store_.EntityNumbers()) {
    tombstones += store_.CountTombstones(entity, kSequenceZero);
  }
  if (tombstones == 0 || released_ < tombstones / 2) return;
  const std::unique_lock upkeep(upkeep_mutex_, std::try_to_lock);
  if (!upkeep.owns_lock() || released_ < kReleasedMin) return;
  released_ = 0;
  // A failure is the store's, and the next call that writes meets it, too.
  if (PurgeNow().ok()) static_cast<void>(store_.RemoveDropped().ok());
}

Result<uint64_t> Source::Impl::Trim(std::string_view name, SequenceNumber through) {
  const std::lock_guard upkeep(upkeep_mutex_);
  return TrimNow(name, through);
}

Result<uint64_t> Source::Impl::TrimNow(std::string_view name, SequenceNumber through) {
  // All at once, and nobody else locks two: what a device has does not change between the count and
  // the commit.
  const std::vector<DevicePtr> devices = All();
  std::vector<std::unique_lock<DeviceMutex>> locks;
  locks.reserve(devices.size());
  for (const DevicePtr& device : devices) {
    locks.emplace_back(device->mutex);
    TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  }
  struct Concerned {
    Device* device;
    std::optional<DeviceMarks::Lack> lack;  // of whoever sees only some events
  };
  std::vector<Concerned> concerned;
  const auto entity = store_.FindEntity(name);
  for (const DevicePtr& device : devices) {
    const Selection selection = device->Resolve(store_);
    if (device->descriptor.forgotten || !entity.has_value()) continue;
    if (selection.Contains(entity->number)) {
      concerned.push_back({device.get(), std::nullopt});
    } else if (selection.NamesValuesOf(entity->number)) {
      TIDEMARK_ASSIGN_OR_RETURN(const DeviceMarks::Lack lack,
                                CountLacking(device->marks, selection, entity->number, through));
      concerned.push_back({device.get(), lack});
    }
  }
  std::vector<Device*> changed;
  const auto note_gaps = [&](const TrimmedEvents& events, WriteBatch* rows) {
    for (const auto& [device, some] : concerned) {
      const DeviceMarks::Lack lack =
          some.has_value() ? *some
                           : device->marks.Lacks(events.entity, events.live, events.through);
      if (lack.count == 0) continue;
      PendingGap& gap = device->gaps[events.entity];
      if (gap.count == 0) gap.range.first = lack.first;
      gap.entity = name;
      gap.range.limit = events.through.Next();
      gap.count += lack.count;
      rows->SetRow(GapKey(device->descriptor.number, events.entity), EncodeGap(gap));
      changed.push_back(device);
    }
  };
  Result<uint64_t> trimmed = store_.Trim(name, through, note_gaps);
  if (!trimmed.ok()) {
    for (Device* device : changed) device->stale = true;
  }
  return trimmed;
}

Result<DeviceMarks::Lack> Source::Impl::CountLacking(const DeviceMarks& marks,
                                                     const Selection& selection,
                                                     EntityNumber entity,
                                                     SequenceNumber through) {
  DeviceMarks::Lack lack;
  if (marks.session() == 0) return lack;
  TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store_.PinCut());
  LogCursor cursor = store_.ReadLog(cut, {{.entity = entity, .tombstones = false}});
  while (cursor.Next() && cursor.entry().head <= through) {
    const EntryState event = ToEntryState(cursor.entry());
    if (!Shows(selection, event) || marks.HasLasting(event)) continue;
    if (lack.count++ == 0) lack.first = event.head;
  }
  TIDEMARK_RETURN_IF_ERROR(cursor.status());
  return lack;
}

Result<UpkeepResult> Source::Impl::Upkeep() {
  const std::lock_guard upkeep(upkeep_mutex_);
  UpkeepResult result;
  const int64_t now = store_.runtime().clock().WallMilliseconds();
  for (const EntityInfo& entity : store_.ListEntities()) {
    if (entity.declaration.kind != EntityKind::kIncremental) continue;
    SequenceNumber through;
    {
      TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store_.PinCut());
      TIDEMARK_ASSIGN_OR_RETURN(through, retention_.Find(store_, cut, entity, now));
    }
    if (through == kSequenceZero) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const uint64_t trimmed, TrimNow(entity.name, through));
    result.trimmed += trimmed;
  }
  TIDEMARK_ASSIGN_OR_RETURN(result.purge, PurgeNow());
  TIDEMARK_ASSIGN_OR_RETURN(result.entities_removed, store_.RemoveDropped());
  return result;
}

}  // namespace tidemark
