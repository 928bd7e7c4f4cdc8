// What every benchmark program shares: sizes, directories, time, and stores that several
// benchmarks of one program read.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <benchmark/benchmark.h>

#include "format/status.h"

namespace tidemark::bench {

inline constexpr size_t kBatchOperations = 1000;
inline constexpr size_t kPageRecords = 1000;
/// Both sides read through a block cache of this size, except where memory is measured.
inline constexpr size_t kBlockCacheBytes = size_t{256} * 1024 * 1024;

/// `count` times the environment variable TIDEMARK_BENCH_SCALE (1 by default), in whole batches.
uint64_t Scaled(uint64_t count);

/// Whether what is written must be on stable storage when the call returns.
enum class Syncing : uint8_t { kOff, kOn };

/// A fresh directory under TMPDIR; removed with everything in it at the end.
class Directory {
 public:
  Directory();
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// What a piece of work took: by the clock, and of the processors over all threads. The latter also
/// says something on a machine that is busy with other things.
struct Spent {
  double seconds = 0;
  double cpu_seconds = 0;
  Spent& operator+=(const Spent& other);
};

class Stopwatch {
 public:
  Stopwatch();
  Spent spent() const;

 private:
  std::chrono::steady_clock::time_point begin_;
  double cpu_begin_;
};

/// Ends the program with `what` and the reason: a benchmark that failed has no figure.
void Require(const Status& status, std::string_view what);
void Require(bool holds, std::string_view what);

template <typename T>
T Require(Result<T> result, std::string_view what) {
  Require(result.status(), what);
  return std::move(result).value();
}

/// Work of one round: returns what the part that counts took.
using Measured = std::function<Spent(benchmark::State& state)>;

/// Registers a benchmark that runs `rounds` times a repetition, each round treating `records`
/// records. Reports the time of a round, and microseconds a record: `record_us` by the clock,
/// `record_cpu_us` of all threads.
void Register(const std::string& name, int64_t rounds, uint64_t records, const Measured& measured);

/// Defined by each program: registers its benchmarks. Names are QUESTION/SUBJECT/CASE with SUBJECT
/// either `engine`, `floor` or a further name; bench/run compares those of one question and case.
void RegisterBenchmarks();

/// The object of this type and name, made at its first use and kept until the program ends, so
/// that building a large store is paid once. Not thread-safe.
std::shared_ptr<void>& SharedSlot(const std::string& name);

template <typename T, typename Make>
T& Shared(const std::string& name, const Make& make) {
  std::shared_ptr<void>& slot = SharedSlot(name);
  if (slot == nullptr) slot = std::shared_ptr<T>(make());
  return *static_cast<T*>(slot.get());
}

}  // namespace tidemark::bench
