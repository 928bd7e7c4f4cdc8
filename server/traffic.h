// What was asked and answered: counters of the whole server, and of each open instance.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "replication/source.h"
#include "server/exposition.h"

namespace tidemark::server {

/// Counters since it was made. Thread-safe.
class Traffic {
 public:
  /// What is counted here is counted in `whole` as well, which outlives it; null: nowhere else.
  explicit Traffic(Traffic* whole = nullptr) : whole_(whole) {}

  /// `route` is a pattern of the table, never a path: paths have no bound.
  void CountAnswer(std::string_view route, int status, std::string_view error_code);
  void CountSession();
  void CountPage(uint64_t records, uint64_t bytes);
  void CountAck(const AckResult& result);

  void WriteTo(Exposition& out) const;

 private:
  using StatusClasses = std::array<uint64_t, 6>;

  Traffic* const whole_;
  mutable std::mutex mutex_;  // guards the maps
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
