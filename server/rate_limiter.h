// How often a token may ask.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "db/runtime.h"

namespace tidemark::server {

/// A bucket of tokens to spend for each key, refilled evenly. Thread-safe.
class RateLimiter {
 public:
  /// A rate of zero limits nobody.
  RateLimiter(double per_second, double burst, Clock& clock);

  /// Zero: go on. Otherwise the time after which it is worth asking again.
  std::chrono::milliseconds Take(std::string_view key);

 private:
  struct Bucket {
    double left = 0;
    MonotonicTime filled;
  };

  void Forget(MonotonicTime now);

  const double per_second_;
  const double burst_;
  Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace tidemark::server
