// One row against one declaration: ids, fields, timestamps; and a page of them.

#include "replication/internal/row_check.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/internal/timestamp.h"
#include "replication/internal/upload_page.h"
#include "tests/support/status_matchers.h"

namespace tidemark::internal {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::tidemark::test::StatusIs;

EntityDeclaration Users() {
  EntityDeclaration declaration;
  declaration.fields = {{"id", FieldType::kAny, true, {}},
                        {"email", FieldType::kString, true, {}},
                        {"age", FieldType::kInteger, false, {}},
                        {"score", FieldType::kNumber, false, {}},
                        {"status", FieldType::kString, false, {"active", "gone"}},
                        {"level", FieldType::kAny, false, {"1", "2", "true"}},
                        {"joined", FieldType::kTimestamp, false, {}},
                        {"admin", FieldType::kBoolean, false, {}},
                        {"tags", FieldType::kArray, false, {}},
                        {"home", FieldType::kObject, false, {}}};
  return declaration;
}

CheckedRow CheckUser(std::string_view json) {
  return RowChecker(Users()).Check(json);
}

// "field:code" of the fault, or "" when the row is good.
std::string FaultOf(const CheckedRow& row) {
  return row.fault ? row.fault->field + ":" + row.fault->code : "";
}

std::string UserFault(const std::string& rest) {
  return FaultOf(CheckUser(R"({"id":"u1","email":"a@b")" + rest + "}"));
}

TEST(RowCheckTest, KeepsTheValueMinifiedWithMembersInOrder) {
  const CheckedRow row = CheckUser("{ \"id\" : \"u1\",\n \"zoo\" : [1, 2], \"email\":\"a@b\" }");
  EXPECT_EQ(FaultOf(row), "");
  EXPECT_EQ(row.value, R"({"id":"u1","zoo":[1,2],"email":"a@b"})");
  ASSERT_TRUE(row.id.has_value());
  EXPECT_EQ(row.id->text(), "u1");
  EXPECT_EQ(row.id->form(), IdForm::kText);
}

TEST(RowCheckTest, IntegerIdsKeepTheirForm) {
  const CheckedRow row = CheckUser(R"({"id":-9223372036854775808,"email":"a@b"})");
  EXPECT_EQ(FaultOf(row), "");
  ASSERT_TRUE(row.id.has_value());
  EXPECT_EQ(row.id->text(), "-9223372036854775808");
  EXPECT_EQ(row.id->form(), IdForm::kInteger);
}

TEST(RowCheckTest, RowsThatAreNoJsonObjectHaveNoId) {
  for (const std::string_view json : {"", "{", "{\"id\":1,\"id\":2}", "\xff", "{\"id\":1}x"}) {
    const CheckedRow row = CheckUser(json);
    EXPECT_EQ(FaultOf(row), ":malformed_json") << json;
    EXPECT_FALSE(row.id.has_value()) << json;
  }
  for (const std::string_view json : {"[]", "7", "\"x\"", "null", "true"}) {
    const CheckedRow row = CheckUser(json);
    EXPECT_EQ(FaultOf(row), ":not_object") << json;
    EXPECT_FALSE(row.id.has_value()) << json;
  }
}

TEST(RowCheckTest, IdsThatAreNoneAreNamed) {
  EXPECT_EQ(FaultOf(CheckUser(R"({"email":"a@b"})")), "id:required");
  EXPECT_EQ(FaultOf(CheckUser(R"({"id":null,"email":"a@b"})")), "id:required");
  for (const std::string_view id : {"1.5", "true", "[]", "{}", "\"\"", "\"a\\nb\""}) {
    const CheckedRow row = CheckUser(R"({"email":"a@b","id":)" + std::string(id) + "}");
    EXPECT_EQ(FaultOf(row), "id:id") << id;
    EXPECT_FALSE(row.id.has_value()) << id;
  }
}

TEST(RowCheckTest, IdsAreBounded) {
  const auto with_id = [](size_t bytes) {
    return R"({"email":"a@b","id":")" + std::string(bytes, 'x') + "\"}";
  };
  EXPECT_EQ(FaultOf(CheckUser(with_id(kIdBytesMax))), "");
  EXPECT_EQ(FaultOf(CheckUser(with_id(kIdBytesMax + 1))), "id:id");
}

TEST(RowCheckTest, ValuesAreBounded) {
  const auto of_size = [](size_t bytes) {
    const std::string begin = R"({"id":"u1","email":")";
    return begin + std::string(bytes - begin.size() - 2, 'x') + "\"}";
  };
  EXPECT_EQ(FaultOf(CheckUser(of_size(kValueBytesMax))), "");
  const CheckedRow row = CheckUser(of_size(kValueBytesMax + 1));
  EXPECT_EQ(FaultOf(row), ":too_large");
  EXPECT_TRUE(row.id.has_value());
}

TEST(RowCheckTest, RequiredFieldsMayNotBeAbsentOrNull) {
  const CheckedRow row = CheckUser(R"({"id":"u1"})");
  EXPECT_EQ(FaultOf(row), "email:required");
  ASSERT_TRUE(row.id.has_value());
  EXPECT_EQ(row.id->text(), "u1");
  EXPECT_EQ(FaultOf(CheckUser(R"({"id":"u1","email":null})")), "email:required");
  EXPECT_EQ(FaultOf(CheckUser(R"({"id":"u1","email":""})")), "");
}

TEST(RowCheckTest, TypesAreChecked) {
  EXPECT_EQ(FaultOf(CheckUser(R"({"id":"u1","email":7})")), "email:type");
  EXPECT_EQ(UserFault(R"(,"age":7)"), "");
  EXPECT_EQ(UserFault(R"(,"age":7.5)"), "age:type");
  EXPECT_EQ(UserFault(R"(,"age":"7")"), "age:type");
  EXPECT_EQ(UserFault(R"(,"age":null)"), "");
  EXPECT_EQ(UserFault(R"(,"score":7)"), "");
  EXPECT_EQ(UserFault(R"(,"score":7.5)"), "");
  EXPECT_EQ(UserFault(R"(,"score":"7.5")"), "score:type");
  EXPECT_EQ(UserFault(R"(,"admin":true)"), "");
  EXPECT_EQ(UserFault(R"(,"admin":0)"), "admin:type");
  EXPECT_EQ(UserFault(R"(,"tags":[1,"x"])"), "");
  EXPECT_EQ(UserFault(R"(,"tags":{})"), "tags:type");
  EXPECT_EQ(UserFault(R"(,"home":{"city":"x"})"), "");
  EXPECT_EQ(UserFault(R"(,"home":[])"), "home:type");
}

TEST(RowCheckTest, AllowedValuesAreChecked) {
  EXPECT_EQ(UserFault(R"(,"status":"active")"), "");
  EXPECT_EQ(UserFault(R"(,"status":"Active")"), "status:not_allowed");
  EXPECT_EQ(UserFault(R"(,"level":2)"), "");
  EXPECT_EQ(UserFault(R"(,"level":true)"), "");
  EXPECT_EQ(UserFault(R"(,"level":3)"), "level:not_allowed");
}

TEST(RowCheckTest, TimestampsAreChecked) {
  EXPECT_EQ(UserFault(R"(,"joined":"2024-02-29T10:00:00Z")"), "");
  EXPECT_EQ(UserFault(R"(,"joined":"2023-02-29T10:00:00Z")"), "joined:timestamp");
  EXPECT_EQ(UserFault(R"(,"joined":1718000000)"), "joined:type");
}

TEST(RowCheckTest, MessagesStayShortAndWholeUtf8) {
  const CheckedRow row = CheckUser(R"({"id":"u1","email":"a@b","status":"x)" +
                                   std::string(20'000, 'y') + "\xc3\xa9\"}");
  ASSERT_TRUE(row.fault.has_value());
  EXPECT_LT(row.fault->message.size(), 300U);
  std::string wide;
  for (int i = 0; i < 200; ++i) wide += "é";
  const CheckedRow cut = CheckUser(R"({"id":"u1","email":"a@b","status":"x)" + wide + "\"}");
  ASSERT_TRUE(cut.fault.has_value());
  EXPECT_TRUE(IsUtf8(cut.fault->message));
}

TEST(RowCheckTest, CompositeIdsAreCompactArrays) {
  EntityDeclaration declaration;
  declaration.id_fields = {"group_id", "user_id"};
  const RowChecker checker(declaration);
  const CheckedRow row = checker.Check(R"({"user_id":"E0000007", "group_id":"G00001"})");
  EXPECT_EQ(FaultOf(row), "");
  ASSERT_TRUE(row.id.has_value());
  EXPECT_EQ(row.id->text(), R"(["G00001","E0000007"])");
  EXPECT_EQ(row.id->form(), IdForm::kText);

  const CheckedRow numbers = checker.Check(R"({"user_id":7,"group_id":"say \"hi\""})");
  ASSERT_TRUE(numbers.id.has_value());
  EXPECT_EQ(numbers.id->text(), R"(["say \"hi\"",7])");

  EXPECT_EQ(FaultOf(checker.Check(R"({"group_id":"G"})")), "user_id:required");
  EXPECT_EQ(FaultOf(checker.Check(R"({"group_id":"G","user_id":[]})")), "user_id:id");
  const std::string half(300, 'x');
  EXPECT_EQ(FaultOf(checker.Check(R"({"group_id":")" + half + R"(","user_id":")" + half + "\"}")),
            "group_id:id");
}

TEST(RowCheckTest, EventsMayComeWithoutAnId) {
  EntityDeclaration declaration;
  declaration.kind = EntityKind::kIncremental;
  const RowChecker checker(declaration);
  EXPECT_EQ(FaultOf(checker.Check(R"({"what":"login"})")), "");
  EXPECT_FALSE(checker.Check(R"({"what":"login"})").id.has_value());
  EXPECT_EQ(FaultOf(checker.Check(R"({"id":null})")), "");
  EXPECT_EQ(checker.Check(R"({"id":"e1"})").id->text(), "e1");
  EXPECT_EQ(FaultOf(checker.Check(R"({"id":[]})")), "id:id");

  declaration.fields = {{"id", FieldType::kAny, true, {}}};
  EXPECT_EQ(FaultOf(RowChecker(declaration).Check(R"({"what":"login"})")), "id:required");
}

TEST(TimestampTest, IsoFormsAreTaken) {
  for (const std::string_view text : {"2024-01-31",
                                      "2024-01-31T23:59",
                                      "2024-01-31T23:59:59",
                                      "2024-01-31T23:59:59Z",
                                      "2024-01-31T23:59:60Z",
                                      "2024-01-31T00:00:00.123456789Z",
                                      "2024-01-31T00:00:00,5Z",
                                      "2024-01-31T00:00:00+05:30",
                                      "2024-01-31T00:00:00-0800",
                                      "2024-01-31T00:00:00+02",
                                      "2000-02-29",
                                      "0001-12-31T12:00Z"}) {
    EXPECT_TRUE(IsIsoTimestamp(text)) << text;
  }
}

TEST(TimestampTest, OthersAreNot) {
  for (const std::string_view text : {"",
                                      "2024",
                                      "2024-1-31",
                                      "2024-13-01",
                                      "2024-00-10",
                                      "2024-04-31",
                                      "1900-02-29",
                                      "2024-01-31 10:00:00",
                                      "2024-01-31T",
                                      "2024-01-31T10",
                                      "2024-01-31T24:00:00Z",
                                      "2024-01-31T10:60:00Z",
                                      "2024-01-31T10:00:61Z",
                                      "2024-01-31T10:00:00.Z",
                                      "2024-01-31T10:00:00z",
                                      "2024-01-31T10:00:00+",
                                      "2024-01-31T10:00:00+5",
                                      "2024-01-31T10:00:00Zx",
                                      "31/01/2024",
                                      "now",
                                      "+024-01-31"}) {
    EXPECT_FALSE(IsIsoTimestamp(text)) << text;
  }
}

UploadPage PageOf(std::vector<std::string> records) {
  UploadPage page;
  page.entity = "users";
  page.page = 4;
  page.records = std::move(records);
  return page;
}

TEST(PreparePageTest, BadRowsAreSetAsideAndNeverSpoilTheirNeighbours) {
  const UploadPage page = PageOf(
      {R"({"id":"a","email":"x"})", R"({"id":"b"})", R"(nonsense)", R"({"id":"c","email":"x"})"});
  const PreparedPage prepared = PreparePage(Users(), page);
  ASSERT_EQ(prepared.rows.size(), 2U);
  EXPECT_EQ(prepared.rows[0].row, 0U);
  EXPECT_EQ(prepared.rows[1].row, 3U);
  ASSERT_EQ(prepared.rejected.size(), 2U);
  EXPECT_EQ(Describe(prepared.rejected[0]), "users, page 4, row 1, email: email is required");
  EXPECT_EQ(prepared.rejected[1].row, 2U);
  EXPECT_EQ(prepared.rejected[1].code, "malformed_json");
  EXPECT_THAT(prepared.keep.ids, ElementsAre("b"));
  EXPECT_EQ(prepared.keep.unreadable, 1U);
}

TEST(PreparePageTest, EventsKeepNothing) {
  EntityDeclaration declaration = Users();
  declaration.kind = EntityKind::kIncremental;
  UploadPage page = PageOf({R"({"id":"b"})", "x"});
  page.kind = EntityKind::kIncremental;
  const PreparedPage prepared = PreparePage(declaration, page);
  EXPECT_EQ(prepared.rejected.size(), 2U);
  EXPECT_TRUE(prepared.keep.empty());
}

TEST(PreparePageTest, TheHashIsOfTheContentAlone) {
  const EntityDeclaration declaration;
  const auto hash = [&](std::vector<std::string> records) {
    return PreparePage(declaration, PageOf(std::move(records))).hash;
  };
  const std::string one = hash({R"({"id":"a"})"});
  EXPECT_EQ(one.size(), 32U);
  EXPECT_THAT(one,
              Each(::testing::AnyOf(::testing::AllOf(::testing::Ge('0'), ::testing::Le('9')),
                                    ::testing::AllOf(::testing::Ge('a'), ::testing::Le('f')))));
  EXPECT_EQ(one, hash({R"({ "id" : "a" })"}));
  EXPECT_NE(one, hash({R"({"id":"b"})"}));
  EXPECT_NE(one, hash({}));
  EXPECT_NE(hash({R"({"id":7})"}), hash({R"({"id":"7"})"}));
  EXPECT_NE(hash({R"({"id":"a"})", R"({"id":"b"})"}), hash({R"({"id":"b"})", R"({"id":"a"})"}));
}

TEST(PreparePageTest, StagedRowsViewThePage) {
  const PreparedPage prepared = PreparePage(EntityDeclaration(), PageOf({R"({"id":7,"x":1})"}));
  const std::vector<StagedRow> staged = prepared.Staged();
  ASSERT_EQ(staged.size(), 1U);
  EXPECT_EQ(staged[0].id, "7");
  EXPECT_EQ(staged[0].id_form, IdForm::kInteger);
  EXPECT_EQ(staged[0].value_kind, ValueKind::kJson);
  EXPECT_EQ(staged[0].value, R"({"id":7,"x":1})");
}

TEST(PageLimitsTest, AThousandRecordsAndNotOneMore) {
  EXPECT_OK(CheckPageLimits(PageOf({})));
  EXPECT_OK(CheckPageLimits(PageOf(std::vector<std::string>(1000, "{}"))));
  EXPECT_THAT(CheckPageLimits(PageOf(std::vector<std::string>(1001, "{}"))),
              StatusIs(ErrorCode::kTooManyRecords));
}

TEST(PageLimitsTest, BytesAreBounded) {
  UploadPage page = PageOf(std::vector<std::string>(16, std::string(1 << 20, ' ')));
  EXPECT_OK(CheckPageLimits(page));
  page.records.emplace_back(" ");
  EXPECT_THAT(CheckPageLimits(page), StatusIs(ErrorCode::kTooLarge));
}

TEST(PageLimitsTest, NamesAreChecked) {
  UploadPage page = PageOf({});
  page.entity = "_users";
  EXPECT_THAT(CheckPageLimits(page), StatusIs(ErrorCode::kReserved));
  page.entity = "";
  EXPECT_THAT(CheckPageLimits(page), StatusIs(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace tidemark::internal
