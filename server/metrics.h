// What a server counts about itself, and how it tells it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "http/listener.h"
#include "replication/source.h"
#include "server/device_figures.h"
#include "server/instance.h"

namespace tidemark::server {

/// Counters since the start. Thread-safe.
class Metrics {
 public:
  /// `route` is a pattern of the table, never a path: paths have no bound.
  void CountAnswer(std::string_view route, int status, std::string_view error_code);
  void CountSession() { ++sessions_; }
  void CountPage(uint64_t records, uint64_t bytes);
  void CountAck(const AckResult& result);

  /// Text in the format that Prometheus reads.
  std::string Text(const std::vector<std::shared_ptr<Instance>>& instances,
                   const http::ListenerStatistics& listener,
                   Clock& clock);

 private:
  using StatusClasses = std::array<uint64_t, 6>;

  DeviceFigures devices_;
  std::mutex mutex_;  // guards the maps
  std::map<std::string, StatusClasses, std::less<>> answers_;
  std::map<std::string, uint64_t, std::less<>> errors_;
  std::atomic<uint64_t> sessions_ = 0;
  std::atomic<uint64_t> pages_ = 0;
  std::atomic<uint64_t> page_records_ = 0;
  std::atomic<uint64_t> page_bytes_ = 0;
  std::atomic<uint64_t> acks_applied_ = 0;
  std::atomic<uint64_t> acks_repeated_ = 0;
  std::atomic<uint64_t> acks_ignored_ = 0;
};

}  // namespace tidemark::server
