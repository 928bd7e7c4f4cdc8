// W4: what do records cost that are created and deleted before anyone reads them, and what does the
// reader pay who comes afterwards? 500,000 creations, of which one in a hundred survives.
#include <memory>
#include <string>

#include "bench/floor_rocksdb.h"
#include "bench/harness.h"
#include "bench/served_engine.h"
#include "bench/workload.h"

namespace tidemark::bench {
namespace {

class CleanFloorStore : public FloorStore {
 public:
  CleanFloorStore(const std::filesystem::path& directory, Syncing syncing)
      : FloorStore(directory, syncing, OldEntries::kRemove) {}
};

template <typename Subject>
Spent Churn(uint64_t count, benchmark::State& state) {
  const Directory directory;
  Subject subject(directory.path(), Syncing::kOff);
  ChurnOperations operations;
  Spent spent;
  for (uint64_t done = 0; done < count; done += kBatchOperations) {
    const Batch batch = operations.Next(kBatchOperations);
    const Stopwatch watch;
    subject.Apply(batch);
    spent += watch.spent();
  }

  const Stopwatch watch;
  const Drained drained = subject.Drain("device");
  state.counters["drain_ms"] = watch.spent().seconds * 1e3;
  // The last batch's records are still there as well.
  Require(drained.records >= operations.survivor_count(), "a drain lists the survivors");
  state.counters["drained"] = static_cast<double>(drained.records);
  return spent;
}

template <typename Subject>
void RegisterSubject(const std::string& subject) {
  const uint64_t count = Scaled(1'000'000);
  Register("W4_churn/" + subject + "/unsynced", 1, count, [=](benchmark::State& state) {
    return Churn<Subject>(count, state);
  });
}

}  // namespace

void RegisterBenchmarks() {
  RegisterSubject<ServedEngine>("engine");
  RegisterSubject<FloorStore>("floor");
  RegisterSubject<CleanFloorStore>("floor_clean");
}

}  // namespace tidemark::bench
