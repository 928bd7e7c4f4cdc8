// Declarations as JSON: what is written is read back, and what is wrong is named.

#include "db/entity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/built_in_schemas.h"
#include "tests/support/status_matchers.h"

namespace tidemark {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;
using ::tidemark::test::IsOkAndHolds;
using ::tidemark::test::StatusIs;

TEST(DeclarationTest, EmptyObjectIsTheDefault) {
  EXPECT_THAT(DeclarationFromJson("{}"), IsOkAndHolds(Eq(EntityDeclaration())));
}

TEST(DeclarationTest, EveryMemberSurvivesTheWayThroughText) {
  EntityDeclaration declaration;
  declaration.kind = EntityKind::kIncremental;
  declaration.type_label = "Réunion \"7\"";
  declaration.id_fields = {"region", "number"};
  declaration.fields = {{"region", FieldType::kString, true, {"north", "south"}},
                        {"number", FieldType::kInteger, true, {}},
                        {"at", FieldType::kTimestamp, false, {}},
                        {"tags", FieldType::kArray, false, {}},
                        {"extra", FieldType::kObject, false, {}},
                        {"share", FieldType::kNumber, false, {}},
                        {"done", FieldType::kBoolean, false, {}},
                        {"note", FieldType::kAny, false, {}}};
  declaration.references = {{"region", "regions"}};
  declaration.reference_policy = ReferencePolicy::kStrict;
  declaration.dangling_share_max = 0.5;
  declaration.strict = true;
  declaration.keys = {{{"region"}}, {{"number", "region"}}};
  declaration.delete_share_max = 0.3;
  declaration.time_field = "at";
  declaration.retention.age_ms = 1;
  declaration.retention.count = 2;
  declaration.retention.bytes = 3;
  EXPECT_THAT(DeclarationFromJson(DeclarationToJson(declaration)), IsOkAndHolds(Eq(declaration)));
}

TEST(DeclarationTest, PoliciesOfConflictsSurviveTheWayThroughText) {
  for (const char* name : {"reject", "last_writer", "by_field", "callback"}) {
    const auto policy = ConflictPolicyNamed(name);
    ASSERT_TRUE(policy.has_value()) << name;
    EXPECT_EQ(ConflictPolicyName(*policy), name);
    const auto read = DeclarationFromJson(R"({"conflicts":")" + std::string(name) + R"("})");
    ASSERT_OK(read);
    EXPECT_EQ(read->conflicts, *policy);
    EXPECT_EQ(DeclarationFromJson(DeclarationToJson(*read))->conflicts, *policy);
  }
  EXPECT_EQ(ConflictPolicyNamed(""), std::nullopt);
  EXPECT_EQ(ConflictPolicyNamed("Reject"), std::nullopt);
}

TEST(DeclarationTest, BuiltInSchemasSurviveTheWayThroughText) {
  ASSERT_EQ(BuiltInDeclarations().size(), 6U);
  for (const auto& [name, declaration] : BuiltInDeclarations()) {
    EXPECT_THAT(DeclarationFromJson(DeclarationToJson(declaration)), IsOkAndHolds(Eq(declaration)))
        << name;
  }
}

TEST(DeclarationTest, OneIdFieldMayBeWrittenAsAString) {
  const auto declaration = DeclarationFromJson(R"({"id":"email"})");
  ASSERT_OK(declaration);
  EXPECT_THAT(declaration->id_fields, ::testing::ElementsAre("email"));
}

TEST(DeclarationTest, EventsNeedNoIdFieldButSnapshotsDo) {
  EXPECT_OK(DeclarationFromJson(R"({"kind":"incremental","id":[]})"));
  EXPECT_THAT(DeclarationFromJson(R"({"kind":"snapshot","id":[]})"),
              StatusIs(ErrorCode::kInvalidArgument, HasSubstr("id must be given")));
}

TEST(DeclarationTest, NullBoundsAreNone) {
  const auto declaration =
      DeclarationFromJson(R"({"delete_share_max":null,"retention":{"age_ms":null}})");
  EXPECT_THAT(declaration, IsOkAndHolds(Eq(EntityDeclaration())));
}

struct WrongDeclaration {
  std::string_view json;
  std::string_view named;  // part of the message
};

class WrongDeclarationTest : public ::testing::TestWithParam<WrongDeclaration> {};

TEST_P(WrongDeclarationTest, NamesTheMember) {
  EXPECT_THAT(DeclarationFromJson(GetParam().json),
              StatusIs(ErrorCode::kInvalidArgument, HasSubstr(std::string(GetParam().named))));
}

INSTANTIATE_TEST_SUITE_P(
    Members,
    WrongDeclarationTest,
    ::testing::Values(
        WrongDeclaration{R"({"kinds":"snapshot"})", "kinds is not a member"},
        WrongDeclaration{R"({"kind":"table"})", "kind must be one of snapshot, incremental"},
        WrongDeclaration{R"({"kind":1})", "kind must be one of"},
        WrongDeclaration{R"({"type":7})", "type must be a string"},
        WrongDeclaration{R"({"id":7})", "id must be an array"},
        WrongDeclaration{R"({"id":["a",""]})", "id[1] must be a string of 1"},
        WrongDeclaration{R"({"id":["a","a"]})", "id[1] must be a field not named before"},
        WrongDeclaration{R"({"fields":{}})", "fields must be an array"},
        WrongDeclaration{R"({"fields":[3]})", "fields[0] must be an object"},
        WrongDeclaration{R"({"fields":[{"type":"any"}]})", "fields[0].name must be given"},
        WrongDeclaration{R"({"fields":[{"name":"a"},{"name":"a"}]})", "fields[1].name must be"},
        WrongDeclaration{R"({"fields":[{"name":"a","type":"date"}]})",
                         "fields[0].type must be one"},
        WrongDeclaration{R"({"fields":[{"name":"a","required":1}]})", "fields[0].required must be"},
        WrongDeclaration{R"({"fields":[{"name":"a","allowed":[{}]}]})", "fields[0].allowed[0]"},
        WrongDeclaration{R"({"fields":[{"name":"a","size":1}]})", "fields[0].size is not a member"},
        WrongDeclaration{R"({"references":[{"field":"a"}]})", "references[0].entity must be given"},
        WrongDeclaration{R"({"references":[{"entity":"a"}]})", "references[0].field must be given"},
        WrongDeclaration{R"({"references":[{"field":"a","entity":"_x"}]})",
                         "references[0].entity must be the name"},
        WrongDeclaration{R"({"reference_policy":"maybe"})", "reference_policy must be one of"},
        WrongDeclaration{R"({"conflicts":"by_fields"})",
                         "conflicts must be one of reject, last_writer, by_field, callback"},
        WrongDeclaration{R"({"conflicts":1})", "conflicts must be one of"},
        WrongDeclaration{R"({"dangling_share_max":1.01})", "dangling_share_max must be a share"},
        WrongDeclaration{R"({"dangling_share_max":"1"})", "dangling_share_max must be a share"},
        WrongDeclaration{R"({"strict":"yes"})", "strict must be true or false"},
        WrongDeclaration{R"({"delete_share_max":-0.1})", "delete_share_max must be a share"},
        WrongDeclaration{R"({"time_field":""})", "time_field must be a string"},
        WrongDeclaration{R"({"retention":{"count":-1}})", "retention.count must be an integer"},
        WrongDeclaration{R"({"retention":{"age":1}})", "retention.age is not a member"}));

TEST(DeclarationTest, TextThatIsNoObjectIsRefused) {
  EXPECT_THAT(DeclarationFromJson("[]"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(DeclarationFromJson("{"), StatusIs(ErrorCode::kMalformedJson));
}

std::string WithFields(size_t count) {
  std::string json = R"({"fields":[)";
  for (size_t i = 0; i < count; ++i) {
    json += (i == 0 ? "" : ",") + std::string(R"({"name":"f)") + std::to_string(i) + R"("})";
  }
  return json + "]}";
}

TEST(DeclarationTest, FieldsAreBounded) {
  EXPECT_OK(DeclarationFromJson(WithFields(256)));
  EXPECT_THAT(DeclarationFromJson(WithFields(257)), StatusIs(ErrorCode::kTooLarge));
}

std::string WithKeys(size_t keys, size_t fields) {
  std::string json = R"({"keys":[)";
  for (size_t key = 0; key < keys; ++key) {
    json += key > 0 ? ",[" : "[";
    for (size_t field = 0; field < fields; ++field) {
      json +=
          (field > 0 ? ",\"f" : "\"f") + std::to_string(key) + "." + std::to_string(field) + "\"";
    }
    json += "]";
  }
  return json + "]}";
}

TEST(DeclarationTest, KeysAreBounded) {
  EXPECT_OK(DeclarationFromJson(WithKeys(kEntityKeysMax, kKeyFieldsMax)));
  EXPECT_THAT(DeclarationFromJson(WithKeys(kEntityKeysMax + 1, 1)), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(DeclarationFromJson(WithKeys(1, kKeyFieldsMax + 1)), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(DeclarationFromJson(R"({"keys":["a","a"]})"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(DeclarationFromJson(R"({"keys":[["a","a"]]})"),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(DeclarationFromJson(R"({"keys":[[]]})"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(DeclarationFromJson(R"({"keys":[1]})"), StatusIs(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace tidemark
