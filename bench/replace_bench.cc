// W6: what does it cost to replace a snapshot of 1,000,000 rows of which one in a hundred differs?
// Rows come sorted, which the floor needs; the engine takes them in any order, in pages of 1,000.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bench/engine.h"
#include "bench/floor_replace.h"
#include "bench/harness.h"
#include "bench/workload.h"
#include "db/replacement.h"

namespace tidemark::bench {
namespace {

constexpr uint64_t kChangedOneIn = 100;

// The rows of a snapshot. Each new version changes the values of one row in a hundred.
class Rows {
 public:
  explicit Rows(uint64_t count) : values_(8), versions_(count, 0) {
    for (uint64_t object = 0; object < count; ++object) ids_.push_back(IdOf(object));
    std::sort(ids_.begin(), ids_.end());
  }

  uint64_t size() const { return ids_.size(); }
  Operation operator()(uint64_t row) const {
    return {.id = ids_[row], .value = values_.At(row * 64 + versions_[row])};
  }
  void Change() {
    const uint64_t first = changes_++ % kChangedOneIn;
    for (uint64_t row = first; row < ids_.size(); row += kChangedOneIn) ++versions_[row];
  }

 private:
  Values values_;
  std::vector<Id> ids_;
  std::vector<uint8_t> versions_;
  uint64_t changes_ = 0;
};

class FloorSubject {
 public:
  explicit FloorSubject(Syncing syncing) : table_(directory_.path(), syncing) {}
  uint64_t Replace(const Rows& rows, benchmark::State&) {
    return table_.Replace(rows.size(), [&rows](uint64_t row) { return rows(row); });
  }

 private:
  Directory directory_;
  FloorTable table_;
};

class EngineSubject {
 public:
  explicit EngineSubject(Syncing syncing)
      : store_(OpenStore(directory_.path(), syncing, MakeRuntime(kBlockCacheBytes))) {
    Require(store_->Declare(kEntity, {}).status(), "declare the entity");
  }

  uint64_t Replace(const Rows& rows, benchmark::State& state) {
    Stage stage(*store_, ++stages_);
    const Stopwatch watch;
    Upload(rows, &stage);
    state.counters["stage_ms"] = watch.spent().seconds * 1e3;
    const ReplacePlan plan{.entity = std::string(kEntity)};
    const auto join = [](const auto&, WriteBatch&) {
      return Status();
    };
    const ReplaceCounts counts =
        Require(stage.Apply({plan}, join), "replace").at(std::string(kEntity));
    Require(stage.Discard(), "discard");
    return counts.created + counts.updated + counts.deleted;
  }

 private:
  static void Upload(const Rows& rows, Stage* stage) {
    std::vector<Operation> operations(kBatchOperations);
    std::vector<StagedRow> page(kBatchOperations);
    for (uint64_t first = 0; first < rows.size(); first += kBatchOperations) {
      for (size_t i = 0; i < kBatchOperations; ++i) {
        operations[i] = rows(first + i);
        page[i].id = View(operations[i].id);
        page[i].value = operations[i].value;
        page[i].row = static_cast<uint32_t>(i);
      }
      const auto number = static_cast<uint32_t>(first / kBatchOperations);
      Require(stage->PutPage(kEntity, number, page), "stage a page");
    }
  }

  Directory directory_;
  std::unique_ptr<Store> store_;
  uint64_t stages_ = 0;
};

template <typename Subject>
struct Fixture {
  Fixture(uint64_t count, Syncing syncing, benchmark::State& state)
      : rows(count), subject(syncing) {
    Require(subject.Replace(rows, state) == count, "the first replacement creates every row");
  }
  Rows rows;
  Subject subject;
};

template <typename Subject>
Spent Replace(uint64_t count, Syncing syncing, benchmark::State& state) {
  const std::string name =
      std::string(typeid(Subject).name()) + (syncing == Syncing::kOn ? "s" : "");
  auto& fixture = Shared<Fixture<Subject>>(
      name, [&] { return std::make_shared<Fixture<Subject>>(count, syncing, state); });
  fixture.rows.Change();
  const Stopwatch watch;
  const uint64_t changed = fixture.subject.Replace(fixture.rows, state);
  const Spent spent = watch.spent();
  Require(changed == count / kChangedOneIn, "a replacement finds what changed");
  return spent;
}

template <typename Subject>
void RegisterSubject(const std::string& subject) {
  const uint64_t count = Scaled(1'000'000);
  for (const Syncing syncing : {Syncing::kOff, Syncing::kOn}) {
    const std::string unit = syncing == Syncing::kOn ? "synced" : "unsynced";
    Register("W6_replace/" + subject + "/" + unit, 1, count, [=](benchmark::State& state) {
      return Replace<Subject>(count, syncing, state);
    });
  }
}

}  // namespace

void RegisterBenchmarks() {
  RegisterSubject<EngineSubject>("engine");
  RegisterSubject<FloorSubject>("floor");
}

}  // namespace tidemark::bench
