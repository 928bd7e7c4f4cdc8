// What the tests of stages share: pages as plain rows, and the log as a map.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "db/internal/column_families.h"
#include "db/internal/runtime_impl.h"
#include "db/internal/store_impl.h"
#include "db/replacement.h"
#include "tests/db/store_fixture.h"

namespace tidemark::test {

/// A row as a test writes it: id and value.
using Row = std::pair<std::string, std::string>;
using Pages = std::map<uint32_t, std::vector<Row>>;

inline std::vector<StagedRow> Staged(const std::vector<Row>& rows) {
  std::vector<StagedRow> staged;
  for (const auto& [id, value] : rows) {
    staged.push_back({.id = id, .value = value, .row = static_cast<uint32_t>(staged.size())});
  }
  return staged;
}

/// Rows `id<begin>` to `id<end - 1>`, on one page for each 1,000.
inline Pages Numbered(int begin, int end, const std::string& value) {
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

inline void PrintTo(const Entry& entry, std::ostream* out) {
  *out << entry.entity << " " << entry.id << " birth " << entry.birth
       << (entry.live ? " live " : " deleted ") << entry.value;
  for (const auto& [birth, death] : entry.ended) *out << " [" << birth << "," << death << ")";
}

using Log = std::map<uint64_t, Entry>;

inline Log ReadAll(const Store& store, const std::shared_ptr<const Cut>& cut) {
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
    for (const EndedStay& life : read.ended) {
      entry.ended.emplace_back(life.birth.value(), life.until.value());
    }
  }
  EXPECT_OK(cursor.status());
  return log;
}

inline Log ReadAll(const Store& store) {
  const auto cut = store.PinCut();
  EXPECT_OK(cut);
  return ReadAll(store, *cut);
}

class ReplacementTest : public StoreTest {
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

/// The column families on disk, and those that the store should have.
inline std::set<std::string> FamiliesOnDisk(const Store& store) {
  rocksdb::DBOptions options;
  options.env = store.runtime().impl().env();
  std::vector<std::string> names;
  EXPECT_TRUE(
      rocksdb::DB::ListColumnFamilies(options, (store.directory() / "db").string(), &names).ok());
  return {names.begin(), names.end()};
}

inline std::set<std::string> FamiliesInUse(Store& store) {
  std::set<std::string> names = {
      "default", internal::kFoldFamily, internal::kPartsFamily, internal::kStageFamily};
  for (const auto& [number, entity] : store.impl().state.GetCatalog()->all()) {
    names.insert(internal::LogFamilyName(number));
    names.insert(internal::IndexFamilyName(number, entity->generation));
  }
  return names;
}

}  // namespace tidemark::test
