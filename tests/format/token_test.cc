#include "format/token.h"

#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark {
namespace {

using ::tidemark::test::IsOkAndHolds;
using ::tidemark::test::StatusIs;

constexpr TokenKind kKinds[] = {TokenKind::kAck,
                                TokenKind::kPage,
                                TokenKind::kSession,
                                TokenKind::kPosition,
                                TokenKind::kCursor};

HashSecret Secret(uint8_t seed) {
  HashSecret secret;
  for (size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<uint8_t>(i * 31 + seed);
  return secret;
}

Token Example(TokenKind kind) {
  Token token;
  token.kind = kind;
  token.epoch = 2;
  token.device = 0xfedcba9876543210;
  token.head = SequenceNumber(300);
  token.chain = {5, 6};
  return token;
}

TEST(TokenTest, HoldsEveryField) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  Token full;
  full.epoch = full.device = full.session = full.page = full.record = kMost;
  full.head = full.birth = kSequenceLimit.Previous();
  full.op = 4;
  full.chain = {kMost, kMost};
  for (const TokenKind kind : kKinds) {
    for (Token token : {Token(), Example(kind), full}) {
      token.kind = kind;
      const std::string text = SealToken(Secret(1), token);
      EXPECT_LE(text.size(), 120U);
      EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789-_"),
                std::string::npos);
      EXPECT_THAT(OpenToken(Secret(1), kind, text), IsOkAndHolds(token));
    }
  }
}

TEST(TokenTest, EpochsAreToldApartByTheirRandomIds) {
  EXPECT_NE(EpochTag(std::string(16, 'a')), EpochTag(std::string(16, 'b')));
  EXPECT_EQ(EpochTag(std::string(16, 'a')), EpochTag(std::string(16, 'a')));
}

TEST(TokenTest, RefusesOtherKindsAndSecrets) {
  const std::string text = SealToken(Secret(1), Example(TokenKind::kAck));
  EXPECT_THAT(OpenToken(Secret(1), TokenKind::kPage, text), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(OpenToken(Secret(2), TokenKind::kAck, text), StatusIs(ErrorCode::kInvalidArgument));
}

TEST(TokenTest, RefusesEveryChange) {
  const std::string text = SealToken(Secret(1), Example(TokenKind::kAck));
  const auto open = [](std::string_view changed) {
    return OpenToken(Secret(1), TokenKind::kAck, changed);
  };
  for (size_t i = 0; i < text.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = text;
      changed[i] = static_cast<char>(byte);
      if (changed == text) continue;
      ASSERT_THAT(open(changed), StatusIs(ErrorCode::kInvalidArgument)) << i << " " << byte;
    }
    EXPECT_THAT(open(text.substr(0, i)), StatusIs(ErrorCode::kInvalidArgument));
    EXPECT_THAT(open(text.substr(0, i) + "A" + text.substr(i)),
                StatusIs(ErrorCode::kInvalidArgument));
  }
  EXPECT_THAT(open(text + "="), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(open(std::string(100'000, 'A')), StatusIs(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace tidemark
