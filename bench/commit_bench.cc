// W1: what does a change cost, with and without stable storage at the end of each batch of 1,000?
// One million operations that leave 400,000 records: half create, four in ten update, one in ten
// deletes.
#include <memory>
#include <string>

#include "bench/engine.h"
#include "bench/floor_rocksdb.h"
#include "bench/harness.h"
#include "bench/workload.h"

namespace tidemark::bench {
namespace {

template <typename Subject>
Spent Ingest(uint64_t count, Syncing syncing) {
  const Directory directory;
  Subject subject(directory.path(), syncing);
  MixedOperations operations;
  Spent spent;
  for (uint64_t done = 0; done < count; done += kBatchOperations) {
    const Batch batch = operations.Next(kBatchOperations);
    const Stopwatch watch;
    subject.Apply(batch);
    spent += watch.spent();
  }
  return spent;
}

template <typename Subject>
void RegisterSubject(const std::string& subject) {
  const uint64_t count = Scaled(1'000'000);
  for (const Syncing syncing : {Syncing::kOff, Syncing::kOn}) {
    const std::string unit = syncing == Syncing::kOn ? "synced" : "unsynced";
    Register("W1_ingest/" + subject + "/" + unit, 1, count, [=](benchmark::State&) {
      return Ingest<Subject>(count, syncing);
    });
  }
}

}  // namespace

void RegisterBenchmarks() {
  RegisterSubject<EngineStore>("engine");
  RegisterSubject<FloorStore>("floor");
}

}  // namespace tidemark::bench
