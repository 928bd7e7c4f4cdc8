#include "server/metrics.h"

#include "db/store.h"
#include "server/exposition.h"

namespace tidemark::server {
namespace {

using OpenInstances = std::vector<std::shared_ptr<Instance>>;

struct StoreTotals {
  StoreStatistics sum;
  uint64_t waiting = 0;
  uint64_t stopped = 0;
};

StoreTotals TotalsOf(const OpenInstances& instances) {
  StoreTotals totals;
  for (const auto& instance : instances) {
    const StoreStatistics one = instance->store().Statistics();
    totals.sum.records += one.records;
    totals.sum.tombstones += one.tombstones;
    totals.sum.log_rows += one.log_rows;
    totals.sum.window_records += one.window_records;
    totals.sum.pins += one.pins;
    totals.sum.pinned_deaths += one.pinned_deaths;
    totals.sum.disk_bytes += one.disk_bytes;
    totals.waiting += instance->waiters().size();
    if (!instance->store().WritingState().ok()) ++totals.stopped;
  }
  return totals;
}

void WriteStores(Exposition& out, const OpenInstances& instances) {
  const StoreTotals totals = TotalsOf(instances);
  const StoreStatistics& sum = totals.sum;
  out.One("instances_open", "gauge", "Instances that are open.", instances.size());
  out.One("instances_stopped",
          "gauge",
          "Open instances that take no writes: their disk is full, or failed.",
          totals.stopped);
  out.One("records", "gauge", "Live records.", sum.records);
  out.One("tombstones",
          "gauge",
          "Deletions kept for devices: what absent ones hold back.",
          sum.tombstones);
  out.One("log_rows", "gauge", "Rows in the change logs, dead ones included.", sum.log_rows);
  out.One(
      "window_records", "gauge", "Changes in memory that are not yet folded.", sum.window_records);
  out.One("pins", "gauge", "Open cuts: sessions and views.", sum.pins);
  out.One("pinned_deaths", "gauge", "Replaced heads remembered for them.", sum.pinned_deaths);
  out.One("store_bytes", "gauge", "Bytes of the stores on disk.", sum.disk_bytes);
  out.One("waiting", "gauge", "Calls that wait for a change.", totals.waiting);
}

void WriteCounts(Exposition& out, const StoreCounts& counts) {
  out.One("commits_total", "counter", "Commits.", counts.commits);
  out.One("commit_groups_total",
          "counter",
          "Groups that these commits were written in.",
          counts.commit_groups);
  out.One("fsyncs_total", "counter", "Syncs of the write-ahead log.", counts.wal_syncs);
  out.Begin("fsync_seconds_total", "counter", "Time spent in the writes that these were part of.");
  out.Seconds("fsync_seconds_total", counts.wal_sync_micros);
  out.One("folds_total", "counter", "Folds of changes into the indexes.", counts.folds);
}

void WriteDevices(Exposition& out, const DeviceTotals& devices) {
  out.One("devices", "gauge", "Devices that were seen and not forgotten.", devices.devices);
  out.One("devices_behind", "gauge", "Devices that are owed something.", devices.behind);
  out.One("sessions_open", "gauge", "Devices with an open session.", devices.sessions);
  out.One("device_lag_max",
          "gauge",
          "Changes since the last settled session of the device furthest behind.",
          devices.lag_max);
  out.One("device_backlog", "gauge", "Instructions owed to all devices.", devices.owed);
  out.One("device_backlog_max", "gauge", "Instructions owed to one device.", devices.owed_max);
  out.One("device_unacknowledged",
          "gauge",
          "Instructions handed out to all devices and not acknowledged.",
          devices.unacknowledged);
  out.One(
      "device_holding_max", "gauge", "Deletions held back for one device.", devices.holding_max);
}

void WriteListener(Exposition& out, const http::ListenerStatistics& listener) {
  out.One("connections", "gauge", "Connections that are open.", listener.connections_open);
  out.One("connections_total", "counter", "Connections accepted.", listener.connections_total);
  out.One("refused_total",
          "counter",
          "Requests answered by the listener itself.",
          listener.refused_total);
  out.One("received_bytes_total", "counter", "Bytes received.", listener.bytes_in);
  out.One("sent_bytes_total", "counter", "Bytes sent.", listener.bytes_out);
}

}  // namespace

std::string Metrics::Text(const OpenInstances& open,
                          const http::ListenerStatistics& listener,
                          Clock& clock) {
  Exposition out;
  WriteStores(out, open);
  WriteCounts(out, stores_.Total(open));
  WriteDevices(out, devices_.Totals(open, clock));
  WriteListener(out, listener);
  traffic_.WriteTo(out);
  return out.Take();
}

std::string Metrics::TextOf(const std::shared_ptr<Instance>& instance, Clock& clock) {
  Exposition out;
  const OpenInstances open = instance == nullptr ? OpenInstances() : OpenInstances{instance};
  WriteStores(out, open);
  if (instance == nullptr) return out.Take();
  WriteCounts(out, CountsOf(instance->store().Statistics()));
  WriteDevices(out, devices_.Totals(open, clock));
  instance->traffic().WriteTo(out);
  return out.Take();
}

}  // namespace tidemark::server
