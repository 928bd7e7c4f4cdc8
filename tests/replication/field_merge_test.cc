// Two versions of a JSON object, member by member.
#include "replication/internal/field_merge.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "format/json.h"
#include "format/record.h"
#include "tests/support/status_matchers.h"

namespace tidemark::internal {
namespace {

using test::StatusIs;

std::string Merged(std::string_view base, std::string_view theirs, std::string_view own) {
  const auto changed = ChangedMembers(base, own);
  EXPECT_TRUE(changed.has_value());
  auto merged = MergeMembers(theirs, own, changed.value_or("[]"));
  EXPECT_OK(merged);
  if (!merged.ok()) return {};
  EXPECT_EQ(MinifyJson(*merged).ok() ? *MinifyJson(*merged) : "", *merged) << "not minified";
  return *merged;
}

TEST(FieldMergeTest, ChangedMembersAreThoseThatDiffer) {
  EXPECT_EQ(ChangedMembers(R"({"a":1,"b":2,"c":3})", R"({"a":1,"b":9,"d":4})"), R"(["b","c","d"])");
  EXPECT_EQ(ChangedMembers(R"({"a":1,"b":2})", R"({"b":2,"a":1})"), "[]") << "order is no change";
  EXPECT_EQ(ChangedMembers(R"({"a":1})", R"({"a":"1"})"), R"(["a"])");
  EXPECT_EQ(ChangedMembers(R"({"a":1})", R"({"a":1.0})"), R"(["a"])") << "numbers are their text";
  EXPECT_EQ(ChangedMembers(R"({"a":null})", "{}"), R"(["a"])") << "null is a value";
  EXPECT_EQ(ChangedMembers("{}", "{}"), "[]");
  EXPECT_EQ(ChangedMembers(R"({"q\"\u00e9":1})", "{}"), "[\"q\\\"\u00e9\"]");
}

TEST(FieldMergeTest, OnlyObjectsHaveMembers) {
  for (const char* other : {"[]", "1", "\"{}\"", "null"}) {
    EXPECT_EQ(ChangedMembers("{}", other), std::nullopt);
    EXPECT_EQ(ChangedMembers(other, "{}"), std::nullopt);
    EXPECT_THAT(MergeMembers("{}", other, "[]"), StatusIs(ErrorCode::kInvalidArgument));
    EXPECT_THAT(MergeMembers(other, "{}", "[]"), StatusIs(ErrorCode::kInvalidArgument));
  }
  EXPECT_FALSE(MergeMembers("{}", "{}", "{}").ok());
  EXPECT_THAT(MergeMembers("{}", "{}", "[1]"), StatusIs(ErrorCode::kMalformedJson));
  EXPECT_THAT(ReadMembers("[\"a\",null]"), StatusIs(ErrorCode::kMalformedJson));
}

TEST(FieldMergeTest, EachSideKeepsWhatItChanged) {
  EXPECT_EQ(Merged(R"({"a":1,"b":1})", R"({"a":1,"b":2})", R"({"a":3,"b":1})"), R"({"a":3,"b":2})");
  EXPECT_EQ(Merged(R"({"a":1})", R"({"a":1,"z":0,"y":0})", R"({"c":3,"a":1,"b":2})"),
            R"({"a":1,"z":0,"y":0,"c":3,"b":2})")
      << "what was there keeps its place, what is new follows as it was written";
  EXPECT_EQ(Merged(R"({"a":1,"b":1})", R"({"a":2,"b":1})", R"({"a":1})"), R"({"a":2})")
      << "removed";
  EXPECT_EQ(Merged(R"({"a":1,"b":1})", R"({"b":1})", R"({"a":1,"b":2})"), R"({"b":2})")
      << "removed by the others";
  EXPECT_EQ(Merged(R"({"a":1})", R"({"a":2,"b":5})", R"({"a":3})"), R"({"a":3,"b":5})")
      << "of two changes of one member, the device's goes";
  EXPECT_EQ(Merged(R"({"a":1})", "{}", R"({"a":3})"), R"({"a":3})") << "also against a removal";
}

TEST(FieldMergeTest, AMemberIsAWholeValue) {
  EXPECT_EQ(Merged(R"({"at":{"x":1,"y":1},"l":[1]})",
                   R"({"at":{"x":1,"y":2},"l":[1]})",
                   R"({"at":{"x":5,"y":1},"l":[1,2]})"),
            R"({"at":{"x":5,"y":1},"l":[1,2]})");
  EXPECT_EQ(Merged(R"({"at":{"x":1},"s":"a"})",
                   R"({"at":{"x":2},"s":"a"})",
                   R"({"at":{"x":1},"s":"\u0001\"é"})"),
            R"({"at":{"x":2},"s":"\u0001\"é"})");
}

TEST(FieldMergeTest, WhatNobodyElseChangedIsByteForByteWhatWasPushed) {
  EXPECT_EQ(Merged(R"({"a":1,"b":1})", R"({"a":1,"b":1})", R"({"b":2,"a":1})"), R"({"b":2,"a":1})");
  EXPECT_EQ(Merged(R"({"a":1})", R"({"a":7})", R"({"b":2,"a":7})"), R"({"b":2,"a":7})");
}

TEST(FieldMergeTest, ACreationChangesAllThatItSays) {
  const auto merged = MergeMembers(R"({"a":1,"b":2})", R"({"b":3,"c":4})");
  ASSERT_OK(merged);
  EXPECT_EQ(*merged, R"({"a":1,"b":3,"c":4})");
}

TEST(FieldMergeTest, ListsAreJoined) {
  EXPECT_EQ(JoinedMembers(R"(["b","a"])", R"(["c","a"])"), R"(["a","b","c"])");
  EXPECT_EQ(JoinedMembers("[]", "[]"), "[]");
  EXPECT_EQ(JoinedMembers("[", "[]"), std::nullopt);
}

// Limits at n and n + 1.

TEST(FieldMergeTest, NamesHaveABoundTogether) {
  const auto named = [](size_t bytes) {
    return R"({")" + std::string(bytes, 'n') + R"(":1})";
  };
  const size_t longest = kChangedBytesMax - std::string_view(R"([""])").size();
  const auto changed = ChangedMembers("{}", named(longest));
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->size(), kChangedBytesMax);
  EXPECT_EQ(ChangedMembers("{}", named(longest + 1)), std::nullopt);
  EXPECT_EQ(JoinedMembers(*changed, R"(["x"])"), std::nullopt);
  EXPECT_EQ(JoinedMembers(*changed, *changed), changed);
}

TEST(FieldMergeTest, AMergedValueHasTheBoundOfValues) {
  const std::string filled(kValueBytesMax / 2, 'x');
  const std::string theirs = R"({"a":")" + filled + R"(","b":1})";
  const auto own = [](size_t bytes) {
    return R"({"b":")" + std::string(bytes, 'y') + R"("})";
  };
  const size_t rest = kValueBytesMax - (theirs.size() - 1) - 2;
  const auto fits = MergeMembers(theirs, own(rest), R"(["b"])");
  ASSERT_OK(fits);
  EXPECT_EQ(fits->size(), kValueBytesMax);
  EXPECT_THAT(MergeMembers(theirs, own(rest + 1), R"(["b"])"), StatusIs(ErrorCode::kTooLarge));
}

}  // namespace
}  // namespace tidemark::internal
