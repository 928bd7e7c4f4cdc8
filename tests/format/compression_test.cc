#include "format/compression.h"

#include <string>

#include <gtest/gtest.h>

namespace tidemark {
namespace {

TEST(CompressionTest, GivesBackWhatItTook) {
  const std::string bytes(100'000, 'x');
  const auto packed = Compress(bytes);
  ASSERT_TRUE(packed.has_value());
  EXPECT_LT(packed->size(), bytes.size());
  EXPECT_EQ(Decompress(*packed, bytes.size()), bytes);
}

TEST(CompressionTest, WhatBecomesNoShorterIsLeftAlone) {
  EXPECT_FALSE(Compress("").has_value());
  EXPECT_FALSE(Compress("abc").has_value());
}

TEST(CompressionTest, OtherBytesAndOtherSizesAreRefused) {
  const std::string bytes(1000, 'x');
  const std::string packed = Compress(bytes).value_or("");
  ASSERT_FALSE(packed.empty());
  EXPECT_FALSE(Decompress(packed, bytes.size() - 1).has_value());
  EXPECT_FALSE(Decompress(packed, bytes.size() + 1).has_value());
  for (size_t size = 0; size < packed.size(); ++size) {
    EXPECT_FALSE(Decompress(packed.substr(0, size), bytes.size()).has_value());
  }
  EXPECT_FALSE(Decompress("no frame", bytes.size()).has_value());
}

}  // namespace
}  // namespace tidemark
