// Selections by values: what a commit pays for declared keys, what a grant costs, and what many
// devices with many different selections pay for one delta.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/engine.h"
#include "bench/harness.h"
#include "replication/source.h"

namespace tidemark::bench {
namespace {

constexpr uint64_t kOwners = 10'000;
constexpr int kFields = 5;

// A record of about 200 bytes with five fields that keys may be declared on.
std::string Value(uint64_t owner, uint64_t version) {
  std::string value = R"({"owner":)" + std::to_string(owner);
  for (int field = 1; field < kFields; ++field) {
    value += R"(,"f)" + std::to_string(field) + R"(":)" +
             std::to_string(owner % (7U + static_cast<unsigned>(field)));
  }
  value += R"(,"version":)" + std::to_string(version) + R"(,"note":")";
  value.resize(198, 'x');
  return value + R"("})";
}

EntityDeclaration WithKeys(int keys) {
  EntityDeclaration declaration;
  for (int key = 0; key < keys; ++key) {
    declaration.keys.push_back({{key == 0 ? "owner" : "f" + std::to_string(key)}});
  }
  return declaration;
}

SelectionRule Owners(uint64_t first, uint64_t count) {
  SelectionRule rule{.everything = false};
  Grant::Field owner{.name = "owner", .values = {}};
  for (uint64_t i = 0; i < count; ++i)
    owner.values.push_back(std::to_string((first + i) % kOwners));
  rule.grants.push_back({.entity = "visits", .where = {owner}});
  return rule;
}

// `records` visits over all owners in turn.
class Visits {
 public:
  Visits(uint64_t records, int keys, Syncing syncing)
      : store_(OpenStore(directory_.path() / "store", syncing, MakeRuntime(kBlockCacheBytes))) {
    Require(store_->Declare("visits", WithKeys(keys)).status(), "declare");
    for (uint64_t begin = 0; begin < records; begin += kBatchOperations) {
      Write(begin, kBatchOperations, 0);
    }
    records_ = records;
    source_ = Require(Source::Open(*store_), "open a source");
    // The index of parts follows folds.
    while (keys > 0 &&
           store_->FindEntity("visits")->keys_indexed_through < store_->last_sequence()) {
      Require(store_->Compact(), "compact");
      store_->WaitForCommit(store_->last_sequence(), std::chrono::milliseconds(20));
    }
  }

  Source& source() { return *source_; }

  // Updates `count` random records; their owners stay.
  void Update(uint64_t count) {
    ++version_;
    for (uint64_t done = 0; done < count; done += kBatchOperations) {
      WriteBatch batch;
      for (uint64_t i = 0; i < kBatchOperations; ++i) Put(random_() % records_, &batch);
      Require(store_->Commit(batch).status(), "update");
    }
  }

  // One session of the device; returns how many records it was sent.
  uint64_t Drain(const std::string& device) {
    uint64_t records = 0;
    const auto session = Require(source_->StartSession({.device = device}), "start a session");
    if (!session.has_value()) return records;
    while (auto page = Require(source_->NextPage(session->id, {.records_max = kPageRecords}),
                               "serve a page")) {
      records += page->records;
      Require(source_->Acknowledge(device, {page->token}).status(), "acknowledge");
    }
    return records;
  }

 private:
  void Put(uint64_t id, WriteBatch* batch) const {
    batch->Put("visits", std::to_string(id), Value(id % kOwners, version_), ValueKind::kJson);
  }
  void Write(uint64_t begin, uint64_t count, uint64_t version) {
    version_ = version;
    WriteBatch batch;
    for (uint64_t id = begin; id < begin + count; ++id) Put(id, &batch);
    Require(store_->Commit(batch).status(), "load");
  }

  Directory directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Source> source_;
  uint64_t records_ = 0;
  uint64_t version_ = 0;
  std::mt19937_64 random_{7};
};

Visits& Base(uint64_t records, int keys) {
  return Shared<Visits>("visits" + std::to_string(records) + "." + std::to_string(keys),
                        [=] { return std::make_shared<Visits>(records, keys, Syncing::kOff); });
}

Spent Commits(uint64_t base, int keys, uint64_t count) {
  Visits& visits = Base(base, keys);
  const Stopwatch watch;
  visits.Update(count);
  return watch.spent();
}

// A device that had something else is granted a tenth of the owners.
Spent GrantAll(uint64_t base) {
  Visits& visits = Base(base, 1);
  static uint64_t round = 0;
  const std::string device = "granted" + std::to_string(++round);
  Require(visits.source().Select(device, Owners(kOwners - 1, 1)), "select");
  visits.Drain(device);
  const Stopwatch watch;
  Require(visits.source().Select(device, Owners(0, kOwners / 10)), "grant");
  const uint64_t records = visits.Drain(device);
  const Spent spent = watch.spent();
  Require(records >= base / 10, "a grant sends what it adds");
  return spent;
}

// The same number of records as the first drain of a device that sees everything.
Spent DrainAll(uint64_t base) {
  Visits& visits = Base(base / 10, 0);
  static uint64_t round = 0;
  const Stopwatch watch;
  visits.Drain("whole" + std::to_string(++round));
  return watch.spent();
}

Spent Fanout(uint64_t base, uint64_t devices, uint64_t selections, uint64_t changed) {
  Visits& visits = Base(base, 1);
  constexpr uint64_t kOwnersOfADevice = 20;
  static bool made = false;
  if (!std::exchange(made, true)) {
    for (uint64_t i = 0; i < devices; ++i) {
      const std::string device = "fan" + std::to_string(i);
      const uint64_t first = i % selections * (kOwners / selections);
      Require(visits.source().Select(device, Owners(first, kOwnersOfADevice)), "select");
      visits.Drain(device);
    }
  }
  visits.Update(changed);
  const Stopwatch watch;
  for (uint64_t i = 0; i < devices; ++i) visits.Drain("fan" + std::to_string(i));
  return watch.spent();
}

}  // namespace

void RegisterBenchmarks() {
  const uint64_t base = Scaled(1'000'000);
  const uint64_t updates = Scaled(100'000);
  for (const int keys : {0, 1, 5}) {
    const std::string name = "S1_commit/engine/keys_" + std::to_string(keys);
    Register(
        name, 3, updates, [=](benchmark::State&) { return Commits(base / 10, keys, updates); });
  }
  Register("S2_grant/engine/tenth_of_1M", 3, base / 10, [=](benchmark::State&) {
    return GrantAll(base);
  });
  Register("S2_grant/whole_entity/tenth_of_1M", 3, base / 10, [=](benchmark::State&) {
    return DrainAll(base);
  });
  const uint64_t devices = Scaled(10'000);
  Register("S3_fanout/engine/1000_selections", 1, devices, [=](benchmark::State&) {
    return Fanout(base / 10, devices, std::min<uint64_t>(1'000, devices), 1'000);
  });
}

}  // namespace tidemark::bench
