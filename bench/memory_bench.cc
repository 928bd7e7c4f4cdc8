// How much memory does a store take besides its block cache and the idle program, and does that
// grow with the store? Peaks of a process of its own that loads, changes and drains; default
// options.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>

#include "bench/floor_rocksdb.h"
#include "bench/harness.h"
#include "bench/served_engine.h"
#include "bench/workload.h"

namespace tidemark::bench {
namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;

// A figure of /proc/self/status, which counts in KiB.
double StatusMebibytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1)) / 1024;
  }
  Require(false, "the kernel tells how much memory the process has");
  return 0;
}

// Resident memory besides the block cache and what the program had when it began.
class Meter {
 public:
  template <typename Subject>
  void Look(const Subject& subject) {
    const double cache = static_cast<double>(subject.block_cache_used_bytes()) / kMebibyte;
    peak_ = std::max(peak_, StatusMebibytes("VmRSS") - cache - idle_);
  }
  double peak() const { return peak_; }

 private:
  double idle_ = StatusMebibytes("VmRSS");
  double peak_ = 0;
};

template <typename Operations, typename Subject>
void Apply(Operations* operations, uint64_t count, Subject* subject, Meter* meter) {
  for (uint64_t done = 0; done < count; done += kBatchOperations) {
    subject->Apply(operations->Next(kBatchOperations));
    if (done % (16 * kBatchOperations) == 0) meter->Look(*subject);
  }
  meter->Look(*subject);
}

// Peaks in MiB: while loading, while updating a tenth, after a full drain.
using Peaks = std::array<double, 3>;

template <typename Subject>
Peaks MeasureHere(const std::filesystem::path& directory, uint64_t base) {
  LoadOperations load;
  UpdateOperations updates(base);
  const RuntimeOptions defaults;
  Peaks peaks{};
  Meter meter;
  Subject subject(directory, Syncing::kOff, defaults.block_cache_bytes);
  Apply(&load, base, &subject, &meter);
  peaks[0] = meter.peak();
  Apply(&updates, base / 10, &subject, &meter);
  peaks[1] = meter.peak();
  subject.Drain("device");
  meter.Look(subject);
  peaks[2] = meter.peak();
  return peaks;
}

// In a process of its own: what earlier stores left in the heap would count for nothing or twice.
template <typename Subject>
Peaks MeasureApart(uint64_t base) {
  const Directory directory;
  int ends[2];
  Require(pipe(ends) == 0, "make a pipe");
  const pid_t child = fork();
  Require(child >= 0, "fork");
  if (child == 0) {
    const Peaks peaks = MeasureHere<Subject>(directory.path(), base);
    const bool written = write(ends[1], peaks.data(), sizeof(peaks)) == sizeof(peaks);
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  Peaks peaks{};
  const bool whole = read(ends[0], peaks.data(), sizeof(peaks)) == sizeof(peaks);
  close(ends[0]);
  int status = 0;
  Require(waitpid(child, &status, 0) == child && status == 0 && whole, "measure memory");
  return peaks;
}

template <typename Subject>
Spent Memory(uint64_t base, benchmark::State& state) {
  const Stopwatch watch;
  const Peaks peaks = MeasureApart<Subject>(base);
  state.counters["load_peak_mib"] = peaks[0];
  state.counters["update_peak_mib"] = peaks[1];
  state.counters["drain_peak_mib"] = peaks[2];
  return watch.spent();
}

class SmallFloor : public FloorStore {
 public:
  SmallFloor(const std::filesystem::path& directory, Syncing syncing, size_t block_cache_bytes)
      : FloorStore(directory, syncing, OldEntries::kKeep, block_cache_bytes) {}
};

template <typename Subject>
void RegisterSubject(const std::string& subject) {
  for (const uint64_t base : {uint64_t{100'000}, uint64_t{1'000'000}, uint64_t{4'000'000}}) {
    const uint64_t count = Scaled(base);
    Register("memory/" + subject + "/" + std::to_string(base / 1000) + "k",
             1,
             count,
             [=](benchmark::State& state) { return Memory<Subject>(count, state); });
  }
}

}  // namespace

void RegisterBenchmarks() {
  RegisterSubject<ServedEngine>("engine");
  RegisterSubject<SmallFloor>("floor");
}

}  // namespace tidemark::bench
