// Random histories that drive the real engine and plain maps side by side: writers, folds and
// compactions, uploads, restarts and kills of the source, devices that lose pages and
// acknowledgements, selections granted and revoked, tokens with limits, resets, purges. Checked
// after every step: what is owed, its labels, values, order and counts, in each queue; that nothing
// acknowledged is sent again and nothing is deleted needlessly; that a settled device equals its
// selection at the cut; that exactly the tombstones are kept that some device may need. At the end
// of a history all devices converge.
//
//   TIDEMARK_SEED=n        one history, after those before it on the same store
//   TIDEMARK_TEST_LONG=1   twenty times as many
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/model/engine_choices.h"
#include "tests/model/engine_devices.h"
#include "tests/model/engine_world.h"

namespace tidemark::model {
namespace {

constexpr uint64_t kHistories = 1000;
constexpr uint64_t kHistoriesOfWriters = 150;
/// A store goes on with a few histories: making one costs more than a history does.
constexpr uint64_t kHistoriesOfAStore = 10;
constexpr int kSteps = 60;
constexpr uint64_t kIds = 6;

uint64_t Number(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Who takes part.
enum class Cast : uint8_t {
  kMixed,    // maps and some replicas
  kWriters,  // replicas that all write the same few records, by every policy of conflicts
};

class EngineHistory {
 public:
  EngineHistory(uint64_t seed, EngineWorld& world, Cast cast)
      : random_(seed), world_(world), cast_(cast) {
    const uint64_t devices = 2 + Below(2);
    if (cast == Cast::kWriters) DeclarePolicies();
    for (uint64_t i = 0; i < devices; ++i) {
      const std::string id = "device" + std::to_string(seed) + "." + std::to_string(i);
      if (cast == Cast::kWriters || (i == 0 && OneIn(4)) || (i == 1 && OneIn(12))) {
        devices_.push_back(std::make_unique<ReplicaDevice>(id, world_, random_));
      } else {
        devices_.push_back(std::make_unique<ScriptedDevice>(id, world_, random_));
      }
    }
  }

  void Run() {
    for (int step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) Step();
    if (::testing::Test::HasFailure()) return;
    for (const auto& device : devices_) device->Converge();
    world_.CheckRecords();
    world_.CheckLosers();
    world_.Purge();
    world_.CheckDevices();
    world_.Retire();
  }

  uint64_t settled() const {
    uint64_t settled = 0;
    for (const auto& device : devices_) settled += device->settled();
    return settled;
  }

 private:
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  ModelDevice& AnyDevice() { return *devices_[Below(devices_.size())]; }

  void Step() {
    switch (Below(40)) {
      case 0:
        return world_.Purge();
      case 1:
        return world_.CheckDevices();
      case 2:
        return Grant();
      case 3:
        if (OneIn(3)) world_.Reset(AnyDevice().id(), /*forget=*/OneIn(2));
        return;
      case 4:
        return OneIn(3) ? world_.Compact() : world_.Purge();
      case 5:
        if (OneIn(3)) world_.Reopen();
        return;
      case 6:
        if (OneIn(3)) world_.Kill();
        return;
      case 7:
        if (OneIn(3)) world_.Empty(kEntityNames[Below(kEntityNames.size())]);
        return;
      case 8:
        return WriteRefused();
      case 9:
        if (OneIn(6)) world_.Redeclare(kEntityNames[Below(kEntityNames.size())], AnyKind());
        return;
      case 10:
        if (OneIn(2)) Upload();
        return;
      case 11:
        if (OneIn(4)) world_.DeclareKeys(kEntityNames[Below(kEntityNames.size())]);
        return;
      case 12:
        return OneIn(3) ? DropQueue() : DeclareQueue();
      case 13:
        if (OneIn(2)) DeclarePolicies();
        return;
      default:
        if (OneIn(3)) return Write();
        return AnyDevice().Step();
    }
  }

  void DeclarePolicies() {
    constexpr ConflictPolicy kAll[] = {ConflictPolicy::kReject,
                                       ConflictPolicy::kLastWriter,
                                       ConflictPolicy::kByField,
                                       ConflictPolicy::kCallback};
    for (const std::string& entity : kEntityNames) {
      if (cast_ == Cast::kWriters) {
        world_.DeclarePolicy(entity,
                             OneIn(3) ? ConflictPolicy::kCallback : ConflictPolicy::kByField);
      } else if (OneIn(2)) {
        world_.DeclarePolicy(entity, kAll[Below(4)]);
      }
    }
  }

  EntityKind AnyKind() { return OneIn(2) ? EntityKind::kSnapshot : EntityKind::kIncremental; }
  std::string AnyId() { return "id" + std::to_string(Below(kIds)); }
  std::string AnyValue() { return ValueOf(Below(3 * 4 * 3)); }

  void Write() {
    std::vector<PlainWrite> writes;
    std::set<RecordKey> used;
    for (uint64_t count = 1 + Below(4); count > 0; --count) {
      PlainWrite write;
      write.key = {kEntityNames[Below(kEntityNames.size())], AnyId()};
      const uint64_t which = Below(3 * 4 * 3);
      write.value = ValueOf(which);
      if (world_.KindOf(write.key.first) == EntityKind::kIncremental) {
        write.op = WriteOp::kAppend;
        write.key.second += "-" + std::to_string(which);  // an event of equal id is equal
      } else {
        write.op = OneIn(3) ? WriteOp::kDelete : WriteOp::kPut;
      }
      if (used.insert(write.key).second) writes.push_back(write);
    }
    world_.Write(writes);
  }

  void Upload() {
    EngineWorld::PlainUpload upload;
    for (const std::string& entity : kEntityNames) {
      if (OneIn(2)) continue;
      auto& rows = upload[entity];
      const bool is_event = world_.KindOf(entity) == EntityKind::kIncremental;
      for (uint64_t count = Below(6); count > 0; --count) {
        const uint64_t which = Below(3 * 4 * 3);
        rows.emplace_back(AnyId() + (is_event ? "up" + std::to_string(which) : ""), ValueOf(which));
      }
    }
    world_.Upload(upload);
  }

  void WriteRefused() {
    const std::string& entity = kEntityNames[Below(kEntityNames.size())];
    if (world_.KindOf(entity) != EntityKind::kSnapshot) return;
    world_.WriteRefused({entity, AnyId()}, AnyValue());
  }

  void Grant() { world_.Grant(AnyDevice().id(), AnySelection(world_, random_)); }

  std::string AnyQueueName() { return "queue" + std::to_string(Below(3)); }
  void DropQueue() { world_.DropQueue(AnyQueueName()); }

  void DeclareQueue() {
    PlainQueue queue{.name = AnyQueueName(), .order = static_cast<uint32_t>(Below(3))};
    for (const std::string& entity : kEntityNames) {
      if (OneIn(4)) queue.entities.insert(entity);
    }
    queue.parts = AnyParts(world_, random_);
    if (queue.entities.empty() && queue.parts.empty()) queue.entities.insert("users");
    world_.DeclareQueue(queue);
  }

  std::mt19937_64 random_;
  EngineWorld& world_;
  const Cast cast_;
  std::vector<std::unique_ptr<ModelDevice>> devices_;
};

void RunHistories(Cast cast, uint64_t usual) {
  const uint64_t only = Number("TIDEMARK_SEED", 0);
  const uint64_t histories = Number("TIDEMARK_TEST_LONG", 0) != 0 ? 20 * usual : usual;
  const uint64_t first = only == 0 ? 1 : only - (only - 1) % kHistoriesOfAStore;
  std::unique_ptr<EngineWorld> world;
  uint64_t settled = 0;
  for (uint64_t seed = first; seed <= (only == 0 ? histories : only); ++seed) {
    if ((seed - 1) % kHistoriesOfAStore == 0) world = std::make_unique<EngineWorld>(1 + seed % 24);
    EngineHistory history(seed, *world, cast);
    history.Run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "replay with TIDEMARK_SEED=" << seed;
    settled += history.settled();
  }
  EXPECT_GT(settled, only != 0 ? 0 : histories * 5) << "histories hardly ever settle";
}

TEST(EngineModelTest, RandomHistoriesAgreeWithPlainMaps) {
  RunHistories(Cast::kMixed, kHistories);
}

TEST(EngineModelTest, RandomHistoriesOfWritersAgreeWithPlainMaps) {
  RunHistories(Cast::kWriters, kHistoriesOfWriters);
}

}  // namespace
}  // namespace tidemark::model
