// References of staged rows, and what the policy makes of those that dangle.

#include "replication/internal/reference_check.h"

#include <set>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark::internal {
namespace {

using ::tidemark::test::StatusIs;

// Parents in two sets of (entity, id); counts how often it was asked.
class FixedParents final : public ParentLookup {
 public:
  std::set<std::pair<std::string, std::string>> session;
  std::set<std::pair<std::string, std::string>> store;
  int questions = 0;

  Result<bool> InSession(const std::string& entity, const std::string& id) override {
    ++questions;
    return session.contains({entity, id});
  }
  Result<bool> StaysInStore(const std::string& entity, const std::string& id) override {
    ++questions;
    return store.contains({entity, id});
  }
};

EntityDeclaration Members() {
  EntityDeclaration declaration;
  declaration.references = {{"group", "groups"}, {"user", "users"}};
  return declaration;
}

class ReferenceCheckTest : public ::testing::Test {
 protected:
  ReferenceCheckTest() {
    parents_.session = {{"groups", "g1"}, {"users", "7"}};
    parents_.store = {{"users", "u2"}};
  }

  // Checks `dangling` rows that dangle and as many as it takes to make `rows`.
  Status VerdictOf(const EntityDeclaration& declaration, int dangling, int rows) {
    ReferenceChecker checker(declaration, parents_);
    for (int i = 0; i < rows; ++i) {
      const std::string value = i < dangling ? R"({"group":"none"})" : R"({"group":"g1"})";
      EXPECT_OK(checker.Check(value));
    }
    EXPECT_EQ(checker.dangling(), static_cast<uint64_t>(dangling));
    return checker.Verdict("members");
  }

  FixedParents parents_;
};

TEST_F(ReferenceCheckTest, ParentsMayBeInTheSessionOrStayInTheStore) {
  const EntityDeclaration declaration = Members();
  ReferenceChecker checker(declaration, parents_);
  for (const std::string_view value : {R"({"group":"g1","user":7})",
                                       R"({"group":"g1","user":"7"})",
                                       R"({"group":"g1","user":"u2"})",
                                       R"({"group":"g1"})",
                                       R"({"group":"g1","user":null})"}) {
    const auto fault = checker.Check(value);
    ASSERT_OK(fault);
    EXPECT_FALSE(fault->has_value()) << value;
  }
  EXPECT_EQ(checker.with_references(), 5U);
  EXPECT_EQ(checker.dangling(), 0U);
}

TEST_F(ReferenceCheckTest, TheFirstDanglingFieldIsNamed) {
  const EntityDeclaration declaration = Members();
  ReferenceChecker checker(declaration, parents_);
  const auto fault = checker.Check(R"({"group":"g1","user":"u9"})");
  ASSERT_OK(fault);
  ASSERT_TRUE(fault->has_value());
  EXPECT_EQ((*fault)->field, "user");
  EXPECT_EQ((*fault)->code, "reference");
  EXPECT_EQ((*fault)->message, "there is no record 'u9' in users");
}

TEST_F(ReferenceCheckTest, ValuesThatAreNoIdsDangle) {
  const EntityDeclaration declaration = Members();
  ReferenceChecker checker(declaration, parents_);
  for (const std::string_view value : {R"({"user":1.5})", R"({"user":[]})", R"({"user":""})"}) {
    const auto fault = checker.Check(value);
    ASSERT_OK(fault);
    EXPECT_TRUE(fault->has_value()) << value;
  }
}

TEST_F(ReferenceCheckTest, RowsWithoutReferencesDoNotCount) {
  const EntityDeclaration declaration = Members();
  ReferenceChecker checker(declaration, parents_);
  EXPECT_OK(checker.Check(R"({"other":1})"));
  EXPECT_EQ(checker.with_references(), 0U);
  EXPECT_OK(checker.Verdict("members"));
}

TEST_F(ReferenceCheckTest, StrictDemandsTheSession) {
  EntityDeclaration declaration = Members();
  declaration.reference_policy = ReferencePolicy::kStrict;
  ReferenceChecker checker(declaration, parents_);
  const auto fault = checker.Check(R"({"group":"g1","user":"u2"})");
  ASSERT_OK(fault);
  EXPECT_TRUE(fault->has_value());
  EXPECT_THAT(checker.Verdict("members"), StatusIs(ErrorCode::kStrictRejected));
}

TEST_F(ReferenceCheckTest, UpToTheShareIsAWarningAndAboveARefusal) {
  EXPECT_OK(VerdictOf(Members(), 0, 100));
  EXPECT_OK(VerdictOf(Members(), 74, 100));
  EXPECT_OK(VerdictOf(Members(), 75, 100));
  EXPECT_THAT(VerdictOf(Members(), 76, 100), StatusIs(ErrorCode::kDanglingReferences));
  EXPECT_THAT(VerdictOf(Members(), 1, 1), StatusIs(ErrorCode::kDanglingReferences));
}

TEST_F(ReferenceCheckTest, TheShareIsDeclared) {
  EntityDeclaration declaration = Members();
  declaration.dangling_share_max = 0;
  EXPECT_OK(VerdictOf(declaration, 0, 10));
  EXPECT_THAT(VerdictOf(declaration, 1, 10), StatusIs(ErrorCode::kDanglingReferences));
  declaration.dangling_share_max = 1;
  EXPECT_OK(VerdictOf(declaration, 10, 10));
  declaration.dangling_share_max = 0.3;  // 0.3 * 10 rounds to a little less than 3
  EXPECT_OK(VerdictOf(declaration, 3, 10));
}

TEST_F(ReferenceCheckTest, AParentIsAskedForOnce) {
  const EntityDeclaration declaration = Members();
  ReferenceChecker checker(declaration, parents_);
  for (int i = 0; i < 10; ++i) EXPECT_OK(checker.Check(R"({"group":"g1"})"));
  EXPECT_EQ(parents_.questions, 1);
}

}  // namespace
}  // namespace tidemark::internal
