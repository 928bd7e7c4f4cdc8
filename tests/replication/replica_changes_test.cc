// What listeners of a replica are told: every change of a record, whether it was written here or
// comes from the source, in order, and none for what reads as before (rule J31).
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/replication/push_fixture.h"

namespace tidemark {
namespace {

using test::PushTest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class ReplicaChangesTest : public PushTest {
 protected:
  ReplicaChangesTest() {
    listener_ = tablet_.replica->Listen([this](const ReplicaChange& change) {
      std::string text = change.origin == ChangeOrigin::kLocal ? "local " : "remote ";
      text += change.kind == ChangeKind::kCreated   ? "created "
              : change.kind == ChangeKind::kUpdated ? "updated "
                                                    : "deleted ";
      told_.push_back(text + change.entity + "/" + change.id.text());
      lost_ += change.lost;
    });
  }
  /// What was told since the last time.
  std::vector<std::string> Told() { return std::exchange(told_, {}); }

  uint64_t listener_ = 0;
  std::vector<std::string> told_;
  uint64_t lost_ = 0;
};

TEST_F(ReplicaChangesTest, LocalAndRemoteChangesAreToldApart) {
  WriteHere("1", "a");
  WriteHere("1", "b");
  WriteHere("1", "b");
  WriteHere("2", "a");
  DeleteHere("2");
  ASSERT_OK(tablet_.replica->Write(WriteBatch().Append("events", RecordId("e"), "x")));
  EXPECT_THAT(Told(),
              ElementsAre("local created visits/1",
                          "local updated visits/1",
                          "local created visits/2",
                          "local deleted visits/2",
                          "local created events/e"));
  Push();
  EXPECT_THAT(Told(), IsEmpty()) << "what the source takes reads as before";
  Put("visits", "3", "theirs");
  Put("visits", "4", "theirs");
  Pull();
  EXPECT_THAT(Told(), ElementsAre("remote created visits/3", "remote created visits/4"));
  Put("visits", "1", "theirs");
  Delete("visits", "3");
  Pull();
  EXPECT_THAT(Told(), UnorderedElementsAre("remote updated visits/1", "remote deleted visits/3"));
  EXPECT_EQ(lost_, 0U);
}

TEST_F(ReplicaChangesTest, WhatWaitsHidesWhatPagesSayUntilItIsRefused) {
  Put("visits", "1", "base");
  Pull();
  WriteHere("1", "mine");
  Put("visits", "1", "theirs");
  Told();
  Pull();
  EXPECT_THAT(Told(), IsEmpty()) << "applications see what was written here";
  EXPECT_EQ(Push().count(PushOutcome::kConflict), 1U);
  EXPECT_THAT(Told(), ElementsAre("remote updated visits/1"));
  ASSERT_OK(tablet_.replica->RetryOperation(FirstOperation()));
  EXPECT_THAT(Told(), ElementsAre("local updated visits/1"));
  ASSERT_OK(tablet_.replica->DropOperation(FirstOperation()));
  EXPECT_THAT(Told(), ElementsAre("local updated visits/1"));
  EXPECT_EQ(Held()["visits/1"], "theirs");
}

TEST_F(ReplicaChangesTest, AnIdThatIsReplacedIsADeletionAndACreation) {
  const auto put = [this](const char* entity, const char* id, const char* json) {
    ASSERT_OK(
        tablet_.replica->Write(WriteBatch().Put(entity, RecordId(id), json, ValueKind::kJson)));
  };
  put("household", "tmp-1", "{}");
  put("member", "m", R"({"h":"tmp-1"})");
  Told();
  ASSERT_OK(tablet_.replica->ReplaceId({.entity = "household",
                                        .temporary = "tmp-1",
                                        .real = "4711",
                                        .references = {{"h", "member"}}}));
  EXPECT_THAT(Told(),
              UnorderedElementsAre("local deleted household/tmp-1",
                                   "local created household/4711",
                                   "local updated member/m"));
}

TEST_F(ReplicaChangesTest, AResetTellsWhatItChangesOnly) {
  for (const char* id : {"1", "2", "3"}) Put("visits", id, "a");
  Pull();
  Told();
  ASSERT_OK(source_->Forget("tablet"));
  Delete("visits", "2");
  Put("visits", "3", "b");
  EXPECT_TRUE(Pull().reset);
  EXPECT_THAT(Told(), ElementsAre("remote updated visits/3", "remote deleted visits/2"));
}

TEST_F(ReplicaChangesTest, AListenerMayWriteAndIsToldOfThatToo) {
  tablet_.replica->Listen([this](const ReplicaChange& change) {
    if (change.entity == "visits") {
      EXPECT_OK(tablet_.replica->Write(WriteBatch().Put("seen", change.id, "x")));
    }
  });
  WriteHere("1", "a");
  EXPECT_THAT(Told(), ElementsAre("local created visits/1", "local created seen/1"));
  tablet_.replica->StopListening(listener_);
  WriteHere("2", "a");
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_EQ(Held().count("seen/2"), 1U);
}

TEST_F(ReplicaChangesTest, TenThousandWaitAndNotOneMore) {
  for (const uint64_t beyond : {0U, 1U}) {
    std::promise<void> told;
    std::promise<void> go_on;
    std::atomic<bool> is_first = true;
    const uint64_t slow = tablet_.replica->Listen([&](const ReplicaChange&) {
      if (!is_first.exchange(false)) return;
      told.set_value();
      go_on.get_future().wait();
    });
    std::thread writer([&] { WriteHere("first" + std::to_string(beyond), "a"); });
    told.get_future().wait();
    WriteBatch batch;
    for (uint64_t i = 0; i < kReplicaChangesMax + beyond; ++i) {
      batch.Put("visits", RecordId(std::to_string(i)), "round" + std::to_string(beyond));
    }
    ASSERT_OK(tablet_.replica->Write(batch));  // does not wait for the listener
    go_on.set_value();
    writer.join();
    tablet_.replica->StopListening(slow);
    EXPECT_EQ(lost_, beyond);
    EXPECT_THAT(Told(), SizeIs(1 + kReplicaChangesMax));
  }
}

TEST_F(ReplicaChangesTest, WritersAtTheSameTimeAreToldInOrder) {
  constexpr int kWriters = 4;
  constexpr int kWrites = 25;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([this, writer] {
      for (int i = 0; i < kWrites; ++i) {
        WriteHere(std::to_string(writer) + "-" + std::to_string(i), "x");
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  tablet_.replica->StopListening(listener_);
  std::vector<std::string> written;
  for (const std::string& operation : Outbox()) {
    written.push_back("local created " + operation.substr(std::string("pending put ").size()));
  }
  EXPECT_EQ(Told(), written);
  EXPECT_THAT(written, SizeIs(kWriters * kWrites));
}

}  // namespace
}  // namespace tidemark
