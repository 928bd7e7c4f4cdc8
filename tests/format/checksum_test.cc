#include "format/checksum.h"

#include <string>

#include <gtest/gtest.h>

namespace tidemark {
namespace {

HashSecret Secret(uint8_t seed) {
  HashSecret secret;
  for (size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<uint8_t>(i * 31 + seed);
  return secret;
}

TEST(ChecksumTest, IsXxh3) {
  // Published values of XXH3 for no input.
  EXPECT_EQ(Hash64(""), 0x2d06800538d394c2U);
  EXPECT_EQ(ToHex(Checksum128("")), "99aa06d3014798d86001c324468d497f");
}

TEST(ChecksumTest, PartsHashLikeTheWhole) {
  std::string text;
  for (int i = 0; i < 1200; ++i) {
    const std::string_view whole = text;
    for (const size_t cut : {size_t{0}, text.size() / 3, text.size()}) {
      ASSERT_EQ(Checksum128(whole.substr(0, cut), whole.substr(cut)), Checksum128(whole));
    }
    text.push_back(static_cast<char>(i * 7));
  }
}

TEST(ChecksumTest, KeysTagsAndLinksMatter) {
  for (const size_t size : {1U, 20U, 200U, 2000U}) {
    const std::string text(size, 'x');
    EXPECT_EQ(KeyedHash128(Secret(1), text), KeyedHash128(Secret(1), text));
    EXPECT_NE(KeyedHash128(Secret(1), text), KeyedHash128(Secret(2), text));
    EXPECT_NE(KeyedHash128(Secret(1), 1, text), KeyedHash128(Secret(1), 2, text));
    EXPECT_EQ(KeyedHash128(Secret(1), 'y', text), KeyedHash128(Secret(1), "y" + text));
    EXPECT_NE(ChainHash({1, 2}, text), ChainHash({2, 1}, text));
  }
}

TEST(ChecksumTest, BytesAreLittleEndianLowHalfFirst) {
  std::string bytes;
  AppendHash(&bytes, {0x0807060504030201, 0x100f0e0d0c0b0a09});
  EXPECT_EQ(bytes, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10");
  EXPECT_EQ(LoadHash(bytes.data()), (Hash128{0x0807060504030201, 0x100f0e0d0c0b0a09}));
}

}  // namespace
}  // namespace tidemark
