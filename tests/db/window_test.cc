#include "db/internal/window.h"

#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace tidemark::internal {
namespace {

IndexEntry EntryAt(uint64_t head) {
  IndexEntry entry;
  entry.head = entry.birth = SequenceNumber(head);
  entry.state = IndexState::kLive;
  return entry;
}

void Set(Window& window, EntityNumber entity, const std::string& id, uint64_t head) {
  window.Set(entity, id, KeyHash(entity, id), EntryAt(head));
}

uint64_t Find(const Window& window, EntityNumber entity, const std::string& id) {
  const IndexEntry* entry = window.Find(entity, id, KeyHash(entity, id));
  return entry == nullptr ? 0 : entry->head.value();
}

TEST(WindowTest, TheNewestEntryIsFoundInAnyLayer) {
  Window window;
  Set(window, 1, "a", 1);
  window.Freeze();
  EXPECT_EQ(Find(window, 1, "a"), 1U);
  Set(window, 1, "a", 2);
  EXPECT_EQ(Find(window, 1, "a"), 2U);
  EXPECT_EQ(Find(window, 2, "a"), 0U);
  EXPECT_EQ(Find(window, 1, "b"), 0U);
}

TEST(WindowTest, AFrozenPictureDoesNotChange) {
  Window window;
  Set(window, 1, "a", 1);
  const LayerStack before = window.Freeze();
  Set(window, 1, "a", 2);
  window.Freeze();
  ASSERT_EQ(before.size(), 1U);
  EXPECT_EQ(before[0]->Find(1, "a", KeyHash(1, "a"))->head, SequenceNumber(1));
}

TEST(WindowTest, AFoldTakesWhatThereWasAndLeavesWhatCameLater) {
  Window window;
  Set(window, 1, "a", 1);
  Set(window, 1, "b", 2);
  EXPECT_EQ(window.BeginFold().size(), 1U);
  Set(window, 1, "b", 3);
  window.Freeze();
  EXPECT_EQ(Find(window, 1, "a"), 1U);
  window.EndFold();
  EXPECT_EQ(Find(window, 1, "a"), 0U);
  EXPECT_EQ(Find(window, 1, "b"), 3U);
}

TEST(WindowTest, AFoldThatFailedIsTakenAgain) {
  Window window;
  Set(window, 1, "a", 1);
  window.BeginFold();
  Set(window, 1, "b", 2);
  window.AbortFold();
  EXPECT_EQ(window.BeginFold().size(), 2U);
  window.EndFold();
  EXPECT_EQ(window.size(), 0U);
}

TEST(WindowTest, LayersStayFewHoweverOftenViewsAreTaken) {
  Window window;
  for (uint64_t i = 1; i <= 2000; ++i) {
    Set(window, 1, std::to_string(i), i);
    EXPECT_LE(window.Freeze().size(), 14U);
  }
  EXPECT_EQ(Find(window, 1, "1"), 1U);
  EXPECT_EQ(Find(window, 1, "2000"), 2000U);
}

TEST(WindowTest, EqualsAMap) {
  std::mt19937_64 random(7);
  Window window;
  std::map<std::pair<EntityNumber, std::string>, uint64_t> expected;
  for (uint64_t i = 1; i <= 5000; ++i) {
    const auto entity = static_cast<EntityNumber>(1 + random() % 3);
    const std::string id = std::to_string(random() % 400);
    Set(window, entity, id, i);
    expected[{entity, id}] = i;
    if (random() % 50 == 0) window.Freeze();
  }
  for (const auto& [key, head] : expected) EXPECT_EQ(Find(window, key.first, key.second), head);
  for (const auto& layer : window.Freeze()) {
    const auto& sorted = layer->Sorted();
    for (size_t i = 1; i < sorted.size(); ++i) {
      const auto& a = layer->node(sorted[i - 1]);
      const auto& b = layer->node(sorted[i]);
      EXPECT_LT(std::pair(a.entity, layer->id(a)), std::pair(b.entity, layer->id(b)));
    }
  }
}

}  // namespace
}  // namespace tidemark::internal
