// Pushes and pulls of a replica in `_syncStatus` and `_syncScope`: what failed, what was refused,
// what had nothing to do.
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/batch.h"
#include "replication/internal/tracked_transfer.h"
#include "replication/sync_tracker.h"
#include "tests/replication/push_fixture.h"

namespace tidemark {
namespace {

using test::LossyTransport;
using test::PushTest;
using test::StatusIs;
using ::testing::HasSubstr;

class UnreachableTransport final : public Transport {
 public:
  Result<std::optional<SessionInfo>> Start(const Hello&) override { return Lost(); }
  Result<std::optional<Page>> Next(std::string_view, const PageOptions&) override { return Lost(); }
  Result<AckResult> Acknowledge(std::string_view, const std::vector<std::string>&) override {
    return Lost();
  }
  Result<PushResult> Push(std::string_view) override { return Lost(); }

 private:
  static Status Lost() { return {ErrorCode::kUnavailable, "no network"}; }
};

class PushStatusTest : public PushTest {
 protected:
  SyncTracker& Tracker() const { return tablet_.replica->tracker(); }
  /// Empty when there is no such row.
  std::string StateOf(std::string_view id) const {
    const auto status = Tracker().FindStatus(id);
    return status.has_value() ? std::string(SyncStateName(status->state)) : std::string();
  }
  SyncScope StartScope() const {
    const auto scope = Tracker().StartScope("s", {"push", "pull"});
    EXPECT_OK(scope);
    return scope.ok() ? *scope : SyncScope();
  }
  SyncScope Scope() const { return Tracker().FindScope("s").value_or(SyncScope()); }
};

TEST_F(PushStatusTest, APushThatFailsIsTold) {
  LossyTransport lossy(*source_);
  lossy.lose_request = true;
  StartScope();
  WriteHere("a", "1");
  EXPECT_THAT(tablet_.replica->Push(lossy), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(StateOf("push:visits"), "failed") << "the first one";
  EXPECT_THAT(Tracker().FindStatus("push:visits")->error, HasSubstr("lost on the way"));
  EXPECT_EQ(Scope().failed, 1U);
  Push();
  EXPECT_EQ(StateOf("push:visits"), "synced");
  EXPECT_EQ(Tracker().FindStatus("push:visits")->records, 1U);
  EXPECT_EQ(Scope().synced, 1U) << "the latest run counts";
  WriteHere("a", "2");
  EXPECT_THAT(tablet_.replica->Push(lossy), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(StateOf("push:visits"), "failed") << "after one that went well";
}

TEST_F(PushStatusTest, OneWithNothingToSendEndsItsMemberAsWell) {
  StartScope();
  LossyTransport transport(*source_);
  ASSERT_OK(tablet_.replica->Sync(transport));
  EXPECT_EQ(Scope().synced, 2U);
  EXPECT_EQ(Scope().state, SyncState::kSynced);
}

TEST_F(PushStatusTest, WhatIsRefusedIsNotSynced) {
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Put("plans", RecordId("p"), "1")));
  WriteHere("x", "here");
  WriteHere("y", "here");
  Put("visits", "x", "there");
  Push();
  EXPECT_EQ(StateOf("push:plans"), "synced");
  EXPECT_EQ(StateOf("push:visits"), "failed");
  EXPECT_EQ(Tracker().FindStatus("push:visits")->error,
            "not all operations were applied: 1 conflict; _commandQueue has them");
  EXPECT_EQ(Tracker().FindStatus("push:visits")->records, 1U) << "those that arrived";
  ASSERT_OK(tablet_.replica->DropOperation(FirstOperation()));
  Push();
  EXPECT_EQ(StateOf("push:visits"), "synced") << "nothing is left to be sent";
}

TEST_F(PushStatusTest, APullThatFailsBeforeItKnowsAnythingHasARow) {
  UnreachableTransport unreachable;
  EXPECT_THAT(tablet_.replica->Pull(unreachable), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(StateOf("pull:*"), "failed");
  EXPECT_THAT(Tracker().FindStatus("pull:*")->error, HasSubstr("no network"));
  Put("plans", "1", "there");
  Pull();
  EXPECT_EQ(StateOf("pull:*"), "synced");
  EXPECT_EQ(StateOf("pull:plans"), "synced");
  EXPECT_THAT(tablet_.replica->Pull(unreachable), StatusIs(ErrorCode::kUnavailable));
  EXPECT_EQ(StateOf("pull:plans"), "failed");
}

TEST_F(PushStatusTest, EntitiesBeyondTheRowsOfASyncShareOne) {
  const auto run = [&](size_t known, size_t brought) {
    std::set<std::string> entities;
    for (size_t i = 0; i < known; ++i) entities.insert("e" + std::to_string(i));
    internal::TrackedTransfer transfer(Tracker(), kPullMember, entities);
    BatchBuilder page;
    for (size_t i = 0; i < brought; ++i) {
      BatchRow row;
      row.entity = page.Entity("e" + std::to_string(known + i));
      row.op = RowOp::kCreated;
      row.sequence = SequenceNumber(i + 1);
      row.birth = row.sequence;
      row.id = "1";
      row.value = "1";
      page.Add(row);
    }
    BatchHeader header;
    header.kind = BatchKind::kPage;
    header.store = std::string(16, 's');
    header.epoch = std::string(16, 'e');
    header.device = tablet_.id;
    header.session = 1;
    header.page = 1;
    header.cut = SequenceNumber(brought);
    header.token = "token";
    transfer.NotePage(page.Finish(header));
    transfer.End({});
    for (const SyncStatus& status : Tracker().ListStatuses()) {
      EXPECT_EQ(status.state, SyncState::kSynced) << status.id;
    }
  };
  run(kMemberTargetsMax - 2, 1);
  EXPECT_EQ(StateOf("pull:*"), "") << "there is room for each";
  EXPECT_EQ(Tracker().ListStatuses().size(), kMemberTargetsMax - 1);
  run(kMemberTargetsMax - 1, 20);
  EXPECT_EQ(Tracker().FindStatus("pull:*")->records, 20U);
  EXPECT_EQ(Tracker().ListStatuses().size(), kMemberTargetsMax);
  run(kMemberTargetsMax + 20, 0);
  EXPECT_EQ(Tracker().FindStatus("pull:*")->records, 0U);
  EXPECT_EQ(Tracker().ListStatuses().size(), kMemberTargetsMax) << "all are known before";
}

}  // namespace
}  // namespace tidemark
