#include "server/overview.h"

#include <algorithm>
#include <string>
#include <vector>

#include "format/json.h"
#include "server/device_json.h"
#include "server/upload_json.h"

namespace tidemark::server {
namespace {

void WriteStore(Store& store, JsonWriter* writer) {
  const StoreStatistics statistics = store.Statistics();
  const Status writing = store.WritingState();
  writer->Key("store").BeginObject();
  writer->Key("sequence").Unsigned(store.last_sequence().value());
  writer->Key("records").Unsigned(statistics.records);
  writer->Key("tombstones").Unsigned(statistics.tombstones);
  writer->Key("commits").Unsigned(statistics.commits);
  writer->Key("disk_bytes").Unsigned(statistics.disk_bytes);
  writer->Key("epoch").Unsigned(store.identity().epochs.back().ordinal);
  writer->Key("writing").Bool(writing.ok());
  writer->Key("reason").String(writing.ok() ? "" : writing.message()).EndObject();
}

/// How many of each kind an overview does not show.
struct Hidden {
  size_t entities = 0;
  size_t scopes = 0;
  size_t statuses = 0;
};

size_t Beyond(size_t count) {
  return count - std::min(count, kOverviewRowsMax);
}

void WriteEntities(const Store& store, Hidden* hidden, JsonWriter* writer) {
  const std::vector<EntityInfo> entities = store.ListEntities();
  hidden->entities = Beyond(entities.size());
  writer->Key("entities").BeginArray();
  for (size_t i = 0; i < std::min(entities.size(), kOverviewRowsMax); ++i) {
    const EntityInfo& entity = entities[i];
    writer->BeginObject().Key("name").String(entity.name);
    writer->Key("kind").String(entity.declaration.kind == EntityKind::kSnapshot ? "snapshot"
                                                                                : "incremental");
    writer->Key("records").Unsigned(entity.record_count);
    writer->Key("tombstones").Unsigned(entity.tombstone_count).EndObject();
  }
  writer->EndArray();
}

void WriteDevices(Instance& instance, JsonWriter* writer) {
  const SequenceNumber last = instance.store().last_sequence();
  writer->Key("devices").BeginObject();
  writer->Key("count").Unsigned(instance.source().device_count());
  writer->Key("items").BeginArray();
  for (const DeviceInfo& device : instance.source().FarthestBehind(kOverviewDevicesMax)) {
    writer->Raw(DeviceToJson(device, last));
  }
  writer->EndArray().EndObject();
}

/// What people look for first: what is at work, then what went wrong.
int Urgency(SyncState state) {
  switch (state) {
    case SyncState::kSyncing:
      return 0;
    case SyncState::kFailed:
    case SyncState::kInterrupted:
      return 1;
    case SyncState::kNotStarted:
    case SyncState::kSynced:
      break;
  }
  return 2;
}

/// The most urgent, and by id among equals. Returns how many are left out.
template <typename Item>
size_t WriteSyncs(std::string_view name,
                  std::vector<Item> items,
                  std::string (*to_json)(const Item&),
                  JsonWriter* writer) {
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return Urgency(a.state) < Urgency(b.state);
  });
  writer->Key(name).BeginArray();
  for (size_t i = 0; i < std::min(items.size(), kOverviewRowsMax); ++i) {
    writer->Raw(to_json(items[i]));
  }
  writer->EndArray();
  return Beyond(items.size());
}

}  // namespace

std::string OverviewToJson(Instance& instance) {
  JsonWriter writer;
  writer.BeginObject().Key("instance").String(instance.name());
  WriteStore(instance.store(), &writer);
  Hidden hidden;
  WriteEntities(instance.store(), &hidden, &writer);
  WriteDevices(instance, &writer);
  writer.Key("uploads").BeginArray();
  for (const UploadInfo& upload : instance.uploads().List(kOverviewUploadsMax)) {
    writer.Raw(UploadToJson(upload));
  }
  writer.EndArray();
  SyncTracker& tracker = instance.tracker();
  hidden.scopes = WriteSyncs("scopes", tracker.ListScopes(), &SyncScopeToJson, &writer);
  hidden.statuses = WriteSyncs("statuses", tracker.ListStatuses(), &SyncStatusToJson, &writer);
  writer.Key("hidden").BeginObject();
  writer.Key("entities").Unsigned(hidden.entities);
  writer.Key("scopes").Unsigned(hidden.scopes);
  writer.Key("statuses").Unsigned(hidden.statuses).EndObject();
  writer.EndObject();
  return writer.Take();
}

}  // namespace tidemark::server
