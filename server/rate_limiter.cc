#include "server/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>

namespace tidemark::server {
namespace {

// Full buckets are forgotten beyond this many: a bucket not kept is a full one.
constexpr size_t kBucketsMax = 10'000;

double Seconds(MonotonicTime::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

RateLimiter::RateLimiter(double per_second, double burst, Clock& clock)
    : per_second_(per_second), burst_(std::max(burst, 1.0)), clock_(clock) {}

std::chrono::milliseconds RateLimiter::Take(std::string_view key) {
  if (per_second_ <= 0) return std::chrono::milliseconds(0);
  const MonotonicTime now = clock_.Now();
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= kBucketsMax) Forget(now);
  Bucket& bucket =
      buckets_.try_emplace(std::string(key), Bucket{.left = burst_, .filled = now}).first->second;
  bucket.left = std::min(burst_, bucket.left + Seconds(now - bucket.filled) * per_second_);
  bucket.filled = now;
  if (bucket.left >= 1) {
    bucket.left -= 1;
    return std::chrono::milliseconds(0);
  }
  return std::chrono::milliseconds(
      static_cast<int64_t>(std::ceil((1 - bucket.left) / per_second_ * 1000)));
}

void RateLimiter::Forget(MonotonicTime now) {
  for (auto at = buckets_.begin(); at != buckets_.end();) {
    const double left = at->second.left + Seconds(now - at->second.filled) * per_second_;
    at = left >= burst_ ? buckets_.erase(at) : std::next(at);
  }
}

}  // namespace tidemark::server
