// W2: what does a device's first, full drain cost, a record? The store is what W1 leaves, with
// background work done. The floor is a scan of raw keys and values that copies nothing; beside it
// the floor's own drain, by its index by sequence.
#include <memory>
#include <string>

#include "bench/floor_rocksdb.h"
#include "bench/harness.h"
#include "bench/served_engine.h"
#include "bench/workload.h"

namespace tidemark::bench {
namespace {

template <typename Subject>
struct Fixture {
  Fixture(Syncing syncing, uint64_t operation_count) : subject(directory.path(), syncing) {
    MixedOperations operations;
    for (uint64_t done = 0; done < operation_count; done += kBatchOperations) {
      subject.Apply(operations.Next(kBatchOperations));
    }
    subject.Settle();
    live_count = operations.live_count();
  }

  std::string NextDevice() { return "device " + std::to_string(++devices); }

  Directory directory;
  Subject subject;
  uint64_t live_count = 0;
  int devices = 0;
};

template <typename Subject>
Fixture<Subject>& SharedFixture(Syncing syncing) {
  const std::string name =
      std::string(typeid(Subject).name()) + (syncing == Syncing::kOn ? "s" : "");
  return Shared<Fixture<Subject>>(
      name, [=] { return std::make_shared<Fixture<Subject>>(syncing, Scaled(1'000'000)); });
}

uint64_t LiveCount() {
  MixedOperations operations;
  for (uint64_t done = 0; done < Scaled(1'000'000); done += kBatchOperations) {
    operations.Next(kBatchOperations);
  }
  return operations.live_count();
}

// Times `read`, which must find every live record.
template <typename Subject, typename Read>
Spent Timed(Syncing syncing, const Read& read) {
  Fixture<Subject>& fixture = SharedFixture<Subject>(syncing);
  const std::string device = fixture.NextDevice();
  const Stopwatch watch;
  const Drained drained = read(fixture.subject, device);
  const Spent spent = watch.spent();
  Require(drained.records == fixture.live_count, "a drain lists every live record");
  return spent;
}

constexpr auto kDrain = [](auto& subject, const std::string& device) {
  return subject.Drain(device);
};

}  // namespace

void RegisterBenchmarks() {
  const uint64_t records = LiveCount();
  constexpr int64_t kRounds = 3;
  Register("W2_drain/engine/unsynced", kRounds, records, [](benchmark::State&) {
    return Timed<ServedEngine>(Syncing::kOff, kDrain);
  });
  Register("W2_drain/engine/synced", 1, records, [](benchmark::State&) {
    return Timed<ServedEngine>(Syncing::kOn, kDrain);
  });
  Register("W2_drain/engine_log/unsynced", kRounds, records, [](benchmark::State&) {
    return Timed<ServedEngine>(Syncing::kOff,
                               [](auto& subject, const std::string&) { return subject.ReadLog(); });
  });
  const auto scan = [](benchmark::State&) {
    return Timed<FloorStore>(Syncing::kOff,
                             [](auto& subject, const std::string&) { return subject.Scan(); });
  };
  Register("W2_drain/floor/unsynced", kRounds, records, scan);
  Register("W2_drain/floor/synced", kRounds, records, scan);
  Register("W2_drain/floor_by_log/unsynced", 1, records, [](benchmark::State&) {
    return Timed<FloorStore>(Syncing::kOff, kDrain);
  });
}

}  // namespace tidemark::bench
