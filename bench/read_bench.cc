// What do a point get and an ordered scan with values cost, a record, in a warm base of 500,000?
#include <memory>
#include <string>

#include "bench/engine.h"
#include "bench/floor_rocksdb.h"
#include "bench/harness.h"
#include "bench/workload.h"

namespace tidemark::bench {
namespace {

template <typename Subject>
struct Fixture {
  explicit Fixture(uint64_t base) : subject(directory.path(), Syncing::kOff) {
    LoadOperations load;
    for (uint64_t done = 0; done < base; done += kBatchOperations) {
      subject.Apply(load.Next(kBatchOperations));
    }
    subject.Settle();
    subject.Scan();  // warms the caches
  }

  Directory directory;
  Subject subject;
  Dice dice{7};
};

template <typename Subject>
Fixture<Subject>& SharedFixture(uint64_t base) {
  return Shared<Fixture<Subject>>(typeid(Subject).name(),
                                  [=] { return std::make_shared<Fixture<Subject>>(base); });
}

// Gets of random objects among the `range` after `first`.
template <typename Subject>
Spent Gets(uint64_t base, uint64_t first, uint64_t range, uint64_t count) {
  Fixture<Subject>& fixture = SharedFixture<Subject>(base);
  std::string value;
  uint64_t found = 0;
  const Stopwatch watch;
  for (uint64_t i = 0; i < count; ++i) {
    const Id id = IdOf(first + fixture.dice.Below(range));
    if (fixture.subject.Get(View(id), &value)) ++found;
  }
  const Spent spent = watch.spent();
  Require(found == (first < base ? count : 0), "a get finds what is there");
  return spent;
}

template <typename Subject>
Spent Scan(uint64_t base) {
  Fixture<Subject>& fixture = SharedFixture<Subject>(base);
  const Stopwatch watch;
  const Drained drained = fixture.subject.Scan();
  const Spent spent = watch.spent();
  Require(drained.records == base, "a scan lists every record");
  return spent;
}

template <typename Subject>
void RegisterSubject(const std::string& subject) {
  const uint64_t base = Scaled(500'000);
  const uint64_t count = Scaled(200'000);
  Register("get/" + subject + "/present", 1, count, [=](benchmark::State&) {
    return Gets<Subject>(base, 0, base, count);
  });
  Register("get/" + subject + "/absent", 1, count, [=](benchmark::State&) {
    return Gets<Subject>(base, base, base, count);
  });
  Register("scan/" + subject + "/values", 1, base, [=](benchmark::State&) {
    return Scan<Subject>(base);
  });
}

}  // namespace

void RegisterBenchmarks() {
  RegisterSubject<EngineStore>("engine");
  RegisterSubject<FloorStore>("floor");
}

}  // namespace tidemark::bench
