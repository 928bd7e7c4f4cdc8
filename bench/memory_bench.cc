// How much memory does a store take besides its block cache and the idle program, and does that
// grow with the store? Peaks of a process of its own that loads, changes, drains, purges, opens
// again and replaces everything; default options.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/floor_rocksdb.h"
#include "bench/harness.h"
#include "bench/served_engine.h"
#include "bench/workload.h"
#include "db/replacement.h"

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

// Peaks of the resident memory besides the block cache and what the program had when it began,
// looked at every few milliseconds.
class Meter {
 public:
  Meter() : thread_([this] { Watch(); }) {}
  ~Meter() {
    stopped_ = true;
    thread_.join();
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  /// From now on this is the cache that does not count.
  void Measure(std::function<size_t()> cache_used) {
    const std::lock_guard lock(mutex_);
    cache_used_ = std::move(cache_used);
  }
  /// The peak since the last call, in MiB.
  double TakePeak() {
    Look();
    const std::lock_guard lock(mutex_);
    return std::exchange(peak_, 0);
  }

 private:
  void Watch() {
    while (!stopped_) {
      Look();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  void Look() {
    const std::lock_guard lock(mutex_);
    if (!cache_used_) return;
    const double cache = static_cast<double>(cache_used_()) / kMebibyte;
    peak_ = std::max(peak_, StatusMebibytes("VmRSS") - cache - idle_);
  }

  const double idle_ = StatusMebibytes("VmRSS");
  std::mutex mutex_;
  std::function<size_t()> cache_used_;
  double peak_ = 0;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

template <typename Operations, typename Subject>
void Apply(Operations* operations, uint64_t count, Subject* subject) {
  for (uint64_t done = 0; done < count; done += kBatchOperations) {
    subject->Apply(operations->Next(kBatchOperations));
  }
}

constexpr std::array<const char*, 6> kPhases = {
    "load", "update", "drain", "purge", "open", "replace"};
using Peaks = std::array<double, kPhases.size()>;

// Every record anew, in an order that is not that of ids, one in ten with another value.
void Replace(Store* store, uint64_t base) {
  Stage stage(*store, 1);
  LoadOperations load;
  std::vector<StagedRow> page(kBatchOperations);
  for (uint64_t first = 0; first < base; first += kBatchOperations) {
    const Batch batch = load.Next(kBatchOperations);
    for (size_t i = 0; i < batch.size(); ++i) {
      page[i].id = View(batch[i].id);
      page[i].value = batch[i].value;
      page[i].row = static_cast<uint32_t>(i);
    }
    const auto number = static_cast<uint32_t>(first / kBatchOperations);
    Require(stage.PutPage(kEntity, number, page), "stage a page");
  }
  const auto join = [](const auto&, WriteBatch&) {
    return Status();
  };
  Require(stage.Apply({{.entity = std::string(kEntity)}}, join).status(), "replace");
  Require(stage.Discard(), "discard");
}

// What only the engine does: forgets the tombstones of a tenth, opens again, replaces everything.
void MeasureEngine(const std::filesystem::path& directory,
                   uint64_t base,
                   size_t cache_bytes,
                   std::unique_ptr<ServedEngine> subject,
                   Meter* meter,
                   Peaks* peaks) {
  std::vector<Operation> batch;
  for (uint64_t object = 0; object < base; object += 10) {
    batch.push_back({.id = IdOf(object), .value = {}, .erase = true});
    if (batch.size() < kBatchOperations && object + 10 < base) continue;
    subject->Apply(batch);
    batch.clear();
  }
  subject->Drain("device");
  Require(subject->Purge(), "purge");
  (*peaks)[3] = meter->TakePeak();
  meter->Measure(nullptr);
  subject.reset();
  subject = std::make_unique<ServedEngine>(directory, Syncing::kOff, cache_bytes);
  meter->Measure([&subject] { return subject->block_cache_used_bytes(); });
  (*peaks)[4] = meter->TakePeak();
  Replace(&subject->store(), base);
  (*peaks)[5] = meter->TakePeak();
  meter->Measure(nullptr);
}

template <typename Subject>
Peaks MeasureHere(const std::filesystem::path& directory, uint64_t base) {
  LoadOperations load;
  UpdateOperations updates(base);
  const RuntimeOptions defaults;
  Peaks peaks{};
  Meter meter;
  auto subject = std::make_unique<Subject>(directory, Syncing::kOff, defaults.block_cache_bytes);
  meter.Measure([&subject] { return subject->block_cache_used_bytes(); });
  Apply(&load, base, subject.get());
  peaks[0] = meter.TakePeak();
  Apply(&updates, base / 10, subject.get());
  peaks[1] = meter.TakePeak();
  subject->Drain("device");
  peaks[2] = meter.TakePeak();
  if constexpr (std::is_same_v<Subject, ServedEngine>) {
    meter.Measure([used = subject.get()] { return used->block_cache_used_bytes(); });
    MeasureEngine(directory, base, defaults.block_cache_bytes, std::move(subject), &meter, &peaks);
  }
  meter.Measure(nullptr);
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
  for (size_t phase = 0; phase < peaks.size(); ++phase) {
    if (peaks[phase] > 0) {
      state.counters[std::string(kPhases[phase]) + "_peak_mib"] = peaks[phase];
    }
  }
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
