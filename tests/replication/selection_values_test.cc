// Selections by values of declared keys: cases 34 and 36 to 38 within an entity, leaks, late
// declarations, trimmed events, and how little is read.
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::MapDevice;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using ::tidemark::test::StatusIs;

class SelectionValuesTest : public test::SourceTest {
 protected:
  SelectionValuesTest() { DeclareKeys("visits"); }

  void DeclareKeys(const std::string& entity, EntityKind kind = EntityKind::kSnapshot) {
    EntityDeclaration declaration{.kind = kind};
    declaration.keys = {{{"owner"}}, {{"owner", "area"}}};
    ASSERT_OK(store_->Declare(entity, declaration));
  }
  void PutJson(const std::string& id, const std::string& value) {
    EXPECT_OK(store_->Commit(WriteBatch().Put("visits", id, value, ValueKind::kJson)));
  }
  void PutOwned(const std::string& id, int owner) { PutJson(id, Owned(owner)); }
  static std::string Owned(int owner) { return R"({"owner":)" + std::to_string(owner) + "}"; }

  void WaitForIndex() {
    while (store_->FindEntity("visits")->keys_indexed_through < store_->last_sequence()) {
      ASSERT_OK(store_->Compact());
      store_->WaitForCommit(store_->last_sequence(), std::chrono::milliseconds(1));
    }
  }
  void Grant(const std::string& device, const std::string& where) {
    const auto rule =
        SelectionRuleFromJson(R"({"entities":[{"entity":"visits","where":)" + where + "}]}");
    ASSERT_OK(rule);
    ASSERT_OK(source_->Select(device, *rule));
  }
  void GrantOwners(const std::string& device, const std::string& owners) {
    Grant(device, R"({"owner":)" + owners + "}");
  }
};

TEST_F(SelectionValuesTest, OnlyRecordsWithTheValueAreSent) {
  PutOwned("mine", 1);
  PutOwned("theirs", 2);
  PutJson("nobody's", R"({"note":"no owner"})");
  PutJson("null's", R"({"owner":null})");
  PutJson("everybody's", R"({"owner":[1,2]})");
  Put("visits", "bytes", R"({"owner":1})");  // no JSON value has no fields
  GrantOwners("tablet", "1");
  MapDevice device = Device();
  EXPECT_THAT(device.Sync(), ElementsAre(R"(created visits/mine={"owner":1})"));
  PutOwned("theirs", 2);
  Delete("visits", "nobody's");
  EXPECT_FALSE(device.Start()) << "nothing that it may see has changed";
}

TEST_F(SelectionValuesTest, NumbersAreComparedAsNumbersAndNeverWithTexts) {
  PutJson("integer", R"({"owner":7})");
  PutJson("double", R"({"owner":7.0})");
  PutJson("text", R"({"owner":"7"})");
  PutJson("bool", R"({"owner":true})");
  GrantOwners("tablet", "7");
  MapDevice device = Device();
  device.Sync();
  EXPECT_THAT(device.map(), SizeIs(2));
  GrantOwners("tablet", R"(["7",true])");
  EXPECT_THAT(device.Sync(),
              UnorderedElementsAre("deleted visits/integer",
                                   "deleted visits/double",
                                   R"(created visits/text={"owner":"7"})",
                                   R"(created visits/bool={"owner":true})"));
}

TEST_F(SelectionValuesTest, SeveralFieldsAreOneKey) {
  PutJson("both", R"({"owner":1,"area":"n"})");
  PutJson("other area", R"({"owner":1,"area":"s"})");
  PutJson("no area", R"({"owner":1})");
  Grant("tablet", R"({"area":"n","owner":[1,2]})");
  MapDevice device = Device();
  EXPECT_THAT(device.Sync(), ElementsAre(R"(created visits/both={"owner":1,"area":"n"})"));
}

TEST_F(SelectionValuesTest, Case36WidenedAfterTheMarkPassed) {
  PutOwned("a", 1);
  PutOwned("b", 2);
  GrantOwners("tablet", "1");
  MapDevice device = Device();
  device.Sync();
  PutOwned("c", 1);
  device.Sync();
  GrantOwners("tablet", "[1,2]");
  EXPECT_THAT(device.Sync(), ElementsAre(R"(created visits/b={"owner":2})"));
  EXPECT_EQ(device.map(), Live());
  EXPECT_FALSE(device.Start());
}

TEST_F(SelectionValuesTest, Case37NarrowedAndWidenedAgain) {
  PutOwned("a", 1);
  PutOwned("b", 2);
  GrantOwners("tablet", "[1,2]");
  MapDevice device = Device();
  device.Sync();
  PutOwned("never served", 2);
  GrantOwners("tablet", "1");
  EXPECT_THAT(device.Sync(), ElementsAre("deleted visits/b"));
  GrantOwners("tablet", "[1,2]");
  EXPECT_THAT(
      device.Sync(),
      ElementsAre(R"(created visits/b={"owner":2})", R"(created visits/never served={"owner":2})"));
  // Flapping that no session saw sends nothing.
  GrantOwners("tablet", "3");
  GrantOwners("tablet", "[1,2]");
  EXPECT_FALSE(device.Start());
}

TEST_F(SelectionValuesTest, Case38MovesBetweenValues) {
  PutOwned("visit", 1);
  GrantOwners("one", "1");
  GrantOwners("two", "2");
  GrantOwners("both", "[1,2]");
  MapDevice one = Device("one");
  MapDevice two = Device("two");
  MapDevice both = Device("both");
  one.Sync();
  EXPECT_FALSE(two.Start());
  both.Sync();
  PutOwned("visit", 2);
  EXPECT_THAT(one.Sync(), ElementsAre("deleted visits/visit"));
  EXPECT_THAT(two.Sync(), ElementsAre(R"(created visits/visit={"owner":2})"));
  EXPECT_THAT(both.Sync(), ElementsAre(R"(updated visits/visit={"owner":2})"));
  // Out and back again unnoticed is an update; noticed, it is another creation.
  PutOwned("visit", 3);
  PutOwned("visit", 2);
  EXPECT_THAT(two.Sync(), ElementsAre(R"(updated visits/visit={"owner":2})"));
  EXPECT_FALSE(one.Start());
  PutOwned("visit", 1);
  EXPECT_THAT(two.Sync(), ElementsAre("deleted visits/visit"));
  EXPECT_THAT(one.Sync(), ElementsAre(R"(created visits/visit={"owner":1})"));
  Delete("visits", "visit");
  EXPECT_THAT(one.Sync(), ElementsAre("deleted visits/visit"));
  EXPECT_FALSE(two.Start());
  both.Sync();
  ASSERT_OK(source_->Purge());
  EXPECT_EQ(Tombstones(), 0U);
}

TEST_F(SelectionValuesTest, ADeletionOfWhatLeftTellsItsIdAlone) {
  const std::string secret = "a value that tablet may not see";
  PutOwned("visit", 1);
  GrantOwners("tablet", "1");
  MapDevice device = Device();
  device.Sync();
  ASSERT_OK(store_->Commit(WriteBatch().Put("visits",
                                            "visit",
                                            R"({"owner":2,"note":")" + secret + R"("})",
                                            ValueKind::kJson,
                                            {.if_newer = 1'234'567})));
  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  EXPECT_EQ(page.bytes.find(secret), std::string::npos);
  const auto rows = BatchView::Parse(page.bytes, BatchKind::kPage);
  ASSERT_OK(rows);
  EXPECT_EQ(rows->row(0).op, RowOp::kDelete);
  EXPECT_FALSE(rows->row(0).writer_time.has_value());
  EXPECT_EQ(rows->row(0).value_kind, ValueKind::kBytes);
  EXPECT_TRUE(rows->row(0).stays.empty() && rows->row(0).ended.empty());
}

TEST_F(SelectionValuesTest, ARevocationIsObeyedByTheNextPage) {
  PutOwned("a", 1);
  PutOwned("b", 2);
  PutOwned("c", 1);
  GrantOwners("tablet", "[1,2]");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  device.Apply(device.Read(1));
  GrantOwners("tablet", "1");
  EXPECT_THAT(device.Drain(1), ElementsAre(R"(created visits/c={"owner":1})"));
  EXPECT_FALSE(source_->GetDevice("tablet")->at_rest) << "it cannot claim what it withheld";
}

TEST_F(SelectionValuesTest, AKeyDeclaredLateCoversWhatIsThere) {
  for (int i = 0; i < 40; ++i) {
    EXPECT_OK(store_->Commit(
        WriteBatch().Put("deals", std::to_string(100 + i), Owned(i % 4), ValueKind::kJson)));
  }
  const auto rule =
      SelectionRuleFromJson(R"({"entities":[{"entity":"deals","where":{"owner":3}}]})");
  EXPECT_THAT(source_->Select("tablet", *rule), StatusIs(ErrorCode::kInvalidArgument));
  MapDevice whole = Device("whole");
  whole.Sync();
  DeclareKeys("deals");
  ASSERT_OK(source_->Select("tablet", *rule));
  MapDevice device = Device();
  EXPECT_THAT(device.Sync(), SizeIs(10));
  // A move of a record that is older than the key.
  EXPECT_OK(store_->Commit(WriteBatch().Put("deals", "103", Owned(1), ValueKind::kJson)));
  EXPECT_THAT(device.Sync(), ElementsAre("deleted deals/103"));
  EXPECT_THAT(whole.Sync(), ElementsAre(R"(updated deals/103={"owner":1})"));
  // Nothing of this is lost with the process.
  Reopen();
  device.Move(*source_);
  EXPECT_FALSE(device.Start());
  EXPECT_OK(store_->Commit(WriteBatch().Put("deals", "107", Owned(2), ValueKind::kJson)));
  EXPECT_THAT(device.Sync(), ElementsAre("deleted deals/107"));
}

TEST_F(SelectionValuesTest, AFurtherKeyBeginsTheIndexAnew) {
  store_options_.window_records = 16;
  Reopen();
  for (int i = 0; i < 200; ++i) PutOwned(std::to_string(1'000 + i), i % 4);
  GrantOwners("tablet", "1");
  MapDevice device = Device();
  EXPECT_THAT(device.Sync(), SizeIs(50));
  WaitForIndex();
  for (int i = 0; i < 40; ++i) PutOwned(std::to_string(1'000 + i), i % 2);
  device.Sync();
  WaitForIndex();
  Reopen();
  device.Move(*source_);
  for (int i = 40; i < 80; ++i) PutOwned(std::to_string(1'000 + i), i % 2);
  EntityDeclaration declaration;
  declaration.keys = {{{"owner"}}, {{"owner", "area"}}, {{"area"}}};
  ASSERT_OK(store_->Declare("visits", declaration));
  WaitForIndex();
  device.Sync();
  std::map<std::string, std::string> expected = Live();
  std::erase_if(expected, [](const auto& record) { return record.second != Owned(1); });
  EXPECT_EQ(device.map(), expected);
}

TEST_F(SelectionValuesTest, ADroppedKeyIsStillKnown) {
  for (const char* id : {"a", "b"}) {
    EXPECT_OK(store_->Commit(WriteBatch().Put("deals", id, Owned(7), ValueKind::kJson)));
  }
  DeclareKeys("deals");
  const auto rule =
      SelectionRuleFromJson(R"({"entities":[{"entity":"deals","where":{"owner":7}}]})");
  ASSERT_OK(source_->Select("tablet", *rule));
  ASSERT_OK(source_->Select("phone", *rule));
  MapDevice tablet = Device();
  MapDevice phone = Device("phone");
  tablet.Sync();
  phone.Sync();
  ASSERT_OK(store_->Declare("deals", {}));
  EXPECT_OK(store_->Commit(WriteBatch().Put("deals", "a", Owned(8), ValueKind::kJson)));
  EXPECT_THAT(tablet.Sync(), UnorderedElementsAre("deleted deals/a", "deleted deals/b"));
  DeclareKeys("deals");
  EXPECT_THAT(tablet.Sync(), ElementsAre(R"(created deals/b={"owner":7})"));
  EXPECT_THAT(phone.Sync(), ElementsAre("deleted deals/a")) << "it saw nothing of all this";
}

TEST_F(SelectionValuesTest, KeysOverAllTimeAreBounded) {
  EntityDeclaration declaration;
  for (size_t key = 0; key < kEntityKeysEverMax; ++key) {
    declaration.keys = {{{"field" + std::to_string(key)}}};
    ASSERT_OK(store_->Declare("many", declaration));
  }
  declaration.keys = {{{"one more"}}};
  EXPECT_THAT(store_->Declare("many", declaration), StatusIs(ErrorCode::kTooLarge));
  declaration.keys = {{{"field0"}}};
  EXPECT_OK(store_->Declare("many", declaration));
}

TEST_F(SelectionValuesTest, OnlyRowsOfThePartAreRead) {
  store_options_.window_records = 64;
  Reopen();
  for (int i = 0; i < 2'000; ++i) PutOwned(std::to_string(10'000 + i), i % 100);
  while (store_->FindEntity("visits")->keys_indexed_through.value() < 1'900) {
    ASSERT_OK(store_->Compact());
    store_->WaitForCommit(store_->last_sequence(), std::chrono::milliseconds(1));
  }
  const auto key = store_->KeysOf(store_->FindEntity("visits")->number)
                       .Find({"owner"}, {{.type = JsonType::kInteger, .text = "7", .integer = 7}});
  ASSERT_TRUE(key.has_value());
  const auto rows = store_->FindPartRows(store_->FindEntity("visits")->number, {{*key, {}}});
  ASSERT_OK(rows);
  EXPECT_LE(rows->heads.Count(), 20U);
  EXPECT_GE(rows->heads.Count(), 18U);
  GrantOwners("tablet", "7");
  MapDevice device = Device();
  EXPECT_THAT(device.Sync(), SizeIs(20));
}

TEST_F(SelectionValuesTest, TrimmedEventsThatItCouldNotSeeAreNoGap) {
  DeclareKeys("events", EntityKind::kIncremental);
  const auto rule =
      SelectionRuleFromJson(R"({"entities":[{"entity":"events","where":{"owner":1}}]})");
  ASSERT_OK(source_->Select("tablet", *rule));
  MapDevice device = Device();
  for (int i = 0; i < 4; ++i) {
    EXPECT_OK(store_->Commit(
        WriteBatch().Append("events", "seen" + std::to_string(i), Owned(i % 2), ValueKind::kJson)));
  }
  device.Sync();
  for (int i = 0; i < 6; ++i) {
    EXPECT_OK(store_->Commit(
        WriteBatch().Append("events", "lost" + std::to_string(i), Owned(i % 3), ValueKind::kJson)));
  }
  ASSERT_OK(source_->Trim("events", store_->last_sequence()));
  ASSERT_TRUE(device.Start());
  ASSERT_THAT(device.session().gaps, SizeIs(1));
  EXPECT_EQ(device.session().gaps[0].count, 2U) << "lost1 and lost4";
}

TEST_F(SelectionValuesTest, WrongRulesAreNamed) {
  const auto refused = [](const std::string& json, const std::string& what) {
    const auto rule = SelectionRuleFromJson(json);
    EXPECT_THAT(rule, StatusIs(ErrorCode::kInvalidArgument)) << json;
    EXPECT_THAT(rule.status().message(), HasSubstr(what)) << json;
  };
  refused(R"({})", "everything");
  refused(R"({"everything":false})", "everything");
  refused(R"({"entities":[1]})", "entities[0]");
  refused(R"({"entities":[{"where":{"a":1}}]})", "entities[0].entity");
  refused(R"({"entities":[{"entity":"visits","where":{}}]})", "entities[0].where");
  refused(R"({"entities":[{"entity":"visits","where":{"owner":[]}}]})", "where.owner");
  refused(R"({"entities":[{"entity":"visits","where":{"owner":null}}]})", "where.owner");
  refused(R"({"entities":[{"entity":"visits","where":{"owner":{}}}]})", "where.owner");
  refused(R"({"entities":[{"entity":"visits","queue":1}]})", "entities[0].queue");
  const auto undeclared =
      SelectionRuleFromJson(R"({"entities":[{"entity":"visits","where":{"area":"n"}}]})");
  ASSERT_OK(undeclared);
  EXPECT_THAT(source_->Select("tablet", *undeclared).message(), HasSubstr("has no key (area)"));
}

TEST_F(SelectionValuesTest, PartsAreBounded) {
  const auto rule_of = [](size_t values) {
    SelectionRule rule{.everything = false};
    Grant::Field field{.name = "owner", .values = {}};
    for (size_t i = 0; i < values; ++i) field.values.push_back(std::to_string(i));
    rule.grants.push_back({.entity = "visits", .where = {field}});
    return rule;
  };
  EXPECT_OK(source_->Select("tablet", rule_of(kSelectionPartsMax)));
  EXPECT_THAT(source_->Select("tablet", rule_of(kSelectionPartsMax + 1)),
              StatusIs(ErrorCode::kTooLarge));
}

TEST_F(SelectionValuesTest, RulesSurviveTheWayThroughText) {
  for (const std::string json :
       {R"({"everything":true})",
        R"({"entities":[]})",
        R"({"entities":["a",{"entity":"b","where":{"x":["1",1,1.5,true],"y":[2]}}]})"}) {
    const auto rule = SelectionRuleFromJson(json);
    ASSERT_OK(rule);
    EXPECT_EQ(SelectionRuleToJson(*rule), json);
  }
}

}  // namespace
}  // namespace tidemark
