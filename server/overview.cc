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

void WriteEntities(const Store& store, JsonWriter* writer) {
  std::vector<EntityInfo> entities = store.ListEntities();
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

template <typename Item>
void WriteRows(std::string_view name,
               const std::vector<Item>& items,
               std::string (*to_json)(const Item&),
               JsonWriter* writer) {
  writer->Key(name).BeginArray();
  for (size_t i = 0; i < std::min(items.size(), kOverviewRowsMax); ++i) {
    writer->Raw(to_json(items[i]));
  }
  writer->EndArray();
}

}  // namespace

std::string OverviewToJson(Instance& instance) {
  JsonWriter writer;
  writer.BeginObject().Key("instance").String(instance.name());
  WriteStore(instance.store(), &writer);
  WriteEntities(instance.store(), &writer);
  WriteDevices(instance, &writer);
  writer.Key("uploads").BeginArray();
  for (const UploadInfo& upload : instance.uploads().List(kOverviewUploadsMax)) {
    writer.Raw(UploadToJson(upload));
  }
  writer.EndArray();
  WriteRows("scopes", instance.tracker().ListScopes(), &SyncScopeToJson, &writer);
  WriteRows("statuses", instance.tracker().ListStatuses(), &SyncStatusToJson, &writer);
  writer.EndObject();
  return writer.Take();
}

}  // namespace tidemark::server
