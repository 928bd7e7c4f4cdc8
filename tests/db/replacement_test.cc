// Stages against plain maps: whatever was uploaded, committed, deleted, exposed, folded and
// reopened, the whole visible state, tombstones and sequence numbers included, is what the maps
// say. Then the named cases of the catalogue that are the store's.
#include "db/replacement.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
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
using ::testing::AnyOf;
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

INSTANTIATE_TEST_SUITE_P(Seeds, ReplacementModelTest, ::testing::Range(uint64_t{1}, uint64_t{25}));

// --- Named cases ---

TEST_F(ReplacementTest, IdenticalSnapshotChangesNothing) {  // case 41
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

TEST_F(ReplacementTest, AnEmptyPageDeletesEverythingAndNoPageNothing) {  // case 41
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 300, "a")));
  const auto untouched = Replace("users", {});
  ASSERT_OK(untouched);
  EXPECT_EQ(*untouched, ReplaceCounts{.unchanged = 300});
  Expose();
  const auto emptied = Replace("users", {{7, {}}});
  ASSERT_OK(emptied);
  EXPECT_EQ(*emptied, ReplaceCounts{.deleted = 300});
  EXPECT_EQ(store_->FindEntity("users")->record_count, 0U);
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 300U);
  Reopen();
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 300U);
  EXPECT_THAT(ScanAll(store_->GetView(), "users"), IsEmpty());
}

TEST_F(ReplacementTest, DeletionsThatNobodySawLeaveNothing) {
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 300, "a")));
  ASSERT_OK(store_->Empty("users"));
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 0U);
  EXPECT_THAT(ReadAll(*store_), IsEmpty());
}

TEST_F(ReplacementTest, ReadersKeepWhatTheyBeganWith) {  // cases 39 and 52
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 1000, "old")));
  const auto cut = store_->PinCut();
  ASSERT_OK(cut);
  const Log log_before = ReadAll(*store_, *cut);
  const ScanResult before = ScanAll(store_->GetView(), "users");
  const View view = store_->GetView();
  RecordIterator records = view.Scan("users");
  LogCursor cursor = store_->ReadLog(*cut, {{.entity = store_->FindEntity("users")->number}});
  ScanResult scanned;
  size_t read = 0;
  const auto step = [&](size_t count) {
    for (; count > 0 && records.Next(); --count) {
      scanned.emplace_back(records.id(), records.value());
      ASSERT_TRUE(cursor.Next());
      EXPECT_EQ(cursor.entry().value, "old");
      ++read;
    }
  };
  step(300);
  ASSERT_OK(Replace("users", Numbered(500, 1700, "new")));
  step(300);
  ASSERT_OK(store_->Compact());  // and another one, over generations that are gone
  ASSERT_OK(Replace("users", Numbered(1600, 1800, "newest")));
  ASSERT_OK(store_->Compact());
  step(1000);
  EXPECT_OK(records.status());
  EXPECT_EQ(scanned, before);
  EXPECT_EQ(read, 1000U);
  EXPECT_EQ(ReadAll(*store_, *cut), log_before);
  // What begins to read an old view now reads a family that was dropped.
  EXPECT_EQ(ScanAll(view, "users"), before);
  const auto record = view.Get("users", "id000007");
  ASSERT_OK(record);
  EXPECT_EQ((*record)->value, "old");
  EXPECT_EQ(ScanAll(store_->GetView(), "users").size(), 200U);
}

TEST_F(ReplacementTest, PagesReplaceEachOther) {  // case 40
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Put("users", "a", "1"));
  {
    Stage stage(*store_, 5);
    PutPages(stage, "users", {{3, {{"a", "2"}, {"b", "2"}, {"c", "2"}}}, {0, {{"d", "2"}}}});
    PutPages(stage, "users", {{3, {{"b", "3"}}}});
    EXPECT_EQ(Value("users", "a"), "1");
    EXPECT_EQ(Value("users", "d"), "-");
    EXPECT_THAT(stage.Pages("users"), ElementsAre(0, 3));
  }
  Reopen();  // the uploader dies; what it staged does not
  Stage stage(*store_, 5);
  EXPECT_THAT(stage.Entities(), ElementsAre("users"));
  EXPECT_THAT(stage.Pages("users"), ElementsAre(0, 3));
  const std::vector<ReplacePlan> plans = {{.entity = "users"}};
  const auto first = stage.Apply(plans, {});
  ASSERT_OK(first);
  EXPECT_EQ(first->at("users"), (ReplaceCounts{.created = 2, .deleted = 1}));
  const auto again = stage.Apply(plans, {});
  ASSERT_OK(again);
  EXPECT_EQ(again->at("users"), ReplaceCounts{.unchanged = 2});
  EXPECT_THAT(ScanAll(store_->GetView(), "users"), ElementsAre(Pair("b", "3"), Pair("d", "2")));
}

TEST_F(ReplacementTest, TheSameEventsUploadedAgainAreOnceOnly) {  // case 43
  Open();
  Declare("events", EntityKind::kIncremental);
  const Pages pages = {{2, {{"b", "2"}, {"c", "3"}}}, {1, {{"z", "1"}, {"a", "1"}}}};
  const auto first = Replace("events", pages);
  ASSERT_OK(first);
  EXPECT_EQ(*first, ReplaceCounts{.appended = 4});
  std::vector<std::string> order;
  for (const auto& [head, entry] : ReadAll(*store_)) order.push_back(entry.id);
  EXPECT_THAT(order, ElementsAre("z", "a", "b", "c"));
  const auto again = Replace("events", pages);
  ASSERT_OK(again);
  EXPECT_EQ(*again, ReplaceCounts{.unchanged = 4});
  EXPECT_EQ(ReadAll(*store_).size(), 4U);
}

TEST_F(ReplacementTest, ManyEventsGoToTheIndexThroughFiles) {
  Open({.window_records = 100});
  Declare("events", EntityKind::kIncremental);
  Pages pages;
  for (int i = 0; i < 40'000; ++i) {
    // Against the order of ids, and every tenth without one.
    const std::string id = i % 10 == 0 ? "" : "e" + std::to_string(1'000'000 - i);
    pages[static_cast<uint32_t>(i / 1000)].emplace_back(id, "v" + std::to_string(i));
  }
  std::optional<View> before = store_->GetView();
  ASSERT_OK(Replace("events", pages));
  EXPECT_EQ(Value("events", "e999999"), "v1");
  EXPECT_EQ(Value("events", "e960001"), "v39999");
  EXPECT_EQ(store_->FindEntity("events")->record_count, 40'000U);
  EXPECT_THAT(ScanAll(*before, "events"), IsEmpty());
  before.reset();
  EXPECT_EQ(ScanAll(store_->GetView(), "events").size(), 40'000U);
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
  Reopen();
  EXPECT_EQ(Value("events", "e970001"), "v29999");
  EXPECT_EQ(ScanAll(store_->GetView(), "events").size(), 40'000U);
}

TEST_F(ReplacementTest, TheDeleteGuardAppliesFromAHundredUp) {
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 200, "a")));
  const Log before = ReadAll(*store_);
  const ReplacePlan guarded{.delete_share_max = 0.1};
  EXPECT_THAT(Replace("users", Numbered(100, 250, "b"), guarded),
              StatusIs(ErrorCode::kDeleteGuard, HasSubstr("100 of 200")));
  EXPECT_EQ(ReadAll(*store_), before);
  const auto below = Replace("users", Numbered(99, 200, "a"), guarded);
  ASSERT_OK(below);
  EXPECT_EQ(below->deleted, 99U);
  // As many as the share allows are fine.
  ASSERT_OK(Replace("users", Numbered(0, 1000, "a")));
  const auto exact = Replace("users", Numbered(100, 1000, "a"), guarded);
  ASSERT_OK(exact);
  EXPECT_EQ(exact->deleted, 100U);
}

// --- What a stage answers ---

TEST_F(ReplacementTest, AStageTellsWhatItHolds) {
  Open();
  Stage stage(*store_, 1);
  Stage other(*store_, 2);
  PutPages(other, "users", {{0, {{"other", "1"}}}});
  PutPages(stage, "users", {{4, {{"b", "1"}, {"a", "2"}, {"b", "3"}}}, {9, {}}});
  PutPages(stage, "us", {{0, {{"x", "1"}}}});
  EXPECT_THAT(stage.Entities(), ElementsAre("us", "users"));
  EXPECT_THAT(stage.Pages("users"), ElementsAre(4, 9));
  EXPECT_THAT(stage.ContainsId("users", "a"), test::IsOkAndHolds(true));
  EXPECT_THAT(stage.ContainsId("users", "other"), test::IsOkAndHolds(false));
  EXPECT_THAT(stage.ContainsId("nobody", "a"), test::IsOkAndHolds(false));
  ASSERT_OK(stage.PutPage("users", 5, {{.id = "late", .value = "1", .row = 3}}));
  EXPECT_THAT(stage.ContainsId("users", "late"), test::IsOkAndHolds(true));

  std::vector<std::string> rows;
  ASSERT_OK(stage.ForEachRow("users", [&](uint32_t page, const StagedRow& row) {
    rows.push_back(std::to_string(page) + "/" + std::to_string(row.row) + " " +
                   std::string(row.id) + "=" + std::string(row.value));
    return true;
  }));
  EXPECT_THAT(rows, ElementsAre("4/0 b=1", "4/1 a=2", "4/2 b=3", "5/3 late=1"));

  const auto bytes = stage.GetPage("users", 4);
  ASSERT_OK(bytes);
  const auto batch = BatchView::Parse(*bytes, BatchKind::kUpload);
  ASSERT_OK(batch);
  ASSERT_EQ(batch->size(), 3U);
  EXPECT_EQ(batch->id(1), "a");
  EXPECT_EQ(batch->sequence(1), SequenceNumber(2));
  EXPECT_THAT(stage.GetPage("users", 8), StatusIs(ErrorCode::kNotFound));

  ASSERT_OK(stage.Discard());
  ASSERT_OK(stage.Discard());
  EXPECT_THAT(stage.Entities(), IsEmpty());
  EXPECT_THAT(other.Entities(), ElementsAre("users"));
}

TEST_F(ReplacementTest, BadPagesAreRefusedWholeAndLeaveTheEarlierContent) {
  Open();
  Stage stage(*store_, 1);
  PutPages(stage, "users", {{0, {{"a", "1"}}}});
  const std::vector<Row> many(1001, Row("x", "1"));
  EXPECT_THAT(stage.PutPage("users", 0, Staged(many)), StatusIs(ErrorCode::kTooManyRecords));
  const std::string large(kValueBytesMax + 1, 'x');
  EXPECT_THAT(stage.PutPage("users", 0, Staged({{"b", large}})), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(stage.PutPage("users", 0, Staged({{"b\n", "1"}})),
              StatusIs(ErrorCode::kInvalidArgument, HasSubstr("users, staged page 0, row 0")));
  EXPECT_THAT(stage.PutPage("", 0, {}), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(stage.PutPage("users", 0, {{.id = "b", .row = 4}, {.id = "c", .row = 4}}),
              StatusIs(ErrorCode::kInvalidArgument, HasSubstr("increase")));
  CommitOptions refused;
  refused.precondition = [](CommitContext& context) -> Status {
    context.SetRow("seen", "yes");
    return {ErrorCode::kSyncClosed, "finished"};
  };
  EXPECT_THAT(stage.PutPage("users", 0, Staged({{"b", "1"}}), WriteBatch(), refused),
              StatusIs(ErrorCode::kSyncClosed));
  EXPECT_THAT(store_->GetRow("seen"), test::IsOkAndHolds(std::nullopt));
  EXPECT_THAT(stage.ContainsId("users", "a"), test::IsOkAndHolds(true));
  EXPECT_THAT(stage.ContainsId("users", "b"), test::IsOkAndHolds(false));
  ASSERT_OK(stage.PutPage("users", 1, Staged({{"b", "1"}}), WriteBatch().SetRow("row", "joined")));
  EXPECT_THAT(store_->GetRow("row"), test::IsOkAndHolds(std::optional<std::string>("joined")));
}

TEST_F(ReplacementTest, LargeValuesAndFullPagesComeThrough) {
  Open();
  Declare("users", EntityKind::kSnapshot);
  const std::string large(kValueBytesMax, 'x');
  Pages pages = Numbered(0, 1000, std::string(3000, 'y'));
  for (uint32_t page = 1; page < 4; ++page) {
    for (int row = 0; row < 5; ++row) {
      pages[page].emplace_back("large" + std::to_string(row * 7 + static_cast<int>(page)), large);
    }
  }
  const auto counts = Replace("users", pages);
  ASSERT_OK(counts);
  EXPECT_EQ(counts->created, 1015U);
  EXPECT_EQ(Value("users", "large15"), large);
  EXPECT_EQ(Value("users", "id000999"), std::string(3000, 'y'));
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
}

TEST_F(ReplacementTest, MorePagesThanOneMergeTakesAreMergedInGroups) {
  Open({.durability = Durability::kOrder});
  Declare("users", EntityKind::kSnapshot);
  Pages pages;
  for (uint32_t page = 0; page < 2100; ++page) {
    pages[page] = {{"id" + std::to_string(page * 7919 % 2100), "a"},
                   {"same", std::to_string(page)}};
  }
  const auto counts = Replace("users", pages);
  ASSERT_OK(counts);
  EXPECT_EQ(*counts, (ReplaceCounts{.created = 2101, .duplicates = 2099}));
  EXPECT_EQ(Value("users", "same"), "2099");
  EXPECT_TRUE(std::filesystem::is_empty(path() / "tmp"));
}

TEST_F(ReplacementTest, AnEntityThatDoesNotExistCanOnlyBeTried) {
  Open();
  Stage stage(*store_, 1);
  PutPages(stage, "users", {{0, {{"a", "1"}, {"a", "2"}}}});
  PutPages(stage, "events", {{0, {{"a", "1"}, {"a", "2"}}}});
  const std::vector<ReplacePlan> plans = {{.entity = "users"},
                                          {.entity = "events", .kind = EntityKind::kIncremental}};
  const auto dry = stage.DryRun(plans);
  ASSERT_OK(dry);
  EXPECT_EQ(dry->at("users"), (ReplaceCounts{.created = 1, .duplicates = 1}));
  EXPECT_EQ(dry->at("events"), (ReplaceCounts{.appended = 2, .renamed = 1}));
  EXPECT_THAT(stage.Apply(plans, {}), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(stage.DryRun({plans[0], plans[0]}), StatusIs(ErrorCode::kInvalidArgument));
}

TEST_F(ReplacementTest, DeletionsShowIdsAsTheRecordsDid) {
  Open();
  ASSERT_OK(store_->Commit(
      WriteBatch().Put("users", int64_t{7}, "n").Put("users", "8", "t").Put("users", "x", "t")));
  Expose();
  ASSERT_OK(store_->Empty("users"));
  const auto cut = store_->PinCut();
  LogCursor cursor = store_->ReadLog(*cut, {{.entity = store_->FindEntity("users")->number}});
  std::map<std::string, IdForm> forms;
  while (cursor.Next()) forms[std::string(cursor.entry().id)] = cursor.entry().id_form;
  EXPECT_THAT(
      forms,
      ElementsAre(Pair("7", IdForm::kInteger), Pair("8", IdForm::kText), Pair("x", IdForm::kText)));
}

// --- Failure before the flip ---

/// The column families on disk, and those that the store should have.
std::set<std::string> FamiliesOnDisk(const Store& store) {
  rocksdb::DBOptions options;
  options.env = store.runtime().impl().env();
  std::vector<std::string> names;
  EXPECT_TRUE(
      rocksdb::DB::ListColumnFamilies(options, (store.directory() / "db").string(), &names).ok());
  return {names.begin(), names.end()};
}

std::set<std::string> FamiliesInUse(Store& store) {
  std::set<std::string> names = {"default", internal::kFoldFamily, internal::kStageFamily};
  for (const auto& [number, entity] : store.impl().state.GetCatalog()->all()) {
    names.insert(internal::LogFamilyName(number));
    names.insert(internal::IndexFamilyName(number, entity->generation));
  }
  return names;
}

class UnfinishedTest : public ReplacementTest {
 protected:
  void SetUp() override {
    Open();
    Declare("users", EntityKind::kSnapshot);
    Declare("events", EntityKind::kIncremental);
    ASSERT_OK(Replace("users", Numbered(0, 400, "a")));
    stage_.emplace(*store_, 77);
    PutPages(*stage_, "users", Numbered(100, 700, "b"));
    PutPages(*stage_, "events", Numbered(0, 500, "e"));
    before_ = ReadAll(*store_);
    sequence_ = store_->last_sequence();
  }
  void TearDown() override { stage_.reset(); }

  void ExpectUntouched() {
    EXPECT_EQ(ReadAll(*store_), before_);
    EXPECT_EQ(store_->last_sequence(), sequence_);
    EXPECT_EQ(FamiliesOnDisk(*store_), FamiliesInUse(*store_));
    EXPECT_TRUE(std::filesystem::is_empty(path() / "tmp"));
    // The store goes on, with the numbers that the failure had given out.
    const auto next = Put("users", "id000000", "next");
    ASSERT_OK(next);
    EXPECT_EQ(next->sequence, sequence_.Next());
    EXPECT_EQ(Value("users", "id000000"), "next");
    EXPECT_THAT(test::Problems(*store_), IsEmpty());
  }

  const std::vector<ReplacePlan> plans_ = {{.entity = "users"}, {.entity = "events"}};
  std::optional<Stage> stage_;
  Log before_;
  SequenceNumber sequence_;
};

TEST_F(UnfinishedTest, ARefusedJoinLeavesNoTrace) {
  const auto refuse = [](const std::map<std::string, ReplaceCounts>& counts, WriteBatch& batch) {
    EXPECT_EQ(counts.at("users").created, 300U);
    EXPECT_EQ(counts.at("events").appended, 500U);
    batch.SetRow("row", "value");
    return Status(ErrorCode::kConflict, "not now");
  };
  EXPECT_THAT(stage_->Apply(plans_, refuse), StatusIs(ErrorCode::kConflict));
  EXPECT_THAT(store_->GetRow("row"), test::IsOkAndHolds(std::nullopt));
  const auto with_operation = [](const auto&, WriteBatch& batch) {
    batch.Put("users", "x", "y");
    return Status();
  };
  EXPECT_THAT(stage_->Apply(plans_, with_operation), StatusIs(ErrorCode::kInvalidArgument));
  ExpectUntouched();
  ASSERT_OK(stage_->Apply(plans_, {}));
  EXPECT_EQ(Value("users", "id000000"), "-");
  EXPECT_EQ(Value("users", "id000699"), "b");
  EXPECT_EQ(Value("events", "id000499"), "e");
}

TEST_F(UnfinishedTest, ADamagedStagedPageIsReported) {
  internal::StoreState& state = store_->impl().state;
  const std::unique_ptr<rocksdb::Iterator> rows(
      state.db->NewIterator(rocksdb::ReadOptions(), state.stage.get()));
  rows->SeekToLast();  // a block of values of users
  std::string bytes = rows->value().ToString();
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  ASSERT_TRUE(state.db->Put(rocksdb::WriteOptions(), state.stage.get(), rows->key(), bytes).ok());
  EXPECT_THAT(stage_->Apply(plans_, {}),
              StatusIs(ErrorCode::kCorruption, HasSubstr("users, staged page 0")));
  ExpectUntouched();
  PutPages(*stage_, "users", Numbered(100, 700, "b"));
  ASSERT_OK(stage_->Apply(plans_, {}));
  EXPECT_EQ(Value("users", "id000699"), "b");
}

TEST_F(UnfinishedTest, WritersWaitAndNothingOfTheirsIsLost) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> written{0};
  std::thread writer([&] {
    while (!stop) {
      const std::string number = std::to_string(written + 1);
      if (!store_->Commit(WriteBatch().Put("visits", "v" + number, number)).ok()) return;
      ++written;
    }
  });
  for (int round = 0; round < 4; ++round) {
    ASSERT_OK(stage_->Apply({{.entity = "users"}}, {}));
    ASSERT_OK(Replace("users", Numbered(0, 400, "a" + std::to_string(round))));
  }
  stop = true;
  writer.join();
  EXPECT_GT(written, 0U);
  EXPECT_EQ(ScanAll(store_->GetView(), "visits").size(), written);
  EXPECT_EQ(ScanAll(store_->GetView(), "users"), ScanAll(store_->GetView(), "users"));
  EXPECT_EQ(Value("users", "id000399"), "a3");
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
  EXPECT_EQ(FamiliesOnDisk(*store_), FamiliesInUse(*store_));
}

// --- Power cuts and faults at every call ---

/// A store on a disk that fails on command, and a script that ends in a finish.
class CrashScript {
 public:
  CrashScript() : files_(std::make_shared<test::FaultFileSystem>(directory_ / "disk")) {
    Prepare();
  }

  void Arm(const test::FaultPlan& plan) { files_->Arm(plan); }
  uint64_t calls() const { return files_->calls(); }
  void Crash(CrashMode mode, uint64_t seed) {
    store_.reset();
    files_->Crash(mode, seed);
  }

  Status Open() {
    store_.reset();
    // A runtime of its own for each life: memory does not survive a power cut.
    auto runtime = internal::CreateRuntime(
        {.block_cache_bytes = 1024 * 1024, .background_threads = 1}, test::NewFaultEnv(files_));
    if (!runtime.ok()) return runtime.status();
    auto store = Store::Open(
        directory_.path() / "disk" / "store", {.window_records = 64}, std::move(*runtime));
    if (!store.ok()) return store.status();
    store_ = std::move(*store);
    return {};
  }

  /// Finish, one more commit, cleaning up, reopening. Stops at the first error.
  Status Run() {
    TIDEMARK_RETURN_IF_ERROR(Finish());
    applied_ = true;
    TIDEMARK_RETURN_IF_ERROR(
        store_->Commit(WriteBatch().Put("users", "after", "1").SetRow("after", "yes")).status());
    committed_ = true;
    TIDEMARK_RETURN_IF_ERROR(Stage(*store_, 1).Discard());
    TIDEMARK_RETURN_IF_ERROR(store_->Compact());
    TIDEMARK_RETURN_IF_ERROR(store_->Close());
    return Open();
  }
  Status Finish() {
    Stage stage(*store_, 1);
    return stage
        .Apply({{.entity = "users"}, {.entity = "visits"}, {.entity = "events"}},
               [](const auto&, WriteBatch& batch) {
                 batch.SetRow("finished", "yes");
                 return Status();
               })
        .status();
  }

  bool is_open() const { return store_ != nullptr; }
  Store& store() { return *store_; }
  bool applied() const { return applied_; }
  bool committed() const { return committed_; }

 private:
  void Prepare() {
    ASSERT_OK(Open());
    EntityDeclaration events;
    events.kind = EntityKind::kIncremental;
    ASSERT_OK(store_->Declare("events", events));
    WriteBatch batch;
    for (int i = 0; i < 30; ++i) batch.Put("users", "u" + std::to_string(i), "old");
    batch.Put("visits", "v", "old").Append("events", "e1", "old");
    ASSERT_OK(store_->Commit(batch));
    ASSERT_OK(store_->Commit(WriteBatch(), {.pin_cut = true}));
    ASSERT_OK(store_->Commit(WriteBatch().Delete("users", "u3")));
    Stage stage(*store_, 1);
    std::vector<Row> users;
    for (int i = 0; i < 40; i += 2) {
      users.emplace_back("u" + std::to_string(i), i % 4 == 0 ? "old" : "new");
    }
    ASSERT_OK(stage.PutPage("users", 0, Staged(users)));
    ASSERT_OK(stage.PutPage("visits", 0, {}));
    std::vector<Row> appended = {{"e1", "old"}, {"e1", "other"}};
    for (int i = 0; i < 60; ++i) appended.emplace_back("n" + std::to_string(i), "new");
    ASSERT_OK(stage.PutPage("events", 0, Staged(appended)));
  }

  test::TempDirectory directory_;
  std::shared_ptr<test::FaultFileSystem> files_;
  std::unique_ptr<Store> store_;
  bool applied_ = false;
  bool committed_ = false;
};

/// Everything the script may leave behind.
struct Outcomes {
  Log before;
  Log finished;
  Log committed;
  uint64_t finish_calls = 0;  // until the finish answers
  uint64_t calls = 0;         // of the whole script
};

Outcomes OutcomesOfScript() {
  Outcomes outcomes;
  CrashScript script;
  outcomes.before = ReadAll(script.store());
  script.Arm({});
  EXPECT_OK(script.Finish());
  outcomes.finish_calls = script.calls();
  outcomes.finished = ReadAll(script.store());
  CrashScript whole;
  whole.Arm({});
  EXPECT_OK(whole.Run());
  outcomes.calls = whole.calls();
  outcomes.committed = ReadAll(whole.store());
  return outcomes;
}

/// Exactly old or new, and no older than what was acknowledged.
void CheckOutcome(CrashScript& script, const Outcomes& outcomes) {
  Store& store = script.store();
  const Log log = ReadAll(store);
  const auto finished = store.GetRow("finished");
  const auto after = store.GetRow("after");
  ASSERT_OK(finished);
  ASSERT_OK(after);
  ASSERT_EQ(log,
            after->has_value()      ? outcomes.committed
            : finished->has_value() ? outcomes.finished
                                    : outcomes.before);
  ASSERT_TRUE(finished->has_value() || !script.applied());
  ASSERT_TRUE(after->has_value() || !script.committed());
  ASSERT_EQ(FamiliesOnDisk(store), FamiliesInUse(store));
  ASSERT_THAT(test::Problems(store), IsEmpty());
  // It goes on, and a finish that was cut off can be called again.
  if (!finished->has_value()) {
    ASSERT_OK(script.Finish());
    ASSERT_EQ(ReadAll(store), outcomes.finished);
  }
  const uint64_t last = ReadAll(store).rbegin()->first;
  const auto next = store.Commit(WriteBatch().Put("users", "next", "1"));
  ASSERT_OK(next);
  ASSERT_EQ(next->sequence.value(), last + 1);
}

/// The calls at which something goes wrong: with three parameters that start apart, every one of
/// the finish, and some of what comes after it.
std::vector<uint64_t> Instants(const Outcomes& outcomes, int parameter) {
  const bool all = std::getenv("TIDEMARK_TEST_LONG") != nullptr;
  std::vector<uint64_t> instants;
  uint64_t at = all ? 1 : 1 + static_cast<uint64_t>(parameter % 3);
  while (at <= outcomes.calls) {
    instants.push_back(at);
    at += all ? 1 : at <= outcomes.finish_calls ? 3 : 23;
  }
  return instants;
}

class ReplacementCutTest : public ::testing::TestWithParam<CrashMode> {};

TEST_P(ReplacementCutTest, LeavesTheOldOrTheNew) {
  const Outcomes outcomes = OutcomesOfScript();
  for (const uint64_t at : Instants(outcomes, static_cast<int>(GetParam()))) {
    SCOPED_TRACE("power cut at call " + std::to_string(at) + " of " +
                 std::to_string(outcomes.calls));
    CrashScript script;
    script.Arm({.at = at, .kind = FaultKind::kPowerCut});
    (void)script.Run();  // may succeed: files that nobody needs go in the background
    script.Crash(GetParam(), at);
    ASSERT_OK(script.Open());
    CheckOutcome(script, outcomes);
    if (::testing::Test::HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes,
                         ReplacementCutTest,
                         ::testing::Values(CrashMode::kDrop, CrashMode::kTorn, CrashMode::kPrefix));

class ReplacementFaultTest : public ::testing::TestWithParam<FaultKind> {};

TEST_P(ReplacementFaultTest, AnErrorIsToldAndLeavesTheOldOrTheNew) {
  const Outcomes outcomes = OutcomesOfScript();
  for (const uint64_t at : Instants(outcomes, static_cast<int>(GetParam()))) {
    SCOPED_TRACE("fault at call " + std::to_string(at) + " of " + std::to_string(outcomes.calls));
    CrashScript script;
    script.Arm({.at = at, .kind = GetParam()});
    (void)script.Run();
    script.Arm({});
    if (script.is_open()) {  // reading goes on
      EXPECT_THAT(ReadAll(script.store()),
                  AnyOf(outcomes.before, outcomes.finished, outcomes.committed));
    }
    ASSERT_OK(script.Open());
    CheckOutcome(script, outcomes);
    if (::testing::Test::HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds,
                         ReplacementFaultTest,
                         ::testing::Values(FaultKind::kIoError,
                                           FaultKind::kNoSpace,
                                           FaultKind::kShortWrite));

}  // namespace
}  // namespace tidemark
