#include "server/tokens.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "server/config.h"
#include "server/rate_limiter.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server {
namespace {

using tidemark::test::StatusIs;

class ManualClock final : public Clock {
 public:
  MonotonicTime Now() override { return now_; }
  int64_t WallMilliseconds() override { return 1'000; }
  void Advance(std::chrono::milliseconds time) { now_ += time; }

 private:
  MonotonicTime now_{};
};

http::Request Ask(std::string_view token, bool loopback = true) {
  http::Request request;
  request.loopback = loopback;
  if (!token.empty()) request.headers.Add("authorization", "bearer " + std::string(token));
  return request;
}

class TokensTest : public testing::Test {
 protected:
  NewToken Create(const TokenGrant& grant = {}) {
    auto made = CreateToken(root_, grant, *random_, clock_);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return *made;
  }
  std::unique_ptr<Tokens> Open() {
    auto tokens = Tokens::Open(root_, clock_);
    EXPECT_TRUE(tokens.ok()) << tokens.status().ToString();
    return std::move(*tokens);
  }

  test::TempDirectory directory_;
  std::filesystem::path root_ = directory_.path();
  std::shared_ptr<Random> random_ = SystemRandom();
  ManualClock clock_;
};

TEST_F(TokensTest, ADataRootHasAHundredThousandTokensAndNotOneMore) {
  Create();
  std::string tokens;
  for (int i = 0; i < 99'999; ++i) {
    tokens += std::string(i == 0 ? "" : ",") + R"({"id":"t)" + std::to_string(i) +
              R"(","sha256":")" + std::string(64, 'a') + R"(","instance":"i","role":"reader"})";
  }
  std::ofstream(TokenFilePath(root_)) << R"({"format":1,"tokens":[)" << tokens << "]}";
  EXPECT_OK(CreateToken(root_, {}, *random_, clock_));
  EXPECT_THAT(CreateToken(root_, {}, *random_, clock_), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(TokensTest, WithoutTokensThisMachineMayDoEverything) {
  const auto tokens = Open();
  EXPECT_FALSE(tokens->required());
  const auto caller = tokens->Identify(Ask("anything"));
  ASSERT_TRUE(caller.has_value());
  EXPECT_EQ(caller->instance, "default");
  EXPECT_EQ(caller->role, Role::kAdmin);
  EXPECT_EQ(caller->token, "");
  EXPECT_FALSE(tokens->Identify(Ask("", /*loopback=*/false)).has_value());
}

TEST_F(TokensTest, SaysWhoTheCallerIs) {
  const NewToken made = Create({.instance = "b", .role = Role::kWriter, .device = "d"});
  const auto tokens = Open();
  const auto caller = tokens->Identify(Ask(made.token));
  ASSERT_TRUE(caller.has_value());
  EXPECT_EQ(caller->token, made.record.id);
  EXPECT_EQ(caller->instance, "b");
  EXPECT_EQ(caller->role, Role::kWriter);
  EXPECT_EQ(caller->device, "d");
  EXPECT_FALSE(tokens->Identify(Ask("")).has_value());
  std::string other = made.token;
  other.back() = other.back() == 'a' ? 'b' : 'a';
  EXPECT_FALSE(tokens->Identify(Ask(other)).has_value());
}

TEST_F(TokensTest, FollowsTheFile) {
  const auto tokens = Open();
  const NewToken one = Create();
  EXPECT_TRUE(tokens->Identify(Ask(one.token)).has_value());
  EXPECT_FALSE(tokens->Identify(Ask("")).has_value());
  ASSERT_TRUE(RevokeToken(root_, one.record.id).ok());
  EXPECT_FALSE(tokens->Identify(Ask(one.token)).has_value());
  EXPECT_TRUE(tokens->required()) << "revoking the last token opens no door";
  EXPECT_THAT(RevokeToken(root_, one.record.id), StatusIs(ErrorCode::kNotFound));
}

TEST_F(TokensTest, ADamagedFileLetsNobodyIn) {
  const NewToken one = Create();
  const auto tokens = Open();
  std::ofstream(TokenFilePath(root_)) << "{";
  EXPECT_FALSE(tokens->Identify(Ask(one.token)).has_value());
  EXPECT_FALSE(tokens->Identify(Ask("")).has_value());
  EXPECT_THAT(Tokens::Open(root_, clock_).status(), StatusIs(ErrorCode::kCorruption));
}

TEST_F(TokensTest, ACallerIsGoodAsLongAsItsToken) {
  EXPECT_TRUE(Open()->StillGood({}));
  const NewToken one = Create();
  const NewToken two = Create();
  const auto tokens = Open();
  const auto caller = tokens->Identify(Ask(one.token));
  ASSERT_TRUE(caller.has_value());
  EXPECT_TRUE(tokens->StillGood(*caller));
  EXPECT_FALSE(tokens->StillGood({})) << "who needed none needs one now";
  Caller before = *caller;
  before.role = Role::kWriter;
  EXPECT_FALSE(tokens->StillGood(before));
  const uint64_t version = tokens->version();
  EXPECT_EQ(tokens->version(), version);
  ASSERT_TRUE(RevokeToken(root_, one.record.id).ok());
  EXPECT_NE(tokens->version(), version);
  EXPECT_FALSE(tokens->StillGood(*caller));
}

TEST_F(TokensTest, SecretsAreOnlyInTheAnswer) {
  std::set<std::string> seen;
  for (int i = 0; i < 50; ++i) {
    const NewToken made = Create();
    EXPECT_EQ(made.token.size(), kTokenLength);
    EXPECT_EQ(made.token.find_first_not_of(
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
              std::string::npos);
    EXPECT_TRUE(seen.insert(made.token).second);
  }
  std::ifstream file(TokenFilePath(root_));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const std::string& token : seen) EXPECT_EQ(text.find(token), std::string::npos);
}

TEST_F(TokensTest, LastUseIsKept) {
  const NewToken one = Create();
  const auto tokens = Open();
  ASSERT_TRUE(tokens->Identify(Ask(one.token)).has_value());
  ASSERT_TRUE(tokens->SaveUse().ok());
  const auto use = ReadTokenUse(root_);
  ASSERT_TRUE(use.ok());
  EXPECT_EQ(use->at(one.record.id), 1'000);
}

TEST_F(TokensTest, RefusesGrantsThatMakeNoSense) {
  EXPECT_FALSE(CreateToken(root_, {.instance = "../x"}, *random_, clock_).ok());
  EXPECT_FALSE(CreateToken(root_, {.device = std::string(129, 'x')}, *random_, clock_).ok());
}

SelectionRule Owners(size_t count) {
  SelectionRule rule{.everything = false, .grants = {{.entity = "visit"}}};
  Grant::Field& owner = rule.grants.front().where.emplace_back();
  owner.name = "owner";
  for (size_t i = 0; i < count; ++i) owner.values.push_back(std::to_string(i));
  return rule;
}

TEST_F(TokensTest, ASelectionIsKeptAndAnOlderBuildLetsNobodyInByIt) {
  const auto format = [&] {
    std::ifstream file(TokenFilePath(root_));
    std::string text{std::istreambuf_iterator<char>(file), {}};
    return text.substr(0, 12);
  };
  Create();
  EXPECT_EQ(format(), R"({"format":1,)");
  const NewToken made = Create({.selection = Owners(2)});
  EXPECT_EQ(format(), R"({"format":2,)");
  const auto tokens = Open();
  const auto caller = tokens->Identify(Ask(made.token));
  ASSERT_TRUE(caller.has_value());
  ASSERT_NE(caller->selection, nullptr);
  EXPECT_EQ(*caller->selection, Owners(2));
  EXPECT_TRUE(caller->is_for_devices());
  Create();  // the file is read again
  EXPECT_TRUE(tokens->StillGood(*caller));
  EXPECT_OK(RevokeToken(root_, made.record.id));
  EXPECT_FALSE(tokens->StillGood(*caller));
  EXPECT_EQ(format(), R"({"format":1,)");
}

TEST_F(TokensTest, SelectionsAreForDevicesAndBounded) {
  EXPECT_THAT(CreateToken(root_, {.role = Role::kAdmin, .selection = Owners(1)}, *random_, clock_),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_OK(CreateToken(root_, {.selection = Owners(kTokenPartsMax)}, *random_, clock_));
  EXPECT_THAT(CreateToken(root_, {.selection = Owners(kTokenPartsMax + 1)}, *random_, clock_),
              StatusIs(ErrorCode::kTooLarge));
}

TEST(RateLimiterTest, RefillsEvenly) {
  ManualClock clock;
  RateLimiter limiter(10, 2, clock);
  EXPECT_EQ(limiter.Take("a").count(), 0);
  EXPECT_EQ(limiter.Take("a").count(), 0);
  EXPECT_EQ(limiter.Take("a").count(), 100);
  EXPECT_EQ(limiter.Take("b").count(), 0);
  clock.Advance(std::chrono::milliseconds(100));
  EXPECT_EQ(limiter.Take("a").count(), 0);
  EXPECT_GT(limiter.Take("a").count(), 0);
}

TEST(RateLimiterTest, BeyondItsBucketsNewcomersShareOne) {
  ManualClock clock;
  RateLimiter limiter(1, 1, clock);
  for (size_t i = 0; i < kRateBucketsMax; ++i) {
    ASSERT_EQ(limiter.Take(std::to_string(i)).count(), 0);
  }
  EXPECT_EQ(limiter.Take("one more").count(), 0);
  EXPECT_GT(limiter.Take("another").count(), 0);
  EXPECT_GT(limiter.Take("0").count(), 0) << "who has a bucket keeps it";
  clock.Advance(std::chrono::seconds(2));
  EXPECT_EQ(limiter.Take("another").count(), 0);
}

TEST(ListenAddressTest, Forms) {
  const auto v6 = ParseListenAddress("[::1]:0");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->address, "::1");
  EXPECT_EQ(FormatListenAddress(*v6), "[::1]:0");
  EXPECT_EQ(ParseListenAddress("localhost:80")->address, "127.0.0.1");
  EXPECT_EQ(FormatListenAddress(*ParseListenAddress("0.0.0.0:65535")), "0.0.0.0:65535");
  for (const char* bad : {"",
                          "8787",
                          ":8787",
                          "1.2.3.4",
                          "1.2.3.4:",
                          "1.2.3.4:65536",
                          "::1:80",
                          "[::1]",
                          "[1.2.3.4]:80",
                          "host:80",
                          "1.2.3.4:8x",
                          "1.2.3.4:-1"}) {
    EXPECT_THAT(ParseListenAddress(bad).status(), StatusIs(ErrorCode::kInvalidArgument)) << bad;
  }
}

}  // namespace
}  // namespace tidemark::server
