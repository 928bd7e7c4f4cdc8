// What a token grants: a session shows what both the device's registration and the token of its
// caller grant, and no more, exactly.
#include "replication/replica.h"
#include "replication/selection_intersection.h"
#include "replication/transport.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::IsDrained;
using test::MapDevice;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::tidemark::test::StatusIs;
using Limit = std::shared_ptr<const SelectionRule>;
using Texts = std::vector<std::string>;

SelectionRule Rule(const std::string& entities) {
  auto rule = SelectionRuleFromJson(R"({"entities":)" + entities + "}");
  EXPECT_OK(rule);
  return rule.ok() ? *rule : SelectionRule{.everything = false};
}
Limit LimitTo(const std::string& entities) {
  return std::make_shared<const SelectionRule>(Rule(entities));
}
std::string Owner(const std::string& values) {
  return R"([{"entity":"visits","where":{"owner":)" + values + "}}]";
}

class TokenSelectionTest : public test::SourceTest {
 protected:
  TokenSelectionTest() { DeclareKeys({{{"owner"}}, {{"project"}}, {{"owner", "area"}}}); }

  void DeclareKeys(const std::vector<EntityKey>& keys) {
    EntityDeclaration declaration;
    declaration.keys = keys;
    ASSERT_OK(store_->Declare("visits", declaration));
  }
  void PutVisit(const std::string& id, int owner, int project = 0) const {
    EXPECT_OK(
        store_->Commit(WriteBatch().Put("visits", id, Visit(owner, project), ValueKind::kJson)));
  }
  static std::string Visit(int owner, int project = 0) {
    return R"({"owner":)" + std::to_string(owner) + R"(,"project":)" + std::to_string(project) +
           "}";
  }
  void Select(const std::string& entities) const {
    ASSERT_OK(source_->Select("tablet", Rule(entities)));
  }
  std::string Both(const std::string& left, const std::string& right) const {
    const auto both = Intersect(*store_, Rule(left), Rule(right));
    return both.ok() ? SelectionRuleToJson(*both) : both.status().ToString();
  }

  /// True if a session began; it is `session_`.
  bool Start(const Limit& limit) {
    const auto session = source_->StartSession({.device = "tablet", .limit = limit});
    EXPECT_OK(session);
    if (session.ok() && session->has_value()) session_ = **session;
    return session.ok() && session->has_value();
  }
  /// Everything that is left, for a caller with this limit, acknowledged.
  Texts Drain(const Limit& limit) {
    Texts told;
    while (true) {
      const auto page = source_->NextPage(session_.id, {.limit = limit});
      EXPECT_OK(page);
      if (!page.ok() || !page->has_value()) return told;
      for (std::string& text : test::ToTexts((*page)->bytes)) told.push_back(std::move(text));
      EXPECT_OK(source_->Acknowledge("tablet", {(*page)->token}));
    }
  }
  Texts Sync(const Limit& limit) { return Start(limit) ? Drain(limit) : Texts(); }
  bool AtRest() const { return source_->GetDevice("tablet")->at_rest; }

  SessionInfo session_;
};

TEST_F(TokenSelectionTest, RulesHaveInCommonWhatBothGrant) {
  EXPECT_EQ(Both(R"(["users","visits"])", R"(["visits","notes"])"), R"({"entities":["visits"]})");
  EXPECT_EQ(Both(R"(["users"])", R"(["visits"])"), R"({"entities":[]})");
  EXPECT_EQ(Both(R"(["visits"])", Owner("[1,2]")), R"({"entities":)" + Owner("[1,2]") + "}");
  EXPECT_EQ(Both(Owner("[1,2,3]"), Owner("[2,3,4]")), R"({"entities":)" + Owner("[2,3]") + "}");
  EXPECT_EQ(Both(Owner("1"), Owner("2")), R"({"entities":[]})");
  EXPECT_EQ(Both(Owner("[7.0,\"7\"]"), Owner("7")), R"({"entities":)" + Owner("[7]") + "}");
  EXPECT_EQ(
      Both(R"([{"entity":"visits","where":{"owner":1}},{"entity":"visits","where":{"owner":2}}])",
           Owner("[1,2]")),
      R"({"entities":)" + Owner("[1,2]") + "}");
  const auto everything = Intersect(*store_, SelectionRule::Everything(), Rule(Owner("1")));
  ASSERT_OK(everything);
  EXPECT_EQ(*everything, Rule(Owner("1")));
}

TEST_F(TokenSelectionTest, ValuesOfDifferentKeysNeedAKeyOfBoth) {
  const std::string project = R"([{"entity":"visits","where":{"project":7}}])";
  EXPECT_THAT(Both(Owner("1"), project),
              HasSubstr("invalid_argument: selection: visits has no key "
                        "(owner, project)"));
  EXPECT_EQ(Both(Owner("[1,2]"), R"([{"entity":"visits","where":{"area":"n","owner":1}}])"),
            R"({"entities":[{"entity":"visits","where":{"area":["n"],"owner":[1]}}]})");
  // What is in both by one key alone needs none of both.
  const std::string either =
      R"([{"entity":"visits","where":{"owner":1}},{"entity":"visits","where":{"project":7}}])";
  const auto same = Intersect(*store_, Rule(either), Rule(either));
  ASSERT_OK(same);
  EXPECT_EQ(same->grants.size(), 2U);
  DeclareKeys({{{"owner"}}, {{"project"}}, {{"project", "owner"}}});
  EXPECT_EQ(Both(Owner("1"), project),
            R"({"entities":[{"entity":"visits","where":{"owner":[1],"project":[7]}}]})");
}

TEST_F(TokenSelectionTest, TooManyGrantsAreNotCompared) {
  SelectionRule rule{.everything = false};
  for (int i = 0; i < 256; ++i) {
    rule.grants.push_back(
        {.entity = "visits", .where = {{"owner", {std::to_string(i)}}, {"area", {"\"n\""}}}});
  }
  EXPECT_OK(Intersect(*store_, rule, rule));
  SelectionRule more = rule;
  more.grants.push_back({.entity = "users"});
  EXPECT_THAT(Intersect(*store_, rule, more), StatusIs(ErrorCode::kTooLarge));
  // Those of one field are compared as one.
  SelectionRule many{.everything = false};
  for (size_t i = 0; i < kSelectionPartsMax; ++i) {
    many.grants.push_back({.entity = "visits", .where = {{"owner", {std::to_string(i)}}}});
  }
  const auto both = Intersect(*store_, many, many);
  ASSERT_OK(both);
  EXPECT_EQ(CountParts(*both), kSelectionPartsMax);
}

TEST_F(TokenSelectionTest, ADeviceSeesWhatItAndTheTokenAreGranted) {
  Put("users", "u1", "a");
  PutVisit("v1", 1);
  PutVisit("v2", 2);
  PutVisit("v3", 3);
  Select(Owner("[1,2]"));
  const Limit token = LimitTo(R"(["users",{"entity":"visits","where":{"owner":[2,3]}}])");
  EXPECT_THAT(Sync(token), ElementsAre("created visits/v2=" + Visit(2)));
  EXPECT_TRUE(AtRest());
  EXPECT_FALSE(Start(token));
  const auto info = source_->GetDevice("tablet");
  EXPECT_EQ(info->rule, Rule(Owner("[1,2]")));
  EXPECT_EQ(info->limit, *token);
  EXPECT_EQ(info->owed, 0U);
  // Without the token's limit it gets the rest; with it again it drops that.
  EXPECT_THAT(Sync(nullptr), ElementsAre("created visits/v1=" + Visit(1)));
  EXPECT_EQ(source_->GetDevice("tablet")->limit, std::nullopt);
  EXPECT_THAT(Sync(token), ElementsAre("deleted visits/v1"));
}

TEST_F(TokenSelectionTest, AnotherTokenInTheMiddleOfASessionIsShownNothingBeyondEither) {
  PutVisit("v1", 1);
  PutVisit("v2", 2);
  PutVisit("v3", 3);
  const Limit first = LimitTo(Owner("[1,2]"));
  const Limit second = LimitTo(Owner("[2,3]"));
  ASSERT_TRUE(Start(first));
  EXPECT_THAT(Drain(second), ElementsAre("created visits/v2=" + Visit(2)));
  EXPECT_FALSE(AtRest()) << "v1 was withheld";
  EXPECT_THAT(Sync(second), ElementsAre("created visits/v3=" + Visit(3)));
  EXPECT_TRUE(AtRest());
}

TEST_F(TokenSelectionTest, ACallerWithoutALimitDoesNotWidenTheSession) {
  PutVisit("v1", 1);
  PutVisit("v2", 2);
  ASSERT_TRUE(Start(LimitTo(Owner("1"))));
  EXPECT_THAT(Drain(nullptr), ElementsAre("created visits/v1=" + Visit(1)));
  EXPECT_TRUE(AtRest());
}

TEST_F(TokenSelectionTest, TheRegistrationCountsInTheMiddleOfALimitedSession) {
  PutVisit("v1", 1);
  PutVisit("v2", 2);
  const Limit token = LimitTo(Owner("[1,2]"));
  ASSERT_TRUE(Start(token));
  Select(Owner("2"));
  EXPECT_THAT(Drain(token), ElementsAre("created visits/v2=" + Visit(2)));
  EXPECT_THAT(Sync(token), IsEmpty());
  EXPECT_TRUE(AtRest());
}

TEST_F(TokenSelectionTest, AStartThatCannotBeExactIsRefusedAndChangesNothing) {
  PutVisit("v1", 1, 7);
  Select(Owner("1"));
  EXPECT_THAT(Sync(nullptr), ElementsAre("created visits/v1=" + Visit(1, 7)));
  const Limit token = LimitTo(R"([{"entity":"visits","where":{"project":7}}])");
  EXPECT_THAT(source_->StartSession({.device = "tablet", .limit = token}),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_FALSE(Start(nullptr)) << "nothing is to be dropped";
  DeclareKeys({{{"owner"}}, {{"project"}}, {{"owner", "project"}}});
  EXPECT_FALSE(Start(token)) << "it has what it may have";
  PutVisit("v1", 1, 8);
  EXPECT_THAT(Sync(token), ElementsAre("deleted visits/v1"));
}

TEST_F(TokenSelectionTest, WhenTheCommonKeyGoesNothingIsShown) {
  DeclareKeys({{{"owner"}}, {{"project"}}, {{"owner", "project"}}});
  PutVisit("v1", 1, 7);
  Select(Owner("1"));
  const Limit token = LimitTo(R"([{"entity":"visits","where":{"project":7}}])");
  ASSERT_TRUE(Start(token));
  DeclareKeys({{{"owner"}}, {{"project"}}});
  EXPECT_THAT(Drain(token), IsEmpty());
  EXPECT_FALSE(AtRest());
}

/// What a server does for the caller of a token.
class TokenTransport final : public Transport {
 public:
  TokenTransport(Source& source, Limit limit) : source_(source), limit_(std::move(limit)) {}
  Result<std::optional<SessionInfo>> Start(const Hello& hello) override {
    Hello limited = hello;
    limited.limit = limit_;
    return source_.StartSession(limited);
  }
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override {
    PageOptions limited = options;
    limited.limit = limit_;
    return source_.NextPage(session, limited);
  }
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override {
    return source_.Acknowledge(device, keys);
  }
  Result<PushResult> Push(std::string_view batch) override {
    auto result = source_.Push(batch, limit_.get());
    if (result.ok()) pushes.push_back(*result);
    return result;
  }

  std::vector<PushResult> pushes;

 private:
  Source& source_;
  const Limit limit_;
};

TEST_F(TokenSelectionTest, APushChangesAndShowsNothingBeyondTheToken) {
  PutVisit("mine", 1);
  PutVisit("theirs", 2);
  TokenTransport transport(*source_, LimitTo(Owner("1")));
  auto replica = Replica::Open(directory_.path() / "replica", "tablet", {}, runtime_);
  ASSERT_OK(replica);
  ASSERT_OK((*replica)->Pull(transport));
  const auto write = [&](std::string_view entity, const std::string& id, const std::string& value) {
    EXPECT_OK((*replica)->Write(WriteBatch().Put(entity, id, value, ValueKind::kJson)));
  };
  write("visits", "mine", Visit(1, 5));
  write("visits", "theirs", Visit(1, 6));
  write("unknown", "x", "{}");
  ASSERT_OK((*replica)->Push(transport));
  ASSERT_EQ(transport.pushes.size(), 1U);
  const std::vector<PushAnswer>& answers = transport.pushes[0].answers;
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].outcome, PushOutcome::kApplied);
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(answers[i].outcome, PushOutcome::kInvalid);
    EXPECT_FALSE(answers[i].current.has_value());
  }
  EXPECT_EQ((*store_->Get("visits", RecordId("mine")))->value, Visit(1, 5));
  EXPECT_EQ((*store_->Get("visits", RecordId("theirs")))->value, Visit(2));
  EXPECT_FALSE(store_->FindEntity("unknown").has_value());
}

TEST_F(TokenSelectionTest, ALimitOutlivesARestart) {
  PutVisit("v1", 1);
  PutVisit("v2", 2);
  const Limit token = LimitTo(Owner("1"));
  EXPECT_THAT(Sync(token), ElementsAre("created visits/v1=" + Visit(1)));
  Reopen();
  EXPECT_EQ(source_->GetDevice("tablet")->limit, *token);
  EXPECT_EQ(source_->GetDevice("tablet")->owed, 0U);
  EXPECT_FALSE(Start(token));
  EXPECT_THAT(Sync(nullptr), ElementsAre("created visits/v2=" + Visit(2)));
}

}  // namespace
}  // namespace tidemark
