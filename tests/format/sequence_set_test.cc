#include "format/sequence_set.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace tidemark {
namespace {

constexpr uint64_t kChunk = SequenceSet::kChunkSize;

SequenceNumber Seq(uint64_t value) {
  return SequenceNumber(value);
}

std::vector<uint64_t> Members(const SequenceSet& set,
                              SequenceNumber after = kSequenceZero,
                              SequenceNumber limit = kSequenceLimit,
                              size_t block = 7) {
  std::vector<uint64_t> members;
  std::vector<SequenceNumber> out(block);
  while (const size_t got = set.Read(after, limit, out)) {
    for (size_t i = 0; i < got; ++i) members.push_back(out[i].value());
    after = out[got - 1];
  }
  return members;
}

// Rows of a set, as a store would keep them.
using Rows = std::vector<std::pair<uint64_t, std::string>>;

Rows Store(const SequenceSet& set) {
  Rows rows;
  for (const uint64_t key : set.ChunkKeys()) rows.emplace_back(key, set.SerializeChunk(key));
  return rows;
}

SequenceSet Load(const Rows& rows) {
  SequenceSet set;
  for (const auto& [key, bytes] : rows) {
    const Status loaded = set.LoadChunk(key, bytes);
    EXPECT_TRUE(loaded.ok()) << loaded.message();
  }
  return set;
}

TEST(SequenceSetTest, EmptySetHasNothingAndAllocatesNothing) {
  SequenceSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.Count(), 0u);
  EXPECT_EQ(set.First(), std::nullopt);
  EXPECT_EQ(set.Last(), std::nullopt);
  EXPECT_FALSE(set.Contains(Seq(1)));
  EXPECT_FALSE(set.Remove(Seq(1)));
  set.RemoveThrough(Seq(kChunk * 3));
  set.Clear();
  EXPECT_EQ(set.MemoryBytes(), 0u);
  EXPECT_EQ(set.SerializeChunk(0), "");
  EXPECT_TRUE(set.TakeDirtyChunks().empty());
}

TEST(SequenceSetTest, KeepsNumbersAtEveryBorder) {
  SequenceSet set;
  const std::vector<uint64_t> borders = {0,
                                         1,
                                         kChunk - 1,
                                         kChunk,
                                         (uint64_t{1} << 32) - 1,
                                         uint64_t{1} << 32,
                                         kSequenceLimit.value() - 1};
  for (const uint64_t value : borders) EXPECT_TRUE(set.Add(Seq(value)));
  for (const uint64_t value : borders) EXPECT_FALSE(set.Add(Seq(value)));
  for (const uint64_t value : borders) EXPECT_TRUE(set.Contains(Seq(value)));
  EXPECT_EQ(set.First(), Seq(0));
  EXPECT_EQ(set.NextAfter(Seq(0)), Seq(1));
  EXPECT_EQ(set.NextAfter(Seq(kChunk)), Seq((uint64_t{1} << 32) - 1));
  EXPECT_EQ(set.NextAfter(kSequenceLimit.Previous()), std::nullopt);
  EXPECT_EQ(set.Last(), kSequenceLimit.Previous());
  EXPECT_EQ(set.CountAfter(Seq(0)), borders.size() - 1);
  EXPECT_EQ(set.CountRange({Seq(0), kSequenceLimit}), borders.size());
  EXPECT_EQ(set.CountRange({Seq(kChunk - 1), Seq(kChunk)}), 1u);
  EXPECT_EQ(set.CountRange({Seq(5), Seq(5)}), 0u);
}

TEST(SequenceSetTest, RangesCoverChunksAndCompress) {
  SequenceSet set;
  set.AddRange({Seq(10), Seq(5 * kChunk + 3)});
  EXPECT_EQ(set.Count(), 5 * kChunk + 3 - 10);
  EXPECT_FALSE(set.Contains(Seq(9)));
  EXPECT_TRUE(set.Contains(Seq(10)));
  EXPECT_TRUE(set.Contains(Seq(5 * kChunk + 2)));
  EXPECT_FALSE(set.Contains(Seq(5 * kChunk + 3)));
  EXPECT_LT(set.SerializeChunk(3).size(), 16u);
  set.RemoveThrough(Seq(4 * kChunk));
  EXPECT_EQ(set.First(), Seq(4 * kChunk + 1));
  EXPECT_EQ(set.Count(), kChunk + 2);
}

TEST(SequenceSetTest, ACopyKeepsItsMembersWhileTheOriginalChanges) {
  SequenceSet set;
  set.AddRange({Seq(1), Seq(3 * kChunk)});
  const SequenceSet copy = set;
  EXPECT_EQ(copy, set);
  set.Remove(Seq(kChunk + 5));
  set.Add(Seq(9 * kChunk));
  set.RemoveThrough(Seq(100));
  EXPECT_EQ(copy.Count(), 3 * kChunk - 1);
  EXPECT_TRUE(copy.Contains(Seq(kChunk + 5)));
  EXPECT_TRUE(copy.Contains(Seq(1)));
  EXPECT_FALSE(copy.Contains(Seq(9 * kChunk)));
  EXPECT_NE(copy, set);
}

TEST(SequenceSetTest, ACopyIsReadWhileAnotherThreadWrites) {
  SequenceSet set;
  set.AddRange({Seq(1), Seq(4 * kChunk)});
  for (int round = 0; round < 50; ++round) {
    std::thread reader([copy = set, expected = set.Count()] {
      EXPECT_EQ(copy.CountAfter(kSequenceZero), expected);
      EXPECT_EQ(Members(copy, Seq(kChunk - 100), Seq(kChunk + 100), 64).size(),
                copy.CountRange({Seq(kChunk - 99), Seq(kChunk + 100)}));
    });
    for (uint64_t i = 0; i < 200; ++i) set.Remove(Seq(1 + i * 1301 + static_cast<uint64_t>(round)));
    reader.join();
  }
}

TEST(SequenceSetTest, DirtyChunksAreToldOnceEmptiedOnesIncluded) {
  SequenceSet set;
  set.Add(Seq(5));
  set.Add(Seq(3 * kChunk));
  EXPECT_EQ(set.TakeDirtyChunks(), (std::vector<uint64_t>{0, 3}));
  EXPECT_TRUE(set.TakeDirtyChunks().empty());
  set.Add(Seq(5));  // no change
  set.Remove(Seq(6));
  EXPECT_TRUE(set.TakeDirtyChunks().empty());
  set.Remove(Seq(3 * kChunk));
  EXPECT_EQ(set.SerializeChunk(3), "");
  EXPECT_EQ(set.TakeDirtyChunks(), (std::vector<uint64_t>{3}));
  for (int i = 0; i < 3; ++i) {  // emptied and filled again: told once
    set.Remove(Seq(5));
    set.Add(Seq(5));
  }
  set.Remove(Seq(5));
  EXPECT_EQ(set.TakeDirtyChunks(), (std::vector<uint64_t>{0}));
  set.MarkDirty(std::vector<uint64_t>{7, 0});
  EXPECT_EQ(set.TakeDirtyChunks(), (std::vector<uint64_t>{0, 7}));
}

TEST(SequenceSetTest, StoredChunksAreRefusedWhenDamaged) {
  SequenceSet list, bits, runs;
  for (uint64_t i = 0; i < 100; ++i) list.Add(Seq(i * 3));
  for (uint64_t i = 0; i < 20'000; ++i) bits.Add(Seq(i * 3));
  runs.AddRange({Seq(0), Seq(100)});
  runs.AddRange({Seq(200), Seq(kChunk)});
  for (const SequenceSet* set : {&list, &bits, &runs}) {
    const std::string good = set->SerializeChunk(0);
    EXPECT_EQ(Load({{4, good}}).Count(), set->Count());
    SequenceSet target;
    target.Add(Seq(77));
    const SequenceSet before = target;
    for (const size_t size : {size_t{0}, size_t{1}, size_t{2}, good.size() / 2, good.size() - 1}) {
      EXPECT_EQ(target.LoadChunk(0, good.substr(0, size - size % 2)).code(),
                ErrorCode::kCorruption);
    }
    EXPECT_FALSE(target.LoadChunk(0, good + "x").ok());
    EXPECT_FALSE(target.LoadChunk(0, "\x07" + good.substr(1)).ok());
    EXPECT_FALSE(target.LoadChunk(kSequenceLimit.value() / kChunk, good).ok());
    EXPECT_EQ(target, before);
  }
  SequenceSet target;
  using namespace std::string_literals;
  EXPECT_FALSE(target.LoadChunk(0, "\1\5\0\5\0"s).ok());              // twice the same member
  EXPECT_FALSE(target.LoadChunk(0, "\1\6\0\5\0"s).ok());              // decreasing
  EXPECT_FALSE(target.LoadChunk(0, "\3\1\0\377\377\1\0"s).ok());      // a run beyond the chunk
  EXPECT_FALSE(target.LoadChunk(0, "\3\2\0\1\0\1\0\3\0\1\0"s).ok());  // runs that touch
  EXPECT_FALSE(target.LoadChunk(0, "\3\0\0"s).ok());                  // no run
  EXPECT_FALSE(target.LoadChunk(0, "\2"s + std::string(8192, '\0')).ok());
  EXPECT_TRUE(target.empty());
}

// Whatever bytes are accepted are a set that counts, reads and stores consistently.
TEST(SequenceSetTest, HostileBytesNeverMakeAnInconsistentSet) {
  std::mt19937_64 random(7);
  SequenceSet seed;
  for (uint64_t i = 0; i < 60; ++i) seed.Add(Seq(random() % kChunk));
  SequenceSet runs;
  for (uint64_t i = 0; i < 20; ++i) {
    const uint64_t first = random() % (kChunk - 50);
    runs.AddRange({Seq(first), Seq(first + 50)});
  }
  const std::vector<std::string> good = {seed.SerializeChunk(0), runs.SerializeChunk(0)};
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good[random() % good.size()];
    for (uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    SequenceSet set;
    if (!set.LoadChunk(0, bytes).ok()) continue;
    EXPECT_EQ(Members(set, kSequenceZero, kSequenceLimit, 500).size() + set.Contains(Seq(0)),
              set.Count());
    EXPECT_EQ(Load(Store(set)), set);
  }
}

TEST(SequenceSetTest, ARunToTheEndOfAChunkIsGivenUp) {
  SequenceSet set;
  set.AddRange({Seq(kChunk - 10), Seq(kChunk)});
  const std::vector<SequenceNumber> scattered = {Seq(1), Seq(5), Seq(kChunk - 2)};
  set.AddAll(scattered);
  EXPECT_EQ(set.Count(), 12U);
  EXPECT_TRUE(set.Contains(Seq(kChunk - 1)));
  SequenceSet edited;
  edited.AddRange({Seq(kChunk - 10), Seq(kChunk)});
  for (uint64_t i = 0; i < 300; ++i) edited.Add(Seq(i * 2));
  EXPECT_EQ(edited.Count(), 310U);
}

// Random histories against std::set, with copies, stored rows and both dense and sparse chunks.
TEST(SequenceSetTest, AgreesWithAModel) {
  for (uint64_t seed = 1; seed <= 32; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const uint64_t span = std::vector<uint64_t>{300, 9'000, 5 * kChunk, 40 * kChunk}[seed % 4];
    SequenceSet set;
    std::set<uint64_t> model;
    Rows rows;  // kept up to date from dirty chunks alone
    for (int step = 0; step < 1500; ++step) {
      const uint64_t value = random() % span;
      switch (random() % 16) {
        case 0: {
          const uint64_t limit = std::min(span, value + random() % 3000);
          set.AddRange({Seq(value), Seq(limit)});
          for (uint64_t i = value; i < limit; ++i) model.insert(i);
          break;
        }
        case 1:
          if (random() % 20 == 0) {
            set.RemoveThrough(Seq(value / 2));
            model.erase(model.begin(), model.upper_bound(value / 2));
          }
          break;
        case 2:
          for (const uint64_t key : set.TakeDirtyChunks()) {
            std::erase_if(rows, [key](const auto& row) { return row.first == key; });
            const std::string bytes = set.SerializeChunk(key);
            if (!bytes.empty()) rows.emplace_back(key, bytes);
          }
          EXPECT_EQ(Load(rows), set);
          if (random() % 4 == 0) set = Load(rows);
          break;
        case 3:
          for (uint64_t i = value; i < std::min(span, value + 40); ++i) {
            EXPECT_EQ(set.Remove(Seq(i)), model.erase(i) == 1);
          }
          break;
        case 4: {
          std::vector<SequenceNumber> members;
          const uint64_t step_max = 1 + random() % 3;
          for (uint64_t i = value; i < span && members.size() < 300; i += 1 + random() % step_max) {
            members.push_back(Seq(i));
            model.insert(i);
          }
          const uint64_t way = random() % 3;
          if (way == 0) {
            set.AddAll(members);
          } else if (way == 1) {
            SequenceSet other;
            other.AddAll(members);
            const uint64_t run = random() % 500;
            other.AddRange({Seq(value), Seq(value + run)});
            for (uint64_t i = value; i < value + run; ++i) model.insert(i);
            set.AddSet(other);
            other.Add(Seq(random() % span));  // the set has its members for itself
          } else {
            std::vector<SequenceNumber> any(members);
            std::shuffle(any.begin(), any.end(), random);
            any.push_back(any.front());
            set.AddUnordered(any);
          }
          EXPECT_TRUE(set.ContainsAll(members));
          members.push_back(Seq(span + random() % span));
          EXPECT_EQ(set.ContainsAll(members), model.contains(members.back().value()));
          break;
        }
        case 5:
        case 6:
          EXPECT_EQ(set.Remove(Seq(value)), model.erase(value) == 1);
          break;
        default:
          EXPECT_EQ(set.Add(Seq(value)), model.insert(value).second);
      }
      ASSERT_EQ(set.Count(), model.size());
      EXPECT_EQ(set.Contains(Seq(value)), model.contains(value));
      const auto next = model.upper_bound(value);
      EXPECT_EQ(set.NextAfter(Seq(value)),
                next == model.end() ? std::nullopt : std::optional(Seq(*next)));
      if (step % 50 == 0) {
        EXPECT_EQ(set.CountAfter(Seq(value)),
                  static_cast<uint64_t>(std::distance(next, model.end())));
        const uint64_t limit = value + random() % span;
        std::vector<uint64_t> slice;
        for (auto at = next; at != model.end() && *at < limit; ++at) slice.push_back(*at);
        EXPECT_EQ(Members(set, Seq(value), Seq(limit), 1 + random() % 600), slice);
        EXPECT_EQ(set.CountRange({Seq(value + 1), Seq(limit)}), slice.size());
      }
    }
  }
}

}  // namespace
}  // namespace tidemark
