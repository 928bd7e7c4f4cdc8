#include "replication/internal/free_ids.h"

#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace tidemark::internal {
namespace {

TEST(FreeIdsTest, JoinsWhatTouches) {
  FreeIds ids;
  ids.Add({10, 20});
  ids.Add({30, 40});
  EXPECT_EQ(ids.pieces(), 2U);
  EXPECT_EQ(ids.GrowthBy({20, 30}), -1);
  EXPECT_EQ(ids.GrowthBy({40, 41}), 0);
  EXPECT_EQ(ids.GrowthBy({50, 60}), 1);
  ids.Add({20, 30});
  EXPECT_EQ(ids.pieces(), 1U);
  EXPECT_EQ(ids.count(), 30U);
  EXPECT_EQ(ids.Take(100, 64), (std::vector<IdRange>{{10, 40}}));
  EXPECT_EQ(ids.count(), 0U);
}

TEST(FreeIdsTest, TakesTheLowestInABoundedNumberOfPieces) {
  FreeIds ids;
  for (uint64_t from = 0; from < 100; from += 10) ids.Add({from, from + 3});
  EXPECT_EQ(ids.Take(7, 64), (std::vector<IdRange>{{0, 3}, {10, 13}, {20, 21}}));
  EXPECT_EQ(ids.Take(100, 2), (std::vector<IdRange>{{21, 23}, {30, 33}}));
}

// Against a plain set; the changes, put together, are the ranges.
TEST(FreeIdsTest, AgreesWithASet) {
  constexpr uint64_t kEnd = 200;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    FreeIds ids;
    std::set<uint64_t> model;
    std::map<uint64_t, uint64_t> rows;
    for (int step = 0; step < 100; ++step) {
      const uint64_t from = random() % kEnd;
      const IdRange range{from, from + 1 + random() % 20};
      if (random() % 2 == 0) {
        const size_t before = ids.pieces();
        bool apart = true;
        for (uint64_t id = range.from; id < range.to; ++id) apart = apart && !model.contains(id);
        if (!apart) continue;
        const int growth = ids.GrowthBy(range);
        ids.Add(range);
        EXPECT_EQ(static_cast<int>(ids.pieces()), static_cast<int>(before) + growth);
        for (uint64_t id = range.from; id < range.to; ++id) model.insert(id);
      } else if (random() % 2 == 0) {
        const uint64_t wanted = random() % 30;
        for (const IdRange& taken : ids.Take(wanted, 3)) {
          for (uint64_t id = taken.from; id < taken.to; ++id) {
            EXPECT_EQ(*model.begin(), id);
            model.erase(model.begin());
          }
        }
      } else {
        for (const IdRange& removed : ids.Remove(range)) {
          for (uint64_t id = removed.from; id < removed.to; ++id) EXPECT_EQ(model.erase(id), 1U);
        }
        for (uint64_t id = range.from; id < range.to; ++id) EXPECT_FALSE(model.contains(id));
      }
      for (const auto& [first, end] : ids.TakeChanges()) {
        rows.erase(first);
        if (end) rows[first] = *end;
      }
      std::set<uint64_t> in_rows;
      for (const auto& [first, end] : rows) {
        for (uint64_t id = first; id < end; ++id) in_rows.insert(id);
      }
      ASSERT_EQ(in_rows, model);
      ASSERT_EQ(ids.count(), model.size());
      ASSERT_EQ(ids.pieces(), rows.size());
    }
  }
}

}  // namespace
}  // namespace tidemark::internal
