#include "server/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>

namespace tidemark::server {
namespace {

// From so many on, full buckets are forgotten now and then: a bucket not kept is a full one.
constexpr size_t kBucketsKept = 10'000;
constexpr std::chrono::seconds kForgetPause{1};

double Seconds(MonotonicTime::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

RateLimiter::RateLimiter(double per_second, double burst, Clock& clock)
    : per_second_(per_second), burst_(std::max(burst, 1.0)), clock_(clock) {}

std::chrono::milliseconds RateLimiter::Take(std::string_view key) {
  if (per_second_ <= 0) return std::chrono::milliseconds(0);
  const std::lock_guard lock(mutex_);
  Bucket& bucket = Filled(key, clock_.Now());
  const std::chrono::milliseconds wait = UntilOne(bucket);
  if (wait.count() == 0) bucket.left -= 1;
  return wait;
}

RateLimiter::Bucket& RateLimiter::Filled(std::string_view key, MonotonicTime now) {
  if (buckets_.size() >= kBucketsKept && now - forgot_ >= kForgetPause) Forget(now);
  std::string name(key);
  if (buckets_.size() >= kRateBucketsMax && !buckets_.contains(name)) name.clear();
  const Bucket full{.left = burst_, .filled = now};
  Bucket& bucket = buckets_.try_emplace(std::move(name), full).first->second;
  bucket.left = std::min(burst_, bucket.left + Seconds(now - bucket.filled) * per_second_);
  bucket.filled = now;
  return bucket;
}

std::chrono::milliseconds RateLimiter::UntilOne(const Bucket& bucket) const {
  if (bucket.left >= 1) return std::chrono::milliseconds(0);
  return std::chrono::milliseconds(
      static_cast<int64_t>(std::ceil((1 - bucket.left) / per_second_ * 1000)));
}

void RateLimiter::Forget(MonotonicTime now) {
  forgot_ = now;
  for (auto at = buckets_.begin(); at != buckets_.end();) {
    const double left = at->second.left + Seconds(now - at->second.filled) * per_second_;
    at = left >= burst_ ? buckets_.erase(at) : std::next(at);
  }
}

}  // namespace tidemark::server
