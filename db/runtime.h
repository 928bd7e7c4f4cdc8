// What stores share: memory, background threads, and the doors to the world outside (clock,
// randomness, files), so that tests put their own behind the code that ships.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "format/status.h"

namespace tidemark {

namespace internal {
struct RuntimeImpl;
}  // namespace internal

/// An instant that only comparisons and differences give meaning to. It never jumps.
using MonotonicTime = std::chrono::steady_clock::time_point;

/// The two clocks. Every expiry and wait uses `Now`; wall time is only ever data. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime Now() = 0;
  /// Milliseconds since 1970, UTC. May jump in both directions.
  virtual int64_t WallMilliseconds() = 0;
};

/// A source of unpredictable bytes: identities, epochs, secrets, session ids. Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(std::span<uint8_t> out) = 0;
};

/// The clocks of this machine.
std::shared_ptr<Clock> SystemClock();
/// The kernel's random bytes. Ends the process if the kernel has none: an identity that repeats
/// would be worse.
std::shared_ptr<Random> SystemRandom();

struct RuntimeOptions {
  /// Bytes of decoded and raw blocks kept for reading, over all stores. At least 1 MiB.
  size_t block_cache_bytes = 32 * 1024 * 1024;
  /// Bytes of writes that are not yet in files, over all stores; the fullest is flushed first. At
  /// least 1 MiB.
  size_t write_buffer_bytes = 16 * 1024 * 1024;
  /// Threads for compaction, 1 to 64; flushes have one more. The threads belong to the process: a
  /// second runtime can add to them and never takes away.
  int background_threads = 2;
  std::shared_ptr<Clock> clock = {};    ///< null: SystemClock()
  std::shared_ptr<Random> random = {};  ///< null: SystemRandom()
};

/// Shared by any number of stores, which keep it alive. Thread-safe.
class Runtime {
 public:
  /// `kInvalidArgument` names the option that is out of its range.
  static Result<std::shared_ptr<Runtime>> Create(RuntimeOptions options = {});

  explicit Runtime(std::unique_ptr<internal::RuntimeImpl> impl);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Clock& clock() const;
  Random& random() const;
  /// Bytes that the block cache holds now.
  size_t block_cache_used_bytes() const;

  /// For the rooms' own code; `db/internal/runtime_impl.h` says what it holds.
  internal::RuntimeImpl& impl() const { return *impl_; }

 private:
  std::unique_ptr<internal::RuntimeImpl> impl_;
};

}  // namespace tidemark
