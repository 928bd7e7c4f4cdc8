#include "format/coding.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tidemark {
namespace {

TEST(CodingTest, NumbersComeBack) {
  std::vector<uint64_t> numbers = {0, 1, std::numeric_limits<uint64_t>::max()};
  for (int bit = 7; bit < 64; ++bit) {
    numbers.push_back(uint64_t{1} << bit);
    numbers.push_back((uint64_t{1} << bit) - 1);
  }
  std::string bytes;
  for (const uint64_t number : numbers) {
    AppendVarint(&bytes, number);
    AppendBigEndian64(&bytes, number);
    AppendBigEndian32(&bytes, static_cast<uint32_t>(number));
  }
  AppendBytes(&bytes, "abc");
  AppendHash(&bytes, {1, 2});
  bytes.push_back('z');
  ByteReader reader(bytes);
  for (const uint64_t number : numbers) {
    EXPECT_EQ(reader.Varint(), number);
    EXPECT_EQ(reader.BigEndian64(), number);
    EXPECT_EQ(reader.BigEndian32(), static_cast<uint32_t>(number));
  }
  EXPECT_EQ(reader.Bytes(), "abc");
  EXPECT_EQ(reader.Hash(), (Hash128{1, 2}));
  EXPECT_FALSE(reader.Finished());
  EXPECT_EQ(reader.Byte(), 'z');
  EXPECT_TRUE(reader.Finished());
}

TEST(CodingTest, OrderedTextSortsLikeText) {
  std::vector<std::string> texts = {"", "a", "ab", "b", "\xff", "a\x01", "a\xff"};
  texts.emplace_back("\0", 1);
  texts.emplace_back("a\0", 2);
  texts.emplace_back("a\0b", 3);
  std::sort(texts.begin(), texts.end());
  std::vector<std::string> keys;
  for (const std::string& text : texts) {
    AppendOrdered(&keys.emplace_back(), text);
    ByteReader reader(keys.back());
    EXPECT_EQ(reader.Ordered(), text);
    EXPECT_TRUE(reader.Finished());
  }
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
}

TEST(CodingTest, MalformedBytesFailForGood) {
  const auto fails = [](std::string_view bytes, auto read) {
    ByteReader reader(bytes);
    read(&reader);
    const bool failed = !reader.ok() && reader.Varint() == 0 && reader.Bytes().empty();
    return failed && !reader.Finished();
  };
  const auto varint = [](ByteReader* reader) {
    reader->Varint();
  };
  const auto ordered = [](ByteReader* reader) {
    reader->Ordered();
  };
  EXPECT_TRUE(fails("", varint));
  EXPECT_TRUE(fails("\x80", varint));
  EXPECT_TRUE(fails(std::string_view("\x80\x00z", 3), varint));
  EXPECT_TRUE(fails(std::string(9, '\xff') + "\x02z", varint));
  EXPECT_TRUE(fails(std::string(11, '\xff'), varint));
  EXPECT_TRUE(fails("ab", ordered));
  EXPECT_TRUE(fails(std::string_view("a\x00", 2), ordered));
  EXPECT_TRUE(fails(std::string_view("a\x00\x02z", 4), ordered));
  EXPECT_TRUE(fails("\x05zzzz", [](ByteReader* reader) { reader->Bytes(); }));
  EXPECT_TRUE(fails("", [](ByteReader* reader) { reader->Byte(); }));
  EXPECT_TRUE(fails("zzz", [](ByteReader* reader) { reader->BigEndian32(); }));
  EXPECT_TRUE(fails("zzzzzzz", [](ByteReader* reader) { reader->BigEndian64(); }));
  EXPECT_TRUE(fails("zzzzzzzzzzzzzzz", [](ByteReader* reader) { reader->Hash(); }));
}

TEST(CodingTest, Base64UrlHasOneTextForBytes) {
  EXPECT_EQ(Base64UrlEncode("foobar"), "Zm9vYmFy");  // RFC 4648, section 10
  EXPECT_EQ(Base64UrlEncode("fooba"), "Zm9vYmE");
  EXPECT_EQ(Base64UrlEncode("foob"), "Zm9vYg");
  EXPECT_EQ(Base64UrlEncode("\xfb\xff"), "-_8");
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(Base64UrlDecode(Base64UrlEncode(bytes)), bytes);
    bytes.push_back(static_cast<char>(i * 7));
  }
  for (const char* bad : {"A", "AAAAA", "Zm9vYh", "Zm9v=", "Zm9v ", "+/8A", "\x80"}) {
    EXPECT_EQ(Base64UrlDecode(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace tidemark
