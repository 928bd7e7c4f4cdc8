#include "db/internal/liveness.h"

#include <array>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::internal {
namespace {

using ::testing::ElementsAre;

std::vector<uint64_t> ReadAll(const Liveness& liveness, uint64_t cut, uint64_t after = 0) {
  std::vector<uint64_t> heads;
  std::array<SequenceNumber, 3> block;  // small, so that reading goes on from the middle
  for (size_t size = block.size(); size == block.size();) {
    size = liveness.Read(1, SequenceNumber(cut), SequenceNumber(after), true, true, block);
    for (size_t i = 0; i < size; ++i) heads.push_back(block[i].value());
    if (size > 0) after = heads.back();
  }
  return heads;
}

TEST(LivenessTest, APinRemembersWhatDiedAfterIt) {
  Liveness liveness;
  liveness.AddLive(1, SequenceNumber(1));
  liveness.AddLive(1, SequenceNumber(2));
  liveness.Pin(SequenceNumber(2));
  liveness.Supersede(1, SequenceNumber(1), SequenceNumber(3));
  liveness.AddLive(1, SequenceNumber(3));
  EXPECT_THAT(ReadAll(liveness, 2), ElementsAre(1, 2));
  EXPECT_THAT(ReadAll(liveness, 3), ElementsAre(2, 3));
  EXPECT_EQ(liveness.death_count(), 1U);
  liveness.Unpin(SequenceNumber(2));
  EXPECT_EQ(liveness.death_count(), 0U);
  EXPECT_THAT(ReadAll(liveness, 3), ElementsAre(2, 3));
}

TEST(LivenessTest, WithoutPinsNothingIsRemembered) {
  Liveness liveness;
  liveness.AddLive(1, SequenceNumber(1));
  liveness.Supersede(1, SequenceNumber(1), SequenceNumber(2));
  liveness.Supersede(1, SequenceNumber(1), SequenceNumber(3));  // not current any more: no effect
  EXPECT_EQ(liveness.death_count(), 0U);
  EXPECT_FALSE(liveness.IsLive(1, SequenceNumber(1)));
}

TEST(LivenessTest, WhatWasTrimmedUnderAPinMayNotBeDropped) {
  Liveness liveness;
  liveness.AddLive(1, SequenceNumber(1));
  EXPECT_TRUE(liveness.MayDrop(SequenceNumber(9)));
  liveness.Pin(SequenceNumber(5));
  EXPECT_TRUE(liveness.MayDrop(SequenceNumber(5)));
  EXPECT_FALSE(liveness.MayDrop(SequenceNumber(6)));
  liveness.Trim(1, SequenceNumber(1));
  EXPECT_FALSE(liveness.MayDrop(SequenceNumber(5)));
  liveness.Pin(SequenceNumber(6));
  liveness.Unpin(SequenceNumber(5));
  EXPECT_TRUE(liveness.MayDrop(SequenceNumber(6)));
  liveness.Unpin(SequenceNumber(6));
}

// Random lives of twenty ids; at every pinned cut the sets show what was current then.
TEST(LivenessTest, EveryPinnedCutEqualsAMap) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    Liveness liveness;
    std::map<int, uint64_t> heads;
    std::multimap<uint64_t, std::set<uint64_t>> pins;
    for (uint64_t sequence = 1; sequence <= 300; ++sequence) {
      const int id = static_cast<int>(random() % 20);
      if (heads.contains(id)) {
        liveness.Supersede(1, SequenceNumber(heads[id]), SequenceNumber(sequence));
      }
      heads[id] = sequence;
      random() % 4 == 0 ? liveness.AddTombstone(1, SequenceNumber(sequence))
                        : liveness.AddLive(1, SequenceNumber(sequence));
      if (random() % 9 == 0) {
        std::set<uint64_t> current;
        for (const auto& [unused, head] : heads) current.insert(head);
        pins.emplace(sequence, current);
        liveness.Pin(SequenceNumber(sequence));
      }
      if (!pins.empty() && random() % 10 == 0) {
        auto pin = pins.begin();
        std::advance(pin, static_cast<std::ptrdiff_t>(random() % pins.size()));
        liveness.Unpin(SequenceNumber(pin->first));
        pins.erase(pin);
      }
      for (const auto& [cut, current] : pins) {
        ASSERT_EQ(ReadAll(liveness, cut), std::vector<uint64_t>(current.begin(), current.end()));
      }
    }
    for (const auto& [cut, current] : pins) liveness.Unpin(SequenceNumber(cut));
    EXPECT_EQ(liveness.death_count(), 0U);
  }
}

}  // namespace
}  // namespace tidemark::internal
