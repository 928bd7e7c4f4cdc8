// Random histories of a store against plain maps: whatever was put, deleted, appended, folded,
// compacted and reopened, the whole visible state is what the maps say.
//
//   TIDEMARK_SEED=n        one history
//   TIDEMARK_TEST_LONG=1   fifty times as many
#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

using test::ScanAll;
using test::ScanResult;

constexpr uint64_t kHistories = 40;
constexpr int kSteps = 60;
constexpr int kIds = 12;
const std::vector<std::string> kSnapshots = {"users", "visits"};
const std::string kEvents = "events";

struct Life {
  uint64_t birth = 0;
  uint64_t head = 0;
  std::string value;
};

/// An entry of the log: the newest row of an id, by its head.
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
using Records = std::map<std::string, std::map<std::string, Life>>;

/// What a store should hold.
struct Model {
  uint64_t sequence = 0;
  uint64_t exposed = 0;
  Records records;
  Log log;
  // Ended lives of an id that a device may still hold.
  std::map<std::pair<std::string, std::string>, std::vector<std::pair<uint64_t, uint64_t>>> ended;
  // The head of an id's tombstone, while it is kept.
  std::map<std::pair<std::string, std::string>, uint64_t> tombstones;

  void Put(const std::string& entity, const std::string& id, const std::string& value) {
    auto& lives = records[entity];
    const auto found = lives.find(id);
    if (found != lives.end() && found->second.value == value) return;
    ++sequence;
    Life life{.birth = sequence, .head = sequence, .value = value};
    if (found != lives.end()) {
      life.birth = found->second.birth;
      log.erase(found->second.head);
    }
    ForgetTombstone(entity, id);
    lives[id] = life;
    log[sequence] = {entity, id, life.birth, true, value, ended[{entity, id}]};
  }
  void Delete(const std::string& entity, const std::string& id) {
    auto& lives = records[entity];
    const auto found = lives.find(id);
    if (found == lives.end()) return;
    ++sequence;
    auto& lost = ended[{entity, id}];
    if (found->second.birth <= exposed) lost.emplace_back(found->second.birth, sequence);
    log.erase(found->second.head);
    if (!lost.empty()) {
      log[sequence] = {entity, id, found->second.birth, false, "", lost};
      tombstones[{entity, id}] = sequence;
    }
    lives.erase(found);
  }
  /// The tombstone is replaced, or purged.
  void ForgetTombstone(const std::string& entity, const std::string& id) {
    const auto found = tombstones.find({entity, id});
    if (found == tombstones.end()) return;
    log.erase(found->second);
    tombstones.erase(found);
  }
  void Purge(const std::string& entity, const std::string& id) {
    ForgetTombstone(entity, id);
    ended.erase({entity, id});
  }
};

/// A picture that was taken, and what it must show for ever.
struct Held {
  std::optional<View> view;
  std::shared_ptr<const Cut> cut;
  Records records;
  Log log;
};

class History {
 public:
  explicit History(uint64_t seed) : random_(seed) {
    options_.window_records = 1 + random_() % 24;
    store_ = test::OpenStore(directory_ / "store", options_);
  }

  void Run() {
    for (int step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) {
      Step();
      if (random_() % 8 == 0) CheckAll();
    }
    CheckAll();
    Reopen();
    CheckAll();
    EXPECT_THAT(test::Problems(*store_), ::testing::IsEmpty());
  }

 private:
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  std::string AnyEntity() { return kSnapshots[Below(kSnapshots.size())]; }
  std::string AnyId() { return "id" + std::to_string(Below(kIds)); }

  void Step() {
    switch (Below(16)) {
      case 0:
        return Hold();
      case 1:
        return Release();
      case 2:
        ASSERT_OK(store_->Compact());
        return;
      case 3:
        return Below(3) == 0 ? Reopen() : Purge();
      case 4:
        return ConditionalWrite();
      case 5:
        return Append();
      case 6:
        return Expose();
      default:
        return Write();
    }
  }

  void Write() {
    WriteBatch batch;
    // Several operations on one id collapse: the model only sees what each id came to.
    std::map<std::pair<std::string, std::string>, std::optional<std::string>> last;
    std::vector<std::pair<std::string, std::string>> order;
    const uint64_t operations = 1 + Below(Below(4) == 0 ? 40 : 4);
    for (uint64_t i = 0; i < operations; ++i) {
      const std::string entity = AnyEntity();
      const std::string id = AnyId();
      std::optional<std::string> value;
      if (Below(3) != 0) value = "v" + std::to_string(Below(6)) + std::string(Below(200), 'x');
      value.has_value() ? batch.Put(entity, id, *value) : batch.Delete(entity, id);
      NoteOperation(entity, id, value, &last, &order);
    }
    ASSERT_OK(store_->Commit(batch, {.sync = Below(2) == 0}));
    for (const auto& key : order) {
      const auto& value = last.at(key);
      value.has_value() ? model_.Put(key.first, key.second, *value)
                        : model_.Delete(key.first, key.second);
    }
    ASSERT_EQ(store_->last_sequence().value(), model_.sequence);
  }

  /// Changes get their numbers in the order of the operations that decided; an operation that
  /// leaves the record as the one before it did decides nothing.
  void NoteOperation(
      const std::string& entity,
      const std::string& id,
      const std::optional<std::string>& value,
      std::map<std::pair<std::string, std::string>, std::optional<std::string>>* last,
      std::vector<std::pair<std::string, std::string>>* order) {
    const std::pair key{entity, id};
    std::optional<std::string> before;
    if (const auto found = last->find(key); found != last->end()) {
      before = found->second;
    } else if (model_.records[entity].contains(id)) {
      before = model_.records[entity][id].value;
    }
    if (before == value) return;
    (*last)[key] = value;
    std::erase(*order, key);
    order->push_back(key);
  }

  void ConditionalWrite() {
    const std::string entity = AnyEntity();
    const std::string id = AnyId();
    const auto& lives = model_.records[entity];
    const auto found = lives.find(id);
    WriteCondition condition;
    bool holds = true;
    if (Below(2) == 0) {
      condition.if_absent = true;
      holds = found == lives.end();
    } else {
      const uint64_t version =
          found != lives.end() && Below(3) > 0 ? found->second.head : Below(99);
      condition.if_version = SequenceNumber(version);
      holds = found != lives.end() && found->second.head == version;
    }
    const auto result =
        store_->Commit(WriteBatch()
                           .Put(entity, "other", "side effect")
                           .Put(entity, id, "conditional", ValueKind::kBytes, condition));
    if (!holds) {
      ASSERT_THAT(result, test::StatusIs(ErrorCode::kConditionFailed));
      return;
    }
    ASSERT_OK(result);
    model_.Put(entity, "other", "side effect");
    model_.Put(entity, id, "conditional");
  }

  void Append() {
    const std::string id = "e" + std::to_string(Below(30));
    const std::string value = "event " + std::to_string(Below(3));
    ASSERT_OK(store_->Commit(WriteBatch().Append(kEvents, id, value)));
    auto& events = model_.records[kEvents];
    const auto found = events.find(id);
    if (found == events.end()) {
      model_.Put(kEvents, id, value);
    } else if (found->second.value != value) {
      model_.Put(kEvents, id + "~" + std::to_string(model_.sequence + 1), value);
    }
  }

  void Expose() {
    // Half of them keep the cut, as an open session does.
    auto result = store_->Commit(WriteBatch(), {.pin_cut = true});
    ASSERT_OK(result);
    ASSERT_EQ(result->cut->sequence().value(), model_.sequence);
    model_.exposed = model_.sequence;
    if (Below(2) == 0) {
      held_.push_back({.view = {}, .cut = result->cut, .records = {}, .log = model_.log});
    }
  }

  void Hold() {
    if (held_.size() >= 4) return;
    auto cut = store_->PinCut();
    ASSERT_OK(cut);
    held_.push_back(
        {.view = store_->GetView(), .cut = *cut, .records = model_.records, .log = model_.log});
  }

  void Release() {
    if (held_.empty()) return;
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(Below(held_.size())));
  }

  void Purge() {
    if (!held_.empty() || model_.tombstones.empty()) return;
    auto victim = model_.tombstones.begin();
    std::advance(victim, static_cast<std::ptrdiff_t>(Below(model_.tombstones.size())));
    const auto [entity, id] = victim->first;
    const uint64_t head = victim->second;
    ASSERT_OK(store_->PurgeTombstones(store_->FindEntity(entity)->number, {SequenceNumber(head)}));
    model_.Purge(entity, id);
    // A purge lasts from the next fold on.
    ASSERT_OK(store_->Compact());
  }

  void Reopen() {
    CheckHeld();
    held_.clear();
    ASSERT_OK(store_->Close());
    store_.reset();
    store_ = test::OpenStore(directory_ / "store", options_);
    ASSERT_NE(store_, nullptr);
  }

  void CheckAll() {
    CheckHeld();
    for (const auto& [entity, lives] : model_.records) {
      for (int i = 0; i < kIds; ++i) CheckGet(entity, "id" + std::to_string(i));
      const auto info = store_->FindEntity(entity);
      EXPECT_EQ(info.has_value() ? info->record_count : 0, lives.size());
    }
    CheckRecords(store_->GetView(), model_.records);
    const auto cut = store_->PinCut();
    ASSERT_OK(cut);
    CheckLog(*cut, model_.log);
  }

  void CheckHeld() {
    for (const Held& held : held_) {
      if (held.view.has_value()) CheckRecords(*held.view, held.records);
      CheckLog(held.cut, held.log);
    }
  }

  void CheckGet(const std::string& entity, const std::string& id) {
    const auto record = store_->Get(entity, id);
    ASSERT_OK(record);
    const auto& lives = model_.records[entity];
    const auto found = lives.find(id);
    ASSERT_EQ(record->has_value(), found != lives.end()) << entity << " " << id;
    if (!record->has_value()) return;
    EXPECT_EQ((*record)->value, found->second.value);
    EXPECT_EQ((*record)->version.value(), found->second.head);
    EXPECT_EQ((*record)->birth.value(), found->second.birth);
  }

  void CheckRecords(const View& view, const Records& records) {
    for (const auto& [entity, lives] : records) {
      ScanResult expected;
      for (const auto& [id, life] : lives) expected.emplace_back(id, life.value);
      EXPECT_EQ(ScanAll(view, entity), expected) << entity;
      std::reverse(expected.begin(), expected.end());
      EXPECT_EQ(ScanAll(view, entity, {.reverse = true}), expected) << entity;
    }
  }

  void CheckLog(const std::shared_ptr<const Cut>& cut, const Log& expected) {
    const uint64_t after = Below(3) == 0 ? Below(cut->sequence().value() + 1) : 0;
    std::vector<LogRange> ranges;
    std::map<EntityNumber, std::string> names;
    for (const EntityInfo& info : store_->ListEntities()) {
      ranges.push_back({.entity = info.number, .after = SequenceNumber(after)});
      names[info.number] = info.name;
    }
    LogCursor cursor = store_->ReadLog(cut, ranges);
    Log found;
    while (cursor.Next()) {
      const LogEntry& entry = cursor.entry();
      Entry& copy = found[entry.head.value()];
      copy = {names[entry.entity],
              std::string(entry.id),
              entry.birth.value(),
              entry.live,
              std::string(entry.value),
              {}};
      for (const EndedStay& life : entry.ended) {
        copy.ended.emplace_back(life.birth.value(), life.until.value());
      }
    }
    EXPECT_OK(cursor.status());
    EXPECT_EQ(found, Log(expected.upper_bound(after), expected.end())) << "after " << after;
  }

  test::TempDirectory directory_;
  std::mt19937_64 random_;
  StoreOptions options_;
  Model model_;
  std::unique_ptr<Store> store_;
  std::vector<Held> held_;  // before the store they belong to
};

TEST(StoreModelTest, RandomHistoriesEqualMaps) {
  uint64_t first = 1;
  uint64_t count = std::getenv("TIDEMARK_TEST_LONG") != nullptr ? 50 * kHistories : kHistories;
  if (const char* seed = std::getenv("TIDEMARK_SEED"); seed != nullptr) {
    first = std::strtoull(seed, nullptr, 10);
    count = 1;
  }
  for (uint64_t seed = first; seed < first + count; ++seed) {
    History(seed).Run();
    ASSERT_FALSE(HasFailure()) << "replay with TIDEMARK_SEED=" << seed;
  }
}

}  // namespace
}  // namespace tidemark
