#include "bench/harness.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <system_error>

#include "db/process_memory.h"

namespace tidemark::bench {
namespace {

double Scale() {
  const char* text = std::getenv("TIDEMARK_BENCH_SCALE");
  if (text == nullptr) return 1;
  const double scale = std::strtod(text, nullptr);
  Require(scale > 0 && scale <= 100, "TIDEMARK_BENCH_SCALE must be above 0 and at most 100");
  return scale;
}

double CpuSeconds() {
  rusage usage{};
  Require(getrusage(RUSAGE_SELF, &usage) == 0, "read the processor time");
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::map<std::string, std::shared_ptr<void>>& SharedSlots() {
  static std::map<std::string, std::shared_ptr<void>> slots;
  return slots;
}

}  // namespace

uint64_t Scaled(uint64_t count) {
  const auto scaled = static_cast<uint64_t>(static_cast<double>(count) * Scale());
  return std::max<uint64_t>(scaled / kBatchOperations, 1) * kBatchOperations;
}

Directory::Directory() {
  std::string name = std::filesystem::temp_directory_path() / "tidemark-bench-XXXXXX";
  Require(mkdtemp(name.data()) != nullptr, "no temporary directory");
  path_ = name;
}

Directory::~Directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Spent& Spent::operator+=(const Spent& other) {
  seconds += other.seconds;
  cpu_seconds += other.cpu_seconds;
  return *this;
}

Stopwatch::Stopwatch() : begin_(std::chrono::steady_clock::now()), cpu_begin_(CpuSeconds()) {}

Spent Stopwatch::spent() const {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin_;
  return {.seconds = passed.count(), .cpu_seconds = CpuSeconds() - cpu_begin_};
}

void Require(const Status& status, std::string_view what) {
  if (status.ok()) return;
  std::fprintf(stderr,
               "%.*s: %s\n",
               static_cast<int>(what.size()),
               what.data(),
               std::string(status.message()).c_str());
  std::exit(1);
}

void Require(bool holds, std::string_view what) {
  if (!holds) Require(Status(ErrorCode::kInternal, "does not hold"), what);
}

void Register(const std::string& name, int64_t rounds, uint64_t records, const Measured& measured) {
  const auto run = [measured, records](benchmark::State& state) {
    Spent total;
    for (auto _ : state) {
      const Spent spent = measured(state);
      state.SetIterationTime(spent.seconds);
      total += spent;
    }
    const double treated = static_cast<double>(records) * static_cast<double>(state.iterations());
    state.counters["record_us"] = total.seconds * 1e6 / treated;
    state.counters["record_cpu_us"] = total.cpu_seconds * 1e6 / treated;
  };
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->UseManualTime()
      ->Iterations(rounds)
      ->Unit(benchmark::kMillisecond);
}

std::shared_ptr<void>& SharedSlot(const std::string& name) {
  return SharedSlots()[name];
}

}  // namespace tidemark::bench

int main(int argc, char** argv) {
  tidemark::ReturnLargeBuffers();  // as `tidemark` does; for both sides
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  tidemark::bench::RegisterBenchmarks();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  // Stores close and their directories go before the libraries below them end.
  tidemark::bench::SharedSlots().clear();
  return 0;
}
