// Stages against plain maps: whatever was uploaded, committed, deleted, exposed, folded and
// reopened, the whole visible state, tombstones and sequence numbers included, is what the maps
// say.
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/tuning.h"
#include "tests/db/replacement_fixture.h"

namespace tidemark {
namespace {

using test::Log;
using test::Pages;
using test::ReadAll;
using test::Row;
using test::ScanAll;
using test::ScanResult;
using test::ValueOf;
using ::testing::IsEmpty;

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
  /// `coming`: ids that are uploaded with it; a made id steps over them as over those that are
  /// there.
  void Append(const std::string& entity,
              const std::string& id,
              const std::string& value,
              const std::set<std::string>& coming = {}) {
    Records& records = entities_[entity];
    const auto found = records.find(id);
    const bool taken = !id.empty() && found != records.end() && found->second.live;
    if (taken && found->second.value == value) return;
    if (!taken && !id.empty()) return Put(entity, id, value);
    std::string made = id;
    do {
      made += "~" + std::to_string(sequence_ + 1);
    } while (records.contains(made) || coming.contains(made));
    Put(entity, made, value);
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
    const auto is_skipped = [&](uint32_t page, uint32_t row) {
      return std::count(plan.skip.begin(), plan.skip.end(), std::pair(page, row)) > 0;
    };
    std::set<std::string> coming;
    for (const auto& [page, rows] : pages) {
      for (uint32_t row = 0; row < rows.size(); ++row) {
        if (!is_skipped(page, row)) coming.insert(rows[row].first);
      }
    }
    for (const auto& [page, rows] : pages) {
      for (uint32_t row = 0; row < rows.size(); ++row) {
        if (is_skipped(page, row)) continue;
        const uint64_t before = sequence_;
        const auto found = entities_[entity].find(rows[row].first);
        const bool taken = found != entities_[entity].end() && found->second.live;
        Append(entity, rows[row].first, rows[row].second, coming);
        ++(sequence_ == before ? counts.unchanged : counts.appended);
        if (sequence_ > before && taken) ++counts.renamed;
      }
    }
    return counts;
  }
  void Expose() { exposed_ = sequence_; }
  void SkipNumbers(uint64_t count) { sequence_ += count; }

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

class ReplacementModelTest : public test::ReplacementTest,
                             public ::testing::WithParamInterface<uint64_t> {
 protected:
  size_t Below(size_t limit) { return random_() % limit; }
  std::string Id() { return "k" + std::to_string(Below(30)); }
  std::string Value() { return "v" + std::to_string(Below(3)) + std::string(Below(40), 'x'); }

  /// None, or one of a few, or one such as the store might make in this finish.
  std::string EventId() {
    if (Below(4) == 0) return {};
    if (Below(3) > 0) return Id();
    const uint64_t reserved = Below(2) == 0 ? 0 : tuning::kReplaceReserve;
    const uint64_t number = store_->last_sequence().value() + reserved + Below(25);
    return (Below(2) == 0 ? std::string() : Id()) + "~" + std::to_string(number);
  }

  Pages RandomPages(bool events) {
    Pages pages;
    const size_t count = Below(4) + (events ? 0 : 1);
    for (size_t i = 0; i < count; ++i) {
      std::vector<Row>& rows = pages[static_cast<uint32_t>(Below(6))];
      rows.clear();
      const size_t size = Below(25);
      for (size_t row = 0; row < size; ++row) {
        rows.emplace_back(events ? EventId() : Id(), Value());
      }
    }
    return pages;
  }

  /// A large replacement leaves numbers to the commits beside it.
  void SkipReserved(SequenceNumber before) {
    if (store_->last_sequence() <= before + tuning::kReplaceReserve) return;
    model_.SkipNumbers(tuning::kReplaceReserve);
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
    const SequenceNumber before = store_->last_sequence();
    const auto applied = stage.Apply(plans, {});
    ASSERT_OK(applied);
    SkipReserved(before);
    std::map<std::string, ReplaceCounts> expected;
    for (const auto& [staged_name, pages] : staged) {
      const std::string& name = staged_name;  // a lambda cannot capture the binding itself
      const auto plan = std::find_if(plans.begin(), plans.end(), [&](const ReplacePlan& candidate) {
        return candidate.entity == name;
      });
      if (name == "events") {
        expected[name] = model_.AppendAll(name, pages, *plan);
      } else {
        expected[name] = model_.Replace(name, pages, *plan);
      }
    }
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
  SequenceNumber before;
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
        before = store_->last_sequence();
        ASSERT_OK(store_->Empty(entity));
        SkipReserved(before);
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

}  // namespace
}  // namespace tidemark
