// Stages against plain maps: whatever was uploaded, committed, deleted, exposed, folded and
// reopened, the whole visible state, tombstones and sequence numbers included, is what the maps
// say. Then the named cases of the catalogue that are the store's.
#include "db/replacement.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/internal/runtime_impl.h"
#include "db/internal/store_impl.h"
#include "tests/db/store_fixture.h"
#include "tests/support/fault_file_system.h"

namespace tidemark {
namespace {

using test::CrashMode;
using test::FaultKind;
using test::IsOk;
using test::ScanAll;
using test::ScanResult;
using test::StatusIs;
using test::ValueOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

/// A row as a test writes it: id and value.
using Row = std::pair<std::string, std::string>;
using Pages = std::map<uint32_t, std::vector<Row>>;

std::vector<StagedRow> Staged(const std::vector<Row>& rows) {
  std::vector<StagedRow> staged;
  for (const auto& [id, value] : rows) {
    staged.push_back({.id = id, .value = value, .row = static_cast<uint32_t>(staged.size())});
  }
  return staged;
}

/// Rows `id<begin>` to `id<end - 1>`, on one page for each 1,000.
Pages Numbered(int begin, int end, const std::string& value) {
  Pages pages;
  for (int i = begin; i < end; ++i) {
    std::string id = std::to_string(i);
    id.insert(0, 6 - id.size(), '0');
    pages[static_cast<uint32_t>((i - begin) / 1000)].emplace_back("id" + id, value);
  }
  return pages;
}

/// An entry of the log: the newest row of an id.
struct Entry {
  std::string entity;
  std::string id;
  uint64_t birth = 0;
  bool live = false;
  std::string value;
  std::vector<std::pair<uint64_t, uint64_t>> ended;
  bool operator==(const Entry&) const = default;
};

void PrintTo(const Entry& entry, std::ostream* out) {
  *out << entry.entity << " " << entry.id << " birth " << entry.birth
       << (entry.live ? " live " : " deleted ") << entry.value;
  for (const auto& [birth, death] : entry.ended) *out << " [" << birth << "," << death << ")";
}

using Log = std::map<uint64_t, Entry>;

Log ReadAll(const Store& store, const std::shared_ptr<const Cut>& cut) {
  std::vector<LogRange> ranges;
  for (const EntityInfo& info : store.ListEntities(true)) ranges.push_back({.entity = info.number});
  LogCursor cursor = store.ReadLog(cut, ranges);
  Log log;
  while (cursor.Next()) {
    const LogEntry& read = cursor.entry();
    Entry& entry = log[read.head.value()];
    entry.entity = store.FindEntity(read.entity)->name;
    entry.id = read.id;
    entry.birth = read.birth.value();
    entry.live = read.live;
    entry.value = read.value;
    for (const EndedLife& life : read.ended) {
      entry.ended.emplace_back(life.birth.value(), life.death.value());
    }
  }
  EXPECT_OK(cursor.status());
  return log;
}

Log ReadAll(const Store& store) {
  const auto cut = store.PinCut();
  EXPECT_OK(cut);
  return ReadAll(store, *cut);
}

class ReplacementTest : public test::StoreTest {
 protected:
  void PutPages(Stage& stage, std::string_view entity, const Pages& pages) {
    for (const auto& [page, rows] : pages) {
      ASSERT_OK(stage.PutPage(entity, page, Staged(rows)));
    }
  }
  /// Uploads and applies in a stage of its own.
  Result<ReplaceCounts> Replace(const std::string& entity,
                                const Pages& pages,
                                ReplacePlan plan = {}) {
    Stage stage(*store_, ++stages_);
    PutPages(stage, entity, pages);
    plan.entity = entity;
    auto applied = stage.Apply({plan}, {});
    EXPECT_OK(stage.Discard());
    if (!applied.ok()) return applied.status();
    return applied->at(entity);
  }
  void Declare(std::string_view entity, EntityKind kind) {
    EntityDeclaration declaration;
    declaration.kind = kind;
    ASSERT_OK(store_->Declare(entity, declaration));
  }
  uint64_t Generation(std::string_view entity) const {
    return store_->FindEntity(entity)->generation;
  }

  uint64_t stages_ = 0;
};

// --- Random histories ---

/// What a store should hold, told as simply as possible.
class Model {
 public:
  struct Record {
    uint64_t birth = 0;
    uint64_t head = 0;
    bool live = false;
    std::string value;
    std::vector<std::pair<uint64_t, uint64_t>> ended;
  };
  using Records = std::map<std::string, Record>;

  void Put(const std::string& entity, const std::string& id, const std::string& value) {
    Record& record = entities_[entity][id];
    if (record.live && record.value == value) return;
    record.head = ++sequence_;
    if (!record.live) record.birth = record.head;
    record.live = true;
    record.value = value;
  }
  void Delete(const std::string& entity, const std::string& id) {
    Records& records = entities_[entity];
    const auto found = records.find(id);
    if (found == records.end() || !found->second.live) return;
    Record& record = found->second;
    record.head = ++sequence_;
    record.live = false;
    record.value.clear();
    if (record.birth <= exposed_) record.ended.emplace_back(record.birth, record.head);
    if (record.ended.empty()) records.erase(found);
  }
  void Append(const std::string& entity, const std::string& id, const std::string& value) {
    Records& records = entities_[entity];
    const auto found = records.find(id);
    const bool taken = !id.empty() && found != records.end() && found->second.live;
    if (taken && found->second.value == value) return;
    const std::string own = taken || id.empty() ? id + "~" + std::to_string(sequence_ + 1) : id;
    Put(entity, own, value);
  }
  ReplaceCounts Replace(const std::string& entity, const Pages& pages, const ReplacePlan& plan) {
    ReplaceCounts counts;
    std::map<std::string, std::string> staged;
    for (const auto& [page, rows] : pages) {
      for (uint32_t row = 0; row < rows.size(); ++row) {
        if (std::count(plan.skip.begin(), plan.skip.end(), std::pair(page, row)) > 0) continue;
        if (!staged.insert_or_assign(rows[row].first, rows[row].second).second) {
          ++counts.duplicates;
        }
      }
    }
    std::set<std::string> ids;
    for (const auto& [id, value] : staged) ids.insert(id);
    for (const auto& [id, record] : entities_[entity]) ids.insert(id);
    for (const std::string& id : ids) {
      const Records& records = entities_[entity];
      const auto record = records.find(id);
      const bool live = record != records.end() && record->second.live;
      const auto row = staged.find(id);
      const bool kept =
          plan.keep_unlisted || std::count(plan.keep.begin(), plan.keep.end(), id) > 0;
      if (row != staged.end()) {
        ++(!live                                 ? counts.created
           : record->second.value == row->second ? counts.unchanged
                                                 : counts.updated);
        Put(entity, id, row->second);
      } else if (live) {
        ++(kept ? counts.unchanged : counts.deleted);
        if (!kept) Delete(entity, id);
      }
    }
    return counts;
  }
  ReplaceCounts AppendAll(const std::string& entity, const Pages& pages, const ReplacePlan& plan) {
    ReplaceCounts counts;
    for (const auto& [page, rows] : pages) {
      for (uint32_t row = 0; row < rows.size(); ++row) {
        if (std::count(plan.skip.begin(), plan.skip.end(), std::pair(page, row)) > 0) continue;
        const uint64_t before = sequence_;
        const auto found = entities_[entity].find(rows[row].first);
        const bool taken = found != entities_[entity].end() && found->second.live;
        Append(entity, rows[row].first, rows[row].second);
        ++(sequence_ == before ? counts.unchanged : counts.appended);
        if (sequence_ > before && taken) ++counts.renamed;
      }
    }
    return counts;
  }
  void Expose() { exposed_ = sequence_; }

  uint64_t sequence() const { return sequence_; }
  const Records& records(const std::string& entity) { return entities_[entity]; }
  Log log() const {
    Log log;
    for (const auto& [name, records] : entities_) {
      for (const auto& [id, record] : records) {
        log[record.head] = {name, id, record.birth, record.live, record.value, record.ended};
      }
    }
    return log;
  }

 private:
  uint64_t sequence_ = 0;
  uint64_t exposed_ = 0;
  std::map<std::string, Records> entities_;
};

class ReplacementModelTest : public ReplacementTest,
                             public ::testing::WithParamInterface<uint64_t> {
 protected:
  size_t Below(size_t limit) { return random_() % limit; }
  std::string Id() { return "k" + std::to_string(Below(30)); }
  std::string Value() { return "v" + std::to_string(Below(3)) + std::string(Below(40), 'x'); }

  Pages RandomPages(bool events) {
    Pages pages;
    const size_t count = Below(4) + (events ? 0 : 1);
    for (size_t i = 0; i < count; ++i) {
      std::vector<Row>& rows = pages[static_cast<uint32_t>(Below(6))];
      rows.clear();
      const size_t size = Below(25);
      for (size_t row = 0; row < size; ++row) {
        rows.emplace_back(events && Below(4) == 0 ? std::string() : Id(), Value());
      }
    }
    return pages;
  }

  void RandomFinish() {
    Stage stage(*store_, ++stages_);
    std::vector<ReplacePlan> plans;
    std::map<std::string, Pages> staged;
    for (const std::string name : {"users", "events", "visits"}) {
      if (Below(2) == 0) continue;
      Pages& pages = staged[name] = RandomPages(name == "events");
      if (Below(4) == 0) {  // a page that is sent again
        PutPages(stage, name, pages);
        for (auto& [page, rows] : pages) rows.resize(Below(rows.size() + 1));
      }
      PutPages(stage, name, pages);
      ReplacePlan& plan = plans.emplace_back();
      plan.entity = name;
      plan.keep_unlisted = Below(8) == 0;
      for (size_t i = Below(4); i > 0; --i) plan.keep.push_back(Id());
      for (const auto& [page, rows] : pages) {
        if (rows.empty() || Below(3) > 0) continue;
        plan.skip.emplace_back(page, static_cast<uint32_t>(Below(rows.size())));
      }
    }
    std::shuffle(plans.begin(), plans.end(), random_);
    const auto dry = stage.DryRun(plans);
    ASSERT_OK(dry);
    std::map<std::string, ReplaceCounts> expected;
    for (const auto& [name, pages] : staged) {
      const auto plan = std::find_if(plans.begin(), plans.end(), [&](const ReplacePlan& candidate) {
        return candidate.entity == name;
      });
      if (name == "events") {
        expected[name] = model_.AppendAll(name, pages, *plan);
      } else {
        expected[name] = model_.Replace(name, pages, *plan);
      }
    }
    const auto applied = stage.Apply(plans, {});
    ASSERT_OK(applied);
    EXPECT_EQ(*applied, expected);
    EXPECT_EQ(*dry, expected);
    EXPECT_OK(stage.Discard());
    EXPECT_THAT(stage.Entities(), IsEmpty());
  }

  void Compare() {
    ASSERT_EQ(store_->last_sequence().value(), model_.sequence());
    ASSERT_EQ(ReadAll(*store_), model_.log());
    const View view = store_->GetView();
    for (const std::string name : {"users", "events", "visits"}) {
      ScanResult expected;
      for (const auto& [id, record] : model_.records(name)) {
        ASSERT_EQ(ValueOf(*store_, name, id), record.live ? record.value : "-");
        if (record.live) expected.emplace_back(id, record.value);
      }
      ASSERT_EQ(ScanAll(view, name), expected);
      ASSERT_EQ(store_->FindEntity(name)->record_count, expected.size());
    }
  }

  std::mt19937_64 random_{GetParam()};
  Model model_;
};

TEST_P(ReplacementModelTest, HoldsWhatPlainMapsHold) {
  StoreOptions options;
  options.window_records = Below(2) == 0 ? 16 : 1000;
  Open(options);
  Declare("users", EntityKind::kSnapshot);
  Declare("visits", EntityKind::kSnapshot);
  Declare("events", EntityKind::kIncremental);
  std::map<std::shared_ptr<const Cut>, Log> cuts;
  for (int step = 0; step < 40; ++step) {
    SCOPED_TRACE(step);
    const std::string entity = Below(2) == 0 ? "users" : "visits";
    const std::string id = Id();
    const std::string value = Value();
    switch (Below(9)) {
      case 0:
        ASSERT_OK(Put(entity, id, value));
        model_.Put(entity, id, value);
        break;
      case 1:
        ASSERT_OK(Delete(entity, id));
        model_.Delete(entity, id);
        break;
      case 2:
        ASSERT_OK(store_->Commit(WriteBatch().Append("events", id, value)));
        model_.Append("events", id, value);
        break;
      case 3:
        if (const auto cut = Expose()) cuts[cut] = model_.log();
        model_.Expose();
        break;
      case 4:
        cuts.clear();
        Reopen();
        break;
      case 5:
        ASSERT_OK(store_->Compact());
        break;
      case 6:
        ASSERT_OK(store_->Empty(entity));
        model_.Replace(entity, {{0, {}}}, {});
        break;
      default:
        RandomFinish();
    }
    if (HasFatalFailure()) return;
    Compare();
    if (HasFatalFailure()) return;
    for (const auto& [cut, log] : cuts) ASSERT_EQ(ReadAll(*store_, cut), log);
  }
  cuts.clear();
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
  Reopen();
  Compare();
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReplacementModelTest, ::testing::Range(uint64_t{1}, uint64_t{41}));

// --- Named cases ---

TEST_F(ReplacementTest, IdenticalSnapshotChangesNothing) {
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 1500, "a")));
  const uint64_t generation = Generation("users");
  const SequenceNumber before = store_->last_sequence();
  const auto counts = Replace("users", Numbered(0, 1500, "a"));
  ASSERT_OK(counts);
  EXPECT_EQ(*counts, ReplaceCounts{.unchanged = 1500});
  EXPECT_EQ(store_->last_sequence(), before);
  EXPECT_EQ(Generation("users"), generation);
}

}  // namespace
}  // namespace tidemark
