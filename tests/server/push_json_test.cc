// What answers a push says the same over HTTP as it does in the library.
#include "server/push_json.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark::server {
namespace {

using tidemark::test::StatusIs;

PushResult Refused(ValueKind kind, std::optional<std::string> value) {
  PushResult push;
  push.id = "0123";
  push.device = "tablet";
  push.answers.push_back(
      {.operation = 7,
       .outcome = PushOutcome::kConflict,
       .code = "conflict",
       .field = "name",
       .message = "of somebody else",
       .current = PushCurrent{
           .version = SequenceNumber(9), .value_kind = kind, .value = std::move(value)}});
  push.counts[static_cast<size_t>(PushOutcome::kConflict)] = 1;
  return push;
}

Result<PushResult> SentOverHttp(const PushResult& push) {
  return PushFromJson(R"({"data":)" + PushToJson(push) + "}");
}

void ExpectToldAsItIs(ValueKind kind, const std::optional<std::string>& value) {
  const auto told = SentOverHttp(Refused(kind, value));
  ASSERT_OK(told);
  ASSERT_EQ(told->answers.size(), 1U);
  const PushAnswer& answer = told->answers.front();
  EXPECT_EQ(answer.operation, 7U);
  EXPECT_EQ(answer.outcome, PushOutcome::kConflict);
  EXPECT_EQ(answer.code, "conflict");
  EXPECT_EQ(answer.field, "name");
  EXPECT_EQ(answer.message, "of somebody else");
  ASSERT_TRUE(answer.current.has_value());
  EXPECT_EQ(answer.current->version, SequenceNumber(9));
  EXPECT_EQ(answer.current->value, value);
  if (value.has_value()) {
    EXPECT_EQ(answer.current->value_kind, kind);
  }
}

TEST(PushJsonTest, CurrentVersionsOfAnyKindArrive) {
  for (const char* json :
       {R"({"name":"a","list":[1,null]})", "[]", "12.50", R"("text\n")", "null", "true"}) {
    SCOPED_TRACE(json);
    ExpectToldAsItIs(ValueKind::kJson, json);
  }
  ExpectToldAsItIs(ValueKind::kBytes, std::string("\0\xff bytes", 8));
  ExpectToldAsItIs(ValueKind::kBytes, "");
  ExpectToldAsItIs(ValueKind::kJson, std::nullopt);
}

TEST(PushJsonTest, AMergedRecordIsToldAsOne) {
  for (const bool merged : {false, true}) {
    PushResult push;
    push.id = "0123";
    push.answers.push_back({.operation = 1,
                            .outcome = PushOutcome::kApplied,
                            .version = SequenceNumber(9),
                            .birth = SequenceNumber(4),
                            .outside = !merged,
                            .merged = merged});
    const auto told = SentOverHttp(push);
    ASSERT_OK(told);
    ASSERT_EQ(told->answers.size(), 1U);
    EXPECT_EQ(told->answers[0].merged, merged);
    EXPECT_EQ(told->answers[0].outside, !merged);
    EXPECT_EQ(told->answers[0].version, SequenceNumber(9));
  }
}

TEST(PushJsonTest, WhatIsNoAnswerIsNone) {
  for (const char* json : {"",
                           "{}",
                           "[]",
                           R"({"data":{"push":""}})",
                           R"({"data":{"answers":[1]}})",
                           R"({"data":{"push":"1","answers":[{"operation":1}]}})",
                           R"({"data":{"push":"1","answers":[{"operation":1,"outcome":"eaten"}]}})",
                           R"({"data":{"push":"1","answers":[{"outcome":"applied"}]}})"}) {
    SCOPED_TRACE(json);
    EXPECT_THAT(PushFromJson(json), StatusIs(ErrorCode::kUnavailable));
  }
}

}  // namespace
}  // namespace tidemark::server
