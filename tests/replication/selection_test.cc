#include "replication/selection.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tidemark {
namespace {

std::vector<Selection> Samples() {
  return {Selection::Everything(),
          Selection::Nothing(),
          Selection::Of({3, 1, 3}),
          Selection::Of({1, 2, 4'000'000'000}),
          Selection::EverythingBut({2}),
          Selection::Of({Part(2, {1, 7})}),
          Selection::Of({1, Part(1, {1, 7}), Part(2, {1, 7}), Part(2, {3, 1}), Part(2, {1, 7})}),
          Selection::EverythingBut({1, 2, 3})};
}

TEST(SelectionTest, AlgebraIsThatOfSets) {
  for (const Selection& left : Samples()) {
    for (const Selection& right : Samples()) {
      const Selection difference = Selection::Difference(left, right);
      const Selection both = Selection::Union(left, right);
      for (const Part part : {Part(0),
                              Part(1),
                              Part(2),
                              Part(3),
                              Part(4),
                              Part(4'000'000'000),
                              Part(4'294'967'295),
                              Part(1, {1, 7}),
                              Part(2, {1, 7}),
                              Part(2, {1, 8}),
                              Part(2, {3, 1}),
                              Part(3, {1, 7})}) {
        EXPECT_EQ(difference.Contains(part), left.Contains(part) != right.Contains(part));
        EXPECT_EQ(both.Contains(part), left.Contains(part) || right.Contains(part));
      }
      EXPECT_EQ(difference.nothing(), left == right);
    }
  }
}

TEST(SelectionTest, EqualSetsAreEqualHoweverTheyWereMade) {
  EXPECT_EQ(Selection::Of({2, 1}), Selection::Of({1, 2, 2}));
  EXPECT_EQ(Selection::Of({2, 1}).Hash(), Selection::Of({1, 2, 2}).Hash());
  EXPECT_NE(Selection::Of({1}), Selection::EverythingBut({1}));
  EXPECT_NE(Selection::Of({1}).Hash(), Selection::EverythingBut({1}).Hash());
  EXPECT_EQ(Selection::EverythingBut({}), Selection::Everything());
  EXPECT_EQ(Selection(), Selection::Everything());
  EXPECT_TRUE(Selection::Of({}).nothing());
}

TEST(SelectionTest, KnowsWhoseValuesItNames) {
  const Selection selection = Selection::Of({1, Part(2, {1, 7})});
  EXPECT_TRUE(selection.Contains(1));
  EXPECT_FALSE(selection.Contains(2));
  EXPECT_FALSE(selection.NamesValuesOf(1));
  EXPECT_TRUE(selection.NamesValuesOf(2));
  EXPECT_TRUE(selection.Touches(1) && selection.Touches(2));
  EXPECT_FALSE(selection.Touches(3));
}

TEST(SelectionTest, IsStoredAndReadBack) {
  std::string bytes;
  for (const Selection& selection : Samples()) selection.Encode(&bytes);
  std::string_view rest = bytes;
  for (const Selection& selection : Samples()) {
    const Result<Selection> decoded = Selection::Decode(&rest);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, selection);
  }
  EXPECT_TRUE(rest.empty());
}

TEST(SelectionTest, DamagedBytesAreRefused) {
  for (const std::string& bytes :
       {std::string(),
        std::string("\x04\x01"),                  // a part is missing
        std::string("\xff\xff\xff\x0f"),          // far too many
        std::string("\x02\xff\xff\xff\xff\x7f"),  // no such entity
        // A value follows, and does not; then one of key 0.
        std::string("\x80\x80\x80\x80\x10\x01"),
        std::string("\x80\x80\x80\x80\x10\x01\x01\x00", 8) + std::string(8, '\0')}) {
    std::string_view rest = bytes;
    EXPECT_EQ(Selection::Decode(&rest).status().code(), ErrorCode::kCorruption);
  }
}

}  // namespace
}  // namespace tidemark
