// How often one and the same may ask.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "db/runtime.h"

namespace tidemark::server {

/// Buckets that are kept; who comes when there are so many shares one with others who do.
inline constexpr size_t kRateBucketsMax = 100'000;

/// A bucket of calls to spend for each key, refilled evenly. Thread-safe.
class RateLimiter {
 public:
  /// A rate of zero limits nobody.
  RateLimiter(double per_second, double burst, Clock& clock);

  /// Spends one. Zero: go on. Otherwise the time after which it is worth asking again.
  std::chrono::milliseconds Take(std::string_view key);

 private:
  struct Bucket {
    double left = 0;
    MonotonicTime filled;
  };

  Bucket& Filled(std::string_view key, MonotonicTime now);
  std::chrono::milliseconds UntilOne(const Bucket& bucket) const;
  void Forget(MonotonicTime now);

  const double per_second_;
  const double burst_;
  Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
  MonotonicTime forgot_;  // when full buckets were last looked for
};

}  // namespace tidemark::server
