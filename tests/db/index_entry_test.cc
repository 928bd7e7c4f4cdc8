#include "db/internal/index_entry.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace tidemark::internal {
namespace {

IndexEntry FullEntry() {
  IndexEntry entry;
  entry.head = SequenceNumber((uint64_t{1} << 53) - 1);
  entry.birth = SequenceNumber(5);
  entry.hash = {.low = 7, .high = 9};
  entry.distance = 99'999;
  entry.state = IndexState::kLive;
  entry.extra = MakeExtra({.writer_time = std::numeric_limits<int64_t>::min(),
                           .origin = OriginVersion{SequenceNumber(3), SequenceNumber(4)},
                           .ended = {{SequenceNumber(1), SequenceNumber(2)}},
                           .stays = {}});
  return entry;
}

IndexEntry EntryWithStays() {
  IndexEntry entry = FullEntry();
  entry.extra = MakeExtra(
      {.writer_time = {},
       .origin = {},
       .ended = {{SequenceNumber(1), SequenceNumber(9), SequenceNumber(3), {2, ~uint64_t{0}}},
                 {SequenceNumber(1), SequenceNumber(9)}},
       .stays = {{{1, 0}, SequenceNumber(5)}, {{65'535, 77}, SequenceNumber(6)}}});
  return entry;
}

void ExpectEqual(const IndexEntry& a, const IndexEntry& b) {
  EXPECT_EQ(a.head, b.head);
  EXPECT_EQ(a.birth, b.birth);
  EXPECT_EQ(a.hash, b.hash);
  EXPECT_EQ(a.distance, b.distance);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.writer_time(), b.writer_time());
  EXPECT_EQ(a.origin(), b.origin());
  EXPECT_EQ(a.ended(), b.ended());
  EXPECT_EQ(a.stays(), b.stays());
}

TEST(IndexEntryTest, ComesBackAsItWas) {
  IndexEntry plain;
  plain.head = plain.birth = SequenceNumber(1);
  plain.state = IndexState::kTombstone;
  for (const IndexEntry& entry : {plain, FullEntry(), EntryWithStays()}) {
    std::string bytes;
    EncodeIndexEntry(entry, &bytes);
    IndexEntry decoded;
    ASSERT_TRUE(DecodeIndexEntry(bytes, &decoded));
    ExpectEqual(decoded, entry);
  }
}

TEST(IndexEntryTest, EveryCutIsRefused) {
  for (const IndexEntry& entry : {FullEntry(), EntryWithStays()}) {
    std::string bytes;
    EncodeIndexEntry(entry, &bytes);
    for (size_t length = 0; length < bytes.size(); ++length) {
      IndexEntry decoded;
      EXPECT_FALSE(DecodeIndexEntry(bytes.substr(0, length), &decoded)) << length;
    }
    IndexEntry decoded;
    EXPECT_FALSE(DecodeIndexEntry(bytes + "x", &decoded));
  }
}

TEST(IndexEntryTest, ABirthAfterTheHeadIsRefused) {
  const std::string bytes("\x02\x01\x05\x00", 4);
  IndexEntry decoded;
  EXPECT_FALSE(DecodeIndexEntry(bytes, &decoded));
}

TEST(IndexEntryTest, DefaultsTakeNoMemory) {
  EXPECT_EQ(MakeExtra({}), nullptr);
}

}  // namespace
}  // namespace tidemark::internal
