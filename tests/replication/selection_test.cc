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
          Selection::EverythingBut({1, 2, 3})};
}

TEST(SelectionTest, AlgebraIsThatOfSets) {
  for (const Selection& left : Samples()) {
    for (const Selection& right : Samples()) {
      const Selection difference = Selection::Difference(left, right);
      const Selection both = Selection::Union(left, right);
      for (const Part part : {0u, 1u, 2u, 3u, 4u, 4'000'000'000u, 4'294'967'295u}) {
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
  for (const std::string& bytes : {std::string(),
                                   std::string("\x04\x01"),                     // a part is missing
                                   std::string("\xff\xff\xff\x0f"),             // far too many
                                   std::string("\x02\xff\xff\xff\xff\x7f")}) {  // no such part
    std::string_view rest = bytes;
    EXPECT_EQ(Selection::Decode(&rest).status().code(), ErrorCode::kCorruption);
  }
}

}  // namespace
}  // namespace tidemark
