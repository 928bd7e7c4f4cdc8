// Why a device was, or was not, sent a record: each answer, at each stage of a record's way.
#include <string>
#include <vector>

#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::MapDevice;
using test::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class WhyTest : public test::SourceTest {
 protected:
  DeliveryExplanation Why(const std::string& id, const std::string& entity = "users") {
    auto explanation = source_->Explain("tablet", entity, id);
    EXPECT_OK(explanation);
    return explanation.ok() ? *explanation : DeliveryExplanation();
  }
};

TEST_F(WhyTest, ARecordOnItsWay) {
  MapDevice device = Device();
  Put("users", "1", "a");
  Put("users", "2", "b");
  ASSERT_TRUE(device.Start());
  DeliveryExplanation why = Why("2");
  EXPECT_EQ(why.state, DeliveryState::kInSession);
  EXPECT_EQ(why.next, "created");
  EXPECT_TRUE(why.live);
  EXPECT_FALSE(why.held);

  const Page first = device.Read(1);
  const Page second = device.Read(1);
  why = Why("2");
  EXPECT_EQ(why.state, DeliveryState::kUnconfirmed);
  EXPECT_TRUE(why.held);
  EXPECT_FALSE(why.acknowledged);
  ASSERT_THAT(why.unconfirmed, SizeIs(1));
  EXPECT_EQ(why.unconfirmed[0].session, 1U);
  EXPECT_EQ(why.unconfirmed[0].page, 2U);
  EXPECT_EQ(why.unconfirmed[0].label, "created");
  EXPECT_EQ(why.unconfirmed[0].version, why.version);

  device.Acknowledge({second.token});
  why = Why("2");
  EXPECT_EQ(why.state, DeliveryState::kUpToDate);
  EXPECT_TRUE(why.acknowledged);
  EXPECT_THAT(why.unconfirmed, IsEmpty());
  EXPECT_EQ(why.next, "");

  Put("users", "2", "c");
  why = Why("2");
  EXPECT_EQ(why.state, DeliveryState::kOwed);
  EXPECT_EQ(why.next, "updated");
  EXPECT_THAT(why.reasons, Contains(HasSubstr("last changed at 3")));
}

TEST_F(WhyTest, AChangeDuringASessionIsLeftToTheNext) {
  MapDevice device = Device();
  Put("users", "1", "a");
  Put("users", "2", "a");
  ASSERT_TRUE(device.Start());
  Put("users", "2", "b");
  const DeliveryExplanation why = Why("2");
  EXPECT_EQ(why.state, DeliveryState::kOwed);
  EXPECT_THAT(why.reasons, Contains(HasSubstr("after the open session began")));
}

TEST_F(WhyTest, DeletedRecords) {
  MapDevice device = Device();
  Put("users", "1", "a");
  Put("users", "2", "a");
  device.Sync();
  Delete("users", "1");
  DeliveryExplanation why = Why("1");
  EXPECT_EQ(why.state, DeliveryState::kOwed);
  EXPECT_EQ(why.next, "deleted");
  EXPECT_FALSE(why.live);
  EXPECT_TRUE(why.held);

  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  EXPECT_EQ(Why("1").state, DeliveryState::kUnconfirmed);
  device.Acknowledge({page.token});
  EXPECT_EQ(Why("1").state, DeliveryState::kNothingToTell);

  Put("users", "3", "a");
  Delete("users", "3");
  why = Why("3");
  EXPECT_EQ(why.state, DeliveryState::kNothingToTell);
  EXPECT_FALSE(why.held);
  EXPECT_EQ(Why("never").state, DeliveryState::kNothingToTell);
}

TEST_F(WhyTest, Selections) {
  MapDevice device = Device();
  Put("users", "1", "a");
  Put("deals", "1", "a");
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"deals"})));
  DeliveryExplanation why = Why("1");
  EXPECT_EQ(why.state, DeliveryState::kNotSelected);
  EXPECT_FALSE(why.selected);

  ASSERT_OK(source_->Select("tablet", SelectionRule::Everything()));
  EXPECT_EQ(Why("1").next, "created");
  device.Sync();
  ASSERT_OK(source_->Select("tablet", SelectionRule::Entities({"deals"})));
  why = Why("1");
  EXPECT_EQ(why.state, DeliveryState::kOwed);
  EXPECT_EQ(why.next, "deleted");
  EXPECT_TRUE(why.live);
  EXPECT_THAT(why.reasons, Contains(HasSubstr("may no longer see")));
}

TEST_F(WhyTest, ResetsAndForgottenDevices) {
  MapDevice device = Device();
  Put("users", "1", "a");
  device.Sync();
  ASSERT_OK(source_->Reset("tablet"));
  DeliveryExplanation why = Why("1");
  EXPECT_EQ(why.next, "created");
  EXPECT_THAT(why.reasons, Contains(HasSubstr("to be reset")));
  ASSERT_OK(source_->Forget("tablet"));
  EXPECT_THAT(Why("1").reasons, Contains(HasSubstr("forgotten")));
}

TEST_F(WhyTest, TablesOfTheEngineAreServedToNobody) {
  MapDevice device = Device();
  Put("users", "1", "a");
  CommitOptions local;
  local.local = true;
  ASSERT_OK(store_->Commit(WriteBatch().Put("_syncScope", "s", "x"), local));
  const auto expect_not_served = [this] {
    const DeliveryExplanation why = Why("s", "_syncScope");
    EXPECT_EQ(why.state, DeliveryState::kNotSelected);
    EXPECT_TRUE(why.live);
    EXPECT_FALSE(why.selected);
    EXPECT_FALSE(why.held);
    EXPECT_FALSE(why.acknowledged);
    EXPECT_EQ(why.next, "");
    EXPECT_THAT(why.reasons, ElementsAre(HasSubstr("tables of the engine")));
  };
  ASSERT_TRUE(device.Start());
  expect_not_served();  // in a session
  device.Sync();
  expect_not_served();
  EXPECT_THAT(source_->Explain("tablet", "_none", "s"), StatusIs(ErrorCode::kNotFound));
}

TEST_F(WhyTest, WhatIsNotThere) {
  Put("users", "1", "a");
  EXPECT_THAT(source_->Explain("tablet", "users", "1"), StatusIs(ErrorCode::kNotFound));
  ASSERT_TRUE(Device().Start());
  EXPECT_THAT(source_->Explain("tablet", "nobody", "1"), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(source_->Explain("tablet", "users", ""), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(source_->Explain("tablet", "users", std::string(513, 'x')),
              StatusIs(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace tidemark
