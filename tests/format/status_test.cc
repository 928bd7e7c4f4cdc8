#include "format/status.h"

#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Not;

std::vector<ErrorCode> AllCodes() {
  std::vector<ErrorCode> codes;
  for (int code = 0; code < kErrorCodeCount; ++code) codes.push_back(static_cast<ErrorCode>(code));
  return codes;
}

std::string SourceFile(const std::string& path) {
  const char* root = std::getenv("TIDEMARK_SOURCE_DIR");
  std::ifstream file(std::string(root == nullptr ? TIDEMARK_SOURCE_DIR : root) + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(StatusTest, DefaultIsOk) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.ToString(), "ok");
  EXPECT_TRUE(status.WithContext("users").ok());
  EXPECT_EQ(status.WithContext("users").message(), "");
}

TEST(StatusTest, SaysWhatIsWrongAndWhere) {
  const Status status(ErrorCode::kDeleteGuard, "finish would delete 512 of 600 records");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.ToString(), "delete_guard: finish would delete 512 of 600 records");
  const Status outer = status.WithContext("users");
  EXPECT_EQ(outer.code(), ErrorCode::kDeleteGuard);
  EXPECT_EQ(outer.message(), "users: finish would delete 512 of 600 records");
  EXPECT_EQ(Status(ErrorCode::kBusy, "").WithContext("store").message(), "store");
}

TEST(ResultTest, HoldsAValueOrAnError) {
  Result<std::unique_ptr<int>> good(std::make_unique<int>(7));
  ASSERT_OK(good);
  EXPECT_EQ(**good, 7);
  const std::unique_ptr<int> taken = std::move(good).value();
  EXPECT_EQ(*taken, 7);

  const Result<std::string> bad(ErrorCode::kNotFound, "users/7");
  EXPECT_FALSE(bad);
  EXPECT_THAT(bad, test::StatusIs(ErrorCode::kNotFound, "users/7"));
}

Result<int> Half(int value) {
  if (value % 2 != 0) return {ErrorCode::kInvalidArgument, "odd"};
  return value / 2;
}

Result<int> Quarter(int value) {
  TIDEMARK_ASSIGN_OR_RETURN(const int half, Half(value));
  TIDEMARK_RETURN_IF_ERROR(Half(half).status());
  return half / 2;
}

TEST(ResultTest, MacrosReturnTheFirstError) {
  EXPECT_THAT(Quarter(8), test::IsOkAndHolds(2));
  EXPECT_THAT(Quarter(7), test::StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(Quarter(6), test::StatusIs(ErrorCode::kInvalidArgument));
}

TEST(ErrorCatalogueTest, EveryCodeHasItsOwnNameAndAdvice) {
  std::set<std::string_view> names;
  for (const ErrorCode code : AllCodes()) {
    const ErrorInfo& info = GetErrorInfo(code);
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(info.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos);
    EXPECT_THAT(info.exit_code, AllOf(Ge(0), Le(8))) << info.name;
    EXPECT_EQ(info.exit_code == 0, code == ErrorCode::kOk) << info.name;
    ASSERT_THAT(info.advice, Not(IsEmpty())) << info.name;
    EXPECT_EQ(info.advice.back(), '.') << info.name;
  }
}

// Cells of the table's rows, without their padding.
std::vector<std::vector<std::string>> TableRows(const std::string& document) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(document);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    std::vector<std::string> cells;
    std::istringstream row(line.substr(1));
    for (std::string cell; std::getline(row, cell, '|');) {
      const size_t begin = cell.find_first_not_of(' ');
      const size_t end = cell.find_last_not_of(' ');
      cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, end - begin + 1));
    }
    rows.push_back(cells);
  }
  return rows;
}

TEST(ErrorCatalogueTest, DocumentSaysTheSame) {
  const auto rows = TableRows(SourceFile("docs/errors.md"));
  ASSERT_EQ(rows.size(), static_cast<size_t>(kErrorCodeCount));
  for (const ErrorCode code : AllCodes()) {
    const ErrorInfo& info = GetErrorInfo(code);
    const auto& row = rows[static_cast<size_t>(code)];
    ASSERT_EQ(row.size(), 4U) << info.name;
    EXPECT_EQ(row[0], "`" + std::string(info.name) + "`");
    EXPECT_EQ(row[1], std::to_string(info.exit_code)) << info.name;
    EXPECT_THAT(row[2], Not(IsEmpty())) << info.name;
    EXPECT_EQ(row[3], info.advice) << info.name;
  }
}

}  // namespace
}  // namespace tidemark
