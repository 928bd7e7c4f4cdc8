// The hardest correctness cases, acknowledgements and identity: one test for each, by its number.
#include <string>
#include <vector>

#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::MapDevice;
using test::StatusIs;
using test::ToTexts;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CasesTest : public test::SourceTest {
 protected:
  /// A device that holds users/1=a and acknowledged it.
  MapDevice Settled() {
    Put("users", "1", "a");
    MapDevice device = Device();
    EXPECT_THAT(device.Sync(), ElementsAre("created users/1=a"));
    return device;
  }
};

TEST_F(CasesTest, Case01AckLostAfterApplyThenDelete) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  device.Apply(device.Read());
  Delete("users", "1");
  EXPECT_THAT(device.Sync(), ElementsAre("deleted users/1"));
  EXPECT_THAT(device.map(), IsEmpty());
  EXPECT_FALSE(device.Start());
}

TEST_F(CasesTest, Case02PageLostThenDelete) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  device.Read();
  Delete("users", "1");
  EXPECT_THAT(device.Sync(), ElementsAre("deleted users/1"));
  EXPECT_FALSE(device.Start());
}

TEST_F(CasesTest, Case03NeverServedIsNeverSent) {
  MapDevice device = Settled();
  Put("users", "2", "b");
  Reopen();
  device.Move(*source_);
  EXPECT_OK(store_->Compact());
  Delete("users", "2");
  Put("users", "3", "c");
  Delete("users", "3");
  EXPECT_OK(store_->Compact());
  EXPECT_EQ(source_->GetDevice("tablet")->owed, 0U);
  EXPECT_FALSE(device.Start());
  EXPECT_EQ(Tombstones(), 0U);
}

TEST_F(CasesTest, Case04AckLostThenUpdate) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  device.Apply(device.Read());
  Put("users", "1", "b");
  EXPECT_THAT(device.Sync(), ElementsAre("created users/1=b"));
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesTest, Case05UpdatedWhileDrainingBeforeItsTurn) {
  Put("users", "1", "a");
  Put("users", "2", "b");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const test::MapDevice before = device;
  const Page first = device.Read(1);
  Put("users", "2", "changed");
  device.Apply(first);
  device.Acknowledge({first.token});
  EXPECT_THAT(device.Drain(1), ElementsAre("created users/2=b"));
  EXPECT_THAT(device.Sync(), ElementsAre("updated users/2=changed"));
}

TEST_F(CasesTest, Case06LateAckOfAnOldVersionHidesNothing) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  device.Apply(page);
  Put("users", "1", "b");
  EXPECT_EQ(device.Acknowledge({page.token}).applied, 1U);
  EXPECT_THAT(device.Sync(), ElementsAre("updated users/1=b"));

  // The same across a newer session, which was told the new version already.
  Put("users", "1", "c");
  ASSERT_TRUE(device.Start());
  const Page old = device.Read();
  const std::vector<std::string> old_keys = device.Keys(old);
  Put("users", "1", "d");
  ASSERT_TRUE(device.Start());
  device.Read();
  EXPECT_EQ(device.Acknowledge(old_keys).applied, 1U);
  EXPECT_THAT(device.Sync(), ElementsAre("updated users/1=d"));
}

TEST_F(CasesTest, Case07HotRecordStarvesNobody) {
  for (int i = 0; i < 5; ++i) Put("users", "cold" + std::to_string(i), "x");
  Put("users", "hot", "0");
  MapDevice device = Device();
  int hot = 0;
  for (int session = 0; session < 4; ++session) {
    Put("users", "hot", std::to_string(++hot));
    const std::string at_cut = "users/hot=" + std::to_string(hot);
    ASSERT_TRUE(device.Start());
    int pages = 0;
    std::vector<std::string> told;
    while (true) {
      const auto page = device.Next(1);
      ASSERT_OK(page);
      if (!page->has_value()) break;
      ASSERT_LE(++pages, 6) << "the session does not end";
      told.push_back(ToTexts((*page)->bytes).front());
      device.Apply(**page);
      device.Acknowledge({(*page)->token});
      Put("users", "hot", std::to_string(++hot));
    }
    EXPECT_EQ(told.size(), session == 0 ? 6U : 1U);
    EXPECT_THAT(told.back(), HasSubstr(at_cut));
    EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
  }
}

TEST_F(CasesTest, Case08AcksInAnyOrderAndGrouping) {
  for (int i = 0; i < 6; ++i) Put("users", std::to_string(i), "x");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  std::vector<std::string> keys;
  for (int i = 0; i < 3; ++i) {
    const Page page = device.Read(2);
    device.Apply(page);
    for (const std::string& key : device.Keys(page)) keys.push_back(key);
  }
  EXPECT_EQ(device.Acknowledge({keys[5], keys[3], keys[5]}).applied, 2U);
  const SequenceNumber floor = source_->GetDevice("tablet")->floor;
  EXPECT_EQ(source_->GetDevice("tablet")->unacknowledged, 4U);
  EXPECT_LT(floor, device.session().cut);
  EXPECT_EQ(device.Acknowledge({keys[4], keys[3], keys[2], keys[1]}).applied, 3U);
  EXPECT_FALSE(source_->GetDevice("tablet")->at_rest) << "an open item was passed";
  EXPECT_EQ(device.Acknowledge({keys[0]}).applied, 1U);
  EXPECT_EQ(device.Acknowledge({keys[0], keys[5]}).repeated, 2U);
  EXPECT_THAT(device.Next(), test::IsDrained());
  EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
  EXPECT_FALSE(device.Start());
}

TEST_F(CasesTest, Case09BadKeysAreIgnoredAndTheRestCounts) {
  Put("users", "1", "a");
  Put("users", "2", "b");
  MapDevice other = Device("phone");
  ASSERT_TRUE(other.Start());
  const Page foreign = other.Read();
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const Page older = device.Read(1);
  const std::string older_key = device.Keys(older).front();
  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  const std::vector<std::string> keys = device.Keys(page);
  std::string forged = keys[0];
  forged[forged.size() / 2] = forged[forged.size() / 2] == 'A' ? 'B' : 'A';
  const AckResult result = device.Acknowledge(
      {foreign.token, other.Keys(foreign).front(), forged, "", "x", older_key, keys[1]});
  EXPECT_EQ(result.applied, 2U) << "the key of the older session and the valid one";
  EXPECT_EQ(result.ignored, 5U);
  EXPECT_THAT(result.reasons,
              ElementsAre(HasSubstr("another device"),
                          HasSubstr("another device"),
                          HasSubstr("forged"),
                          HasSubstr("forged"),
                          HasSubstr("forged")));

  ASSERT_OK(store_->BeginEpoch("test"));
  const AckResult late = device.Acknowledge({keys[0]});
  EXPECT_EQ(late.applied, 0U);
  EXPECT_THAT(late.reasons, ElementsAre(HasSubstr("older epoch")));
  EXPECT_EQ(MapDevice(*source_, "nobody").Acknowledge({keys[0]}).ignored, 1U);
}

TEST_F(CasesTest, Case10StartBeforeTheAcksAreProcessed) {
  Put("users", "1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const Page page = device.Read();
  device.Apply(page);
  ASSERT_TRUE(device.Start());  // may be told again
  EXPECT_EQ(device.session().owed, 1U);
  EXPECT_EQ(device.Acknowledge({page.token}).applied, 1U);
  EXPECT_THAT(device.Drain(), IsEmpty()) << "acknowledged by now";
  EXPECT_FALSE(device.Start());
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesTest, Case11AckOfADeleteLost) {
  MapDevice device = Settled();
  Delete("users", "1");
  ASSERT_TRUE(device.Start());
  device.Apply(device.Read());
  EXPECT_THAT(device.Sync(), ElementsAre("deleted users/1"));
  EXPECT_FALSE(device.Start());
  EXPECT_THAT(device.map(), IsEmpty());
}

TEST_F(CasesTest, Case12DeleteAndRecreateIsOneCreated) {
  MapDevice device = Settled();
  Delete("users", "1");
  Put("users", "1", "new life");
  EXPECT_THAT(device.Sync(), ElementsAre("created users/1=new life"));
  EXPECT_EQ(device.map(), Live());
  EXPECT_FALSE(device.Start());
}

TEST_F(CasesTest, Case13DeleteRecreateDelete) {
  MapDevice device = Settled();
  Delete("users", "1");
  Put("users", "1", "second life");
  Delete("users", "1");
  EXPECT_THAT(device.Sync(), ElementsAre("deleted users/1"));
  EXPECT_THAT(device.map(), IsEmpty());
  EXPECT_OK(source_->Purge());
  EXPECT_EQ(Tombstones(), 0U);
}

TEST_F(CasesTest, Case15EqualContentIsNoChange) {
  MapDevice device = Settled();
  const SequenceNumber before = store_->last_sequence();
  Put("users", "1", "a");
  EXPECT_EQ(store_->last_sequence(), before);
  EXPECT_EQ(source_->GetDevice("tablet")->owed, 0U);
  EXPECT_FALSE(device.Start());
}

TEST_F(CasesTest, Case16TwoDevicesWithOneId) {
  for (int i = 0; i < 4; ++i) Put("users", std::to_string(i), "x");
  MapDevice one = Device();
  MapDevice two = Device();
  ASSERT_TRUE(one.Start());
  one.Apply(one.Read(2));
  ASSERT_TRUE(two.Start());
  EXPECT_THAT(one.Next(), StatusIs(ErrorCode::kSuperseded));
  two.Drain();
  EXPECT_EQ(two.map(), Live());
  EXPECT_THAT(one.Next(), StatusIs(ErrorCode::kSuperseded));
  // On a wire without positions the operator resets it, and each converges.
  ASSERT_OK(source_->Reset("tablet"));
  one.Sync();
  EXPECT_EQ(one.map(), Live());
}

TEST_F(CasesTest, Case18WipedDeviceSaysFresh) {
  MapDevice device = Settled();
  Put("users", "2", "b");
  Delete("users", "2");
  device.map().clear();
  ASSERT_TRUE(device.Start(/*fresh=*/true));
  EXPECT_TRUE(device.session().reset);
  EXPECT_THAT(device.Drain(), ElementsAre("created users/1=a"));
}

TEST_F(CasesTest, Case19NoWallClockDecides) {
  MapDevice device = Settled();
  clock_->SetWall(1);
  Put("users", "2", "b");
  clock_->SetWall(9'000'000'000'000);
  Put("users", "3", "c");
  ASSERT_TRUE(device.Start());
  clock_->SetWall(0);
  EXPECT_THAT(device.Drain(1), ElementsAre("created users/2=b", "created users/3=c"));
  Delete("users", "2");
  EXPECT_THAT(device.Sync(), ElementsAre("deleted users/2"));
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesTest, Case20ForgottenDeviceReturns) {
  MapDevice device = Settled();
  Put("users", "2", "b");
  device.Sync();
  ASSERT_OK(source_->Forget("tablet"));
  EXPECT_TRUE(source_->GetDevice("tablet")->forgotten);
  Delete("users", "1");
  EXPECT_OK(source_->Purge());
  EXPECT_EQ(Tombstones(), 0U);
  Reopen();
  device.Move(*source_);
  ASSERT_TRUE(device.Start());
  EXPECT_TRUE(device.session().reset);
  EXPECT_THAT(device.Drain(), ElementsAre("created users/2=b"));
  EXPECT_EQ(device.map(), Live());
  EXPECT_FALSE(source_->GetDevice("tablet")->forgotten);
}

TEST_F(CasesTest, Case21DeviceBeyondTheBoundIsReset) {
  source_options_.held_tombstones_max = 3;
  OpenSource();
  for (int i = 0; i < 6; ++i) Put("users", std::to_string(i), "x");
  MapDevice device = Device();
  device.Sync();
  for (int i = 0; i < 4; ++i) Delete("users", std::to_string(i));
  EXPECT_OK(source_->Purge());
  EXPECT_EQ(Tombstones(), 0U);
  EXPECT_TRUE(source_->GetDevice("tablet")->reset_pending);
  ASSERT_TRUE(device.Start());
  EXPECT_TRUE(device.session().reset);
  device.Drain();
  EXPECT_EQ(device.map(), Live()) << "ghosts";
}

TEST_F(CasesTest, Case22DeviceExactlyAtTheBound) {
  source_options_.held_tombstones_max = 3;
  OpenSource();
  for (int i = 0; i < 6; ++i) Put("users", std::to_string(i), "x");
  MapDevice device = Device();
  device.Sync();
  for (const int deleted : {1, 2, 3, 4}) {
    Delete("users", std::to_string(deleted));
    EXPECT_OK(source_->Purge());
    EXPECT_EQ(source_->GetDevice("tablet")->reset_pending, deleted == 4) << deleted;
    if (deleted < 3) {
      EXPECT_EQ(Tombstones(), static_cast<uint64_t>(deleted));
    }
  }
  device.Sync();
  EXPECT_EQ(device.map(), Live());
}

TEST_F(CasesTest, Case31SessionsEndWithTheProcess) {
  for (int i = 0; i < 4; ++i) Put("users", std::to_string(i), "x");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const Page first = device.Read(2);
  device.Apply(first);
  Reopen();
  device.Move(*source_);
  EXPECT_THAT(device.Next(), StatusIs(ErrorCode::kSessionExpired));
  EXPECT_EQ(device.Acknowledge({first.token}).applied, 2U);
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().owed, 2U);
  EXPECT_THAT(device.Drain(), ElementsAre("created users/2=x", "created users/3=x"));
  EXPECT_EQ(device.map(), Live());
}

}  // namespace
}  // namespace tidemark
