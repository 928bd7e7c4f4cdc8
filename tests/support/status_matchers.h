// Matchers for Status and Result. There is none for "not ok": a test names the error it expects.
#pragma once

#include <ostream>
#include <utility>

#include <gmock/gmock.h>

#include "format/status.h"

namespace tidemark {

// Found by GoogleTest through the namespace, so that failures say what happened.
inline void PrintTo(const Status& status, std::ostream* out) {
  *out << status.ToString();
}

template <typename T>
void PrintTo(const Result<T>& result, std::ostream* out) {
  if (result.ok()) {
    *out << ::testing::PrintToString(*result);
  } else {
    *out << result.status().ToString();
  }
}

namespace test {

inline const Status& StatusOf(const Status& status) {
  return status;
}
template <typename T>
const Status& StatusOf(const Result<T>& result) {
  return result.status();
}

/// `EXPECT_THAT(store.Close(), IsOk());` for a Status or a Result.
MATCHER(IsOk, negation ? "is an error" : "is ok") {
  return StatusOf(arg).ok();
}

/// `EXPECT_THAT(view.Get(id), IsOkAndHolds(Eq("x")));`
MATCHER_P(IsOkAndHolds, inner, "is ok and holds what was expected") {
  if (!arg.ok()) return false;
  return ::testing::ExplainMatchResult(inner, *arg, result_listener);
}

MATCHER_P2(StatusIsMatching, code, message, "has the expected code and message") {
  const Status& status = StatusOf(arg);
  *result_listener << "code is " << GetErrorInfo(status.code()).name;
  return status.code() == code &&
         ::testing::ExplainMatchResult(message, status.message(), result_listener);
}

/// `EXPECT_THAT(opened, StatusIs(ErrorCode::kDataLoss, HasSubstr("had 7")));`
template <typename Message>
auto StatusIs(ErrorCode code, Message message) {
  return StatusIsMatching(code, std::move(message));
}
inline auto StatusIs(ErrorCode code) {
  return StatusIs(code, ::testing::_);
}

}  // namespace test
}  // namespace tidemark

#define ASSERT_OK(expression) ASSERT_THAT((expression), ::tidemark::test::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT((expression), ::tidemark::test::IsOk())
