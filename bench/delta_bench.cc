// W3: what does a device pay that lacks 1,000 or 10,000 records of a base of 100,000 or 1,000,000?
// It must not matter how large the base is.
#include <memory>
#include <string>

#include "bench/floor_rocksdb.h"
#include "bench/harness.h"
#include "bench/served_engine.h"
#include "bench/workload.h"

namespace tidemark::bench {
namespace {

// A base that one device has drained.
template <typename Subject>
struct Fixture {
  Fixture(uint64_t base, Syncing syncing) : subject(directory.path(), syncing), updates(base) {
    LoadOperations load;
    for (uint64_t done = 0; done < base; done += kBatchOperations) {
      subject.Apply(load.Next(kBatchOperations));
    }
    subject.Settle();
    subject.Drain("device");
  }

  Directory directory;
  Subject subject;
  UpdateOperations updates;
};

template <typename Subject>
Spent Delta(uint64_t base, uint64_t changed, Syncing syncing) {
  const std::string name = std::string(typeid(Subject).name()) + std::to_string(base) +
                           (syncing == Syncing::kOn ? "s" : "");
  auto& fixture = Shared<Fixture<Subject>>(
      name, [=] { return std::make_shared<Fixture<Subject>>(base, syncing); });

  const Batch updates = fixture.updates.Next(changed);
  for (uint64_t done = 0; done < changed; done += kBatchOperations) {
    fixture.subject.Apply(updates.subspan(done, kBatchOperations));
  }
  const Stopwatch watch;
  const Drained drained = fixture.subject.Drain("device");
  const Spent spent = watch.spent();
  Require(drained.records == changed, "a delta lists what changed");
  return spent;
}

struct Size {
  uint64_t base;
  uint64_t changed;
  int64_t rounds;
};

template <typename Subject>
void RegisterSubject(const std::string& subject) {
  constexpr Size kSizes[] = {
      {100'000, 1'000, 20}, {100'000, 10'000, 5}, {1'000'000, 1'000, 20}, {1'000'000, 10'000, 5}};
  for (const Size& size : kSizes) {
    for (const Syncing syncing : {Syncing::kOff, Syncing::kOn}) {
      // A further million-record base takes longer to build than it would tell.
      if (syncing == Syncing::kOn && size.base != 100'000) continue;
      const uint64_t base = Scaled(size.base);
      const uint64_t changed = Scaled(size.changed);
      Register("W3_delta/" + subject + "/" + std::to_string(size.changed) + "_of_" +
                   std::to_string(size.base / 1000) + "k" +
                   (syncing == Syncing::kOn ? "_synced" : "_unsynced"),
               size.rounds,
               changed,
               [=](benchmark::State&) { return Delta<Subject>(base, changed, syncing); });
    }
  }
}

}  // namespace

void RegisterBenchmarks() {
  RegisterSubject<ServedEngine>("engine");
  RegisterSubject<FloorStore>("floor");
}

}  // namespace tidemark::bench
