#include "server/metrics.h"

#include <algorithm>

#include "db/store.h"
#include "server/exposition.h"

namespace tidemark::server {
namespace {

struct StoreTotals {
  StoreStatistics sum;
  uint64_t waiting = 0;
  uint64_t stopped = 0;
};

StoreTotals TotalsOf(const std::vector<std::shared_ptr<Instance>>& instances) {
  StoreTotals totals;
  for (const auto& instance : instances) {
    const StoreStatistics one = instance->store().Statistics();
    totals.sum.commits += one.commits;
    totals.sum.commit_groups += one.commit_groups;
    totals.sum.wal_syncs += one.wal_syncs;
    totals.sum.wal_sync_micros += one.wal_sync_micros;
    totals.sum.records += one.records;
    totals.sum.tombstones += one.tombstones;
    totals.sum.log_rows += one.log_rows;
    totals.sum.window_records += one.window_records;
    totals.sum.folds += one.folds;
    totals.sum.pins += one.pins;
    totals.sum.pinned_deaths += one.pinned_deaths;
    totals.sum.disk_bytes += one.disk_bytes;
    totals.waiting += instance->waiters().size();
    if (!instance->store().WritingState().ok()) ++totals.stopped;
  }
  return totals;
}

void WriteStores(Exposition& out, const std::vector<std::shared_ptr<Instance>>& instances) {
  const StoreTotals totals = TotalsOf(instances);
  const StoreStatistics& sum = totals.sum;
  out.One("instances_open", "gauge", "Instances that are open.", instances.size());
  out.One("instances_stopped",
          "gauge",
          "Open instances that take no writes: their disk is full, or failed.",
          totals.stopped);
  out.One("commits", "gauge", "Commits since open instances were opened.", sum.commits);
  out.One(
      "commit_groups", "gauge", "Groups that these commits were written in.", sum.commit_groups);
  out.One("fsyncs", "gauge", "Syncs of the write-ahead log.", sum.wal_syncs);
  out.One("fsync_microseconds",
          "gauge",
          "Time spent in the writes that these were part of.",
          sum.wal_sync_micros);
  out.One("records", "gauge", "Live records.", sum.records);
  out.One("tombstones",
          "gauge",
          "Deletions kept for devices: what absent ones hold back.",
          sum.tombstones);
  out.One("log_rows", "gauge", "Rows in the change logs, dead ones included.", sum.log_rows);
  out.One(
      "window_records", "gauge", "Changes in memory that are not yet folded.", sum.window_records);
  out.One("folds", "gauge", "Folds since open instances were opened.", sum.folds);
  out.One("pins", "gauge", "Open cuts: sessions and views.", sum.pins);
  out.One("pinned_deaths", "gauge", "Replaced heads remembered for them.", sum.pinned_deaths);
  out.One("store_bytes", "gauge", "Bytes of the stores on disk.", sum.disk_bytes);
  out.One("waiting", "gauge", "Calls that wait for a change.", totals.waiting);
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

void Metrics::CountAnswer(std::string_view route, int status, std::string_view error_code) {
  const auto status_class = static_cast<size_t>(std::clamp(status / 100, 0, 5));
  const std::lock_guard lock(mutex_);
  auto at = answers_.find(route);
  if (at == answers_.end()) at = answers_.emplace(std::string(route), StatusClasses{}).first;
  ++at->second[status_class];
  if (error_code.empty()) return;
  auto error = errors_.find(error_code);
  if (error == errors_.end()) error = errors_.emplace(std::string(error_code), 0).first;
  ++error->second;
}

void Metrics::CountPage(uint64_t records, uint64_t bytes) {
  ++pages_;
  page_records_ += records;
  page_bytes_ += bytes;
}

void Metrics::CountAck(const AckResult& result) {
  acks_applied_ += result.applied;
  acks_repeated_ += result.repeated;
  acks_ignored_ += result.ignored;
}

std::string Metrics::Text(const std::vector<std::shared_ptr<Instance>>& instances,
                          const http::ListenerStatistics& listener,
                          Clock& clock) {
  Exposition out;
  WriteStores(out, instances);
  WriteDevices(out, devices_.Totals(instances, clock));
  WriteListener(out, listener);
  out.One("sessions_total", "counter", "Sessions started.", sessions_);
  out.One("pages_total", "counter", "Pages handed out.", pages_);
  out.One("page_records_total", "counter", "Instructions handed out.", page_records_);
  out.One("page_bytes_total", "counter", "Bytes of these pages, as batches.", page_bytes_);
  out.Begin("acks_total", "counter", "Instructions acknowledged, and keys that said nothing new.");
  out.Sample("acks_total", R"({outcome="applied"})", acks_applied_);
  out.Sample("acks_total", R"({outcome="repeated"})", acks_repeated_);
  out.Sample("acks_total", R"({outcome="ignored"})", acks_ignored_);

  const std::lock_guard lock(mutex_);
  out.Begin("requests_total", "counter", "Answers by route and class of status.");
  for (const auto& [route, classes] : answers_) {
    for (size_t i = 1; i < classes.size(); ++i) {
      if (classes[i] == 0) continue;
      out.Sample("requests_total",
                 "{route=\"" + route + "\",status=\"" + std::to_string(i) + "xx\"}",
                 classes[i]);
    }
  }
  out.Begin("errors_total", "counter", "Errors by code.");
  for (const auto& [code, count] : errors_) {
    out.Sample("errors_total", "{code=\"" + code + "\"}", count);
  }
  return out.Take();
}

}  // namespace tidemark::server
