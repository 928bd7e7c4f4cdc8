// Sync scopes and statuses over a real store: rules J1 to J15 of seed 001, and crashes.
#include "replication/sync_tracker.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/replication/sync_tracker_fixture.h"

namespace tidemark {
namespace {

using test::OpenStore;
using test::SyncTrackerTest;
using test::TempDirectory;

TEST_F(SyncTrackerTest, J1AStatusIsUpdatedInPlace) {
  auto operation = Begin("crm", {{"customer", "sell", "list-customers"}});
  auto row = RowOf(kSyncStatusEntity, "crm:customer");
  EXPECT_EQ(row["id"], "crm:customer");
  EXPECT_EQ(row["provider"], "sell");
  EXPECT_EQ(row["entity"], "customer");
  EXPECT_EQ(row["functionId"], "list-customers");
  EXPECT_EQ(row["state"], "syncing");
  EXPECT_EQ(row["error"], "null");
  const int64_t begun = std::stoll(row["timestamp"]);

  ASSERT_OK(operation->Fail("customer", Status(ErrorCode::kUnavailable, "no network")));
  row = RowOf(kSyncStatusEntity, "crm:customer");
  EXPECT_EQ(row["state"], "failed");
  EXPECT_NE(row["error"].find("no network"), std::string::npos);
  EXPECT_GT(std::stoll(row["timestamp"]), begun);

  operation = Begin("crm", {{"customer", "sell", "list-customers"}});
  row = RowOf(kSyncStatusEntity, "crm:customer");
  EXPECT_EQ(row["state"], "syncing");
  EXPECT_EQ(row["error"], "null");
  ASSERT_OK(operation->Progress("customer", 12, 3400));
  ASSERT_OK(operation->Succeed("customer"));
  row = RowOf(kSyncStatusEntity, "crm:customer");
  EXPECT_EQ(row["state"], "synced");
  EXPECT_EQ(row["error"], "null");
  EXPECT_EQ(row["records"], "12");
  EXPECT_EQ(tracker_->ListStatuses().size(), 1U);
}

TEST_F(SyncTrackerTest, J2AScopeHasAllColumns) {
  ASSERT_OK(tracker_->StartScope("start-up", {"a"}));
  const auto row = RowOf(kSyncScopeEntity, "start-up");
  const std::set<std::string> expected = {"id",
                                          "state",
                                          "notStarted",
                                          "syncing",
                                          "failed",
                                          "synced",
                                          "lastStartedAt",
                                          "lastFailedAt",
                                          "lastSyncedAt",
                                          "timestamp",
                                          "details"};
  std::set<std::string> columns;
  for (const auto& [name, value] : row) columns.insert(name);
  EXPECT_EQ(columns, expected);
}

TEST_F(SyncTrackerTest, J3NothingHasStartedRightAfterAStart) {
  const auto scope = tracker_->StartScope("start-up", {"a", "b", "c", "d"});
  ASSERT_OK(scope);
  EXPECT_EQ(scope->not_started, 4U);
  EXPECT_EQ(scope->state, SyncState::kSyncing);
}

TEST_F(SyncTrackerTest, J4AMemberCountsOnceHoweverManyEntitiesItHas) {
  ASSERT_OK(tracker_->StartScope("start-up", {"crm"}));
  auto operation = Begin("crm", {{"customer", "sell", ""}, {"order", "sell", ""}});
  EXPECT_EQ(tracker_->ListStatuses().size(), 2U);
  EXPECT_EQ(Scope("start-up").syncing, 1U);
  ASSERT_OK(operation->Succeed("customer"));
  EXPECT_EQ(Scope("start-up").syncing, 1U);
  ASSERT_OK(operation->Fail("order", Status(ErrorCode::kUnavailable, "gone")));
  EXPECT_EQ(Scope("start-up").failed, 1U);
  EXPECT_EQ(Scope("start-up").state, SyncState::kFailed);
}

TEST_F(SyncTrackerTest, J6OneFailureDoesNotEndAScope) {
  ASSERT_OK(tracker_->StartScope("start-up", {"a", "b"}));
  auto a = Begin("a", {{"x", "", ""}});
  ASSERT_OK(a->Fail("x", Status(ErrorCode::kIoError, "bad")));
  EXPECT_EQ(Scope("start-up").state, SyncState::kSyncing);
  EXPECT_EQ(Scope("start-up").failed, 1U);
  auto b = Begin("b", {{"y", "", ""}});
  EXPECT_EQ(Scope("start-up").state, SyncState::kSyncing);
  ASSERT_OK(b->Finish());
  EXPECT_EQ(Scope("start-up").state, SyncState::kFailed);
}

TEST_F(SyncTrackerTest, J8AndJ9TimesOfEarlierOutcomesStay) {
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish(Status(ErrorCode::kIoError, "bad")));
  const SyncScope failed = Scope("s");
  EXPECT_EQ(failed.state, SyncState::kFailed);
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  EXPECT_EQ(Scope("s").failed, 0U);
  EXPECT_EQ(Scope("s").last_failed_at, failed.last_failed_at);
  EXPECT_EQ(Scope("s").run, 2U);
  ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish());
  const SyncScope synced = Scope("s");
  EXPECT_EQ(synced.last_failed_at, failed.last_failed_at);
  EXPECT_LT(*synced.last_failed_at, *synced.last_synced_at);
  EXPECT_LE(*synced.last_started_at, *synced.last_synced_at);
}

TEST_F(SyncTrackerTest, J10InterruptedIsFoundAtTheNextOpen) {
  ASSERT_OK(tracker_->StartScope("s", {"a", "b", "c"}));
  ASSERT_OK(Begin("c", {{"z", "", ""}})->Finish());
  const auto a = Begin("a", {{"x", "", ""}});
  Reopen();
  const SyncScope scope = Scope("s");
  EXPECT_EQ(scope.state, SyncState::kInterrupted);
  EXPECT_EQ(scope.not_started, 1U);
  EXPECT_EQ(scope.syncing, 0U);
  EXPECT_EQ(scope.synced, 1U);
  EXPECT_EQ(scope.interrupted, 1U);
  EXPECT_EQ(RowOf(kSyncStatusEntity, "a:x")["state"], "failed");
  EXPECT_NE(RowOf(kSyncStatusEntity, "a:x")["error"].find("interrupted"), std::string::npos);
  EXPECT_EQ(a->Succeed("x").code(), ErrorCode::kClosed);
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish());
  EXPECT_EQ(Scope("s").state, SyncState::kSynced);
}

TEST_F(SyncTrackerTest, J10InterruptedByCall) {
  ASSERT_OK(tracker_->StartScope("s", {"a", "b"}));
  ASSERT_OK(tracker_->StartScope("t", {"a"}));
  auto operation = Begin("a", {{"x", "", ""}});
  const auto interrupted = tracker_->InterruptScope("s");
  ASSERT_OK(interrupted);
  EXPECT_EQ(interrupted->state, SyncState::kInterrupted);
  EXPECT_EQ(interrupted->interrupted, 1U);
  ASSERT_OK(operation->Finish());  // goes on, and reports to the other scope only
  EXPECT_EQ(Scope("s").state, SyncState::kInterrupted);
  EXPECT_EQ(Scope("t").state, SyncState::kSynced);
  ASSERT_OK(tracker_->InterruptAll());
  EXPECT_EQ(Scope("t").state, SyncState::kSynced);
  EXPECT_EQ(tracker_->InterruptScope("none").status().code(), ErrorCode::kNotFound);
}

TEST_F(SyncTrackerTest, J11OfManyStartsIfIdleOneWins) {
  constexpr int kThreads = 64;
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> won = 0;
    std::atomic<int> refused = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        const auto started = tracker_->StartScopeIfIdle("s", {"a"});
        if (started.ok()) ++won;
        if (started.status().code() == ErrorCode::kConflict) ++refused;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(refused, kThreads - 1);
    ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish());
  }
  EXPECT_EQ(Scope("s").run, 3U);
}

TEST_F(SyncTrackerTest, J12DetailsNameEveryMember) {
  ASSERT_OK(tracker_->StartScope("s", {"a", "b"}));
  ASSERT_OK(Begin("a", {{"x", "p", "f"}})->Fail("x", Status(ErrorCode::kIoError, "no \"luck\"")));
  const auto details = ReadJsonObject(RowOf(kSyncScopeEntity, "s")["details"]);
  ASSERT_OK(details);
  EXPECT_EQ((*details)[0].name, "run");
  const auto members = ReadJsonArray((*details)[2].text);
  ASSERT_OK(members);
  ASSERT_EQ(members->size(), 2U);
  const auto a = ReadJsonObject((*members)[0].text);
  ASSERT_OK(a);
  std::map<std::string, std::string> fields;
  for (const JsonField& field : *a) fields[field.name] = field.text;
  EXPECT_EQ(fields["id"], "a");
  EXPECT_EQ(fields["state"], "failed");
  EXPECT_NE(fields["error"].find("no \"luck\""), std::string::npos);
  EXPECT_EQ(fields["attempts"], "1");
  EXPECT_FALSE(fields["startedAt"].empty());
  EXPECT_FALSE(fields["endedAt"].empty());
}

TEST_F(SyncTrackerTest, J13DeletingAScopeTouchesNothingElse) {
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  ASSERT_OK(tracker_->StartScope("t", {"a"}));
  auto operation = Begin("a", {{"x", "", ""}});
  EXPECT_EQ(tracker_->DeleteScope("s").status().code(), ErrorCode::kConflict);
  auto deleted = tracker_->DeleteScope("s", /*force=*/true);
  ASSERT_OK(deleted);
  EXPECT_TRUE(*deleted);
  ASSERT_OK(operation->Finish());
  EXPECT_FALSE(tracker_->FindScope("s").has_value());
  EXPECT_EQ(Scope("t").state, SyncState::kSynced);
  EXPECT_EQ(StateOf("a:x"), SyncState::kSynced);
  deleted = tracker_->DeleteScope("s");
  ASSERT_OK(deleted);
  EXPECT_FALSE(*deleted);
}

TEST_F(SyncTrackerTest, J14DeletingAStatus) {
  ASSERT_OK(Begin("a", {{"x", "", ""}, {"y", "", ""}})->Finish());
  EXPECT_TRUE(*tracker_->DeleteStatus("a:x"));
  EXPECT_FALSE(*tracker_->DeleteStatus("a:x"));
  EXPECT_EQ(tracker_->ListStatuses().size(), 1U);
  EXPECT_TRUE(RowOf(kSyncStatusEntity, "a:x").empty());
}

TEST_F(SyncTrackerTest, J15EveryTransitionIsHeardInOrder) {
  std::vector<std::string> heard;
  const uint64_t listener = tracker_->Listen([&](const SyncTransition& transition) {
    heard.push_back(transition.id + ":" +
                    std::string(transition.to ? SyncStateName(*transition.to) : "deleted"));
  });
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  auto operation = Begin("a", {{"x", "", ""}});
  ASSERT_OK(operation->Progress("x", 1, 1));  // no state changes
  ASSERT_OK(operation->Succeed("x"));
  ASSERT_OK(tracker_->DeleteScope("s"));
  tracker_->StopListening(listener);
  ASSERT_OK(tracker_->DeleteStatus("a:x"));
  const std::vector<std::string> expected = {
      "s:syncing", "a:x:syncing", "a:x:synced", "s:synced", "s:deleted"};
  EXPECT_EQ(heard, expected);
  const auto kept = [&] {
    std::vector<std::string> texts;
    RecordIterator history = store_->GetView().Scan(kSyncTransitionEntity, ScanOptions{});
    while (history.Next()) {
      const auto fields = ReadJsonFields(history.value(), {"id", "to"});
      if (!fields.ok()) continue;
      const JsonField& to = *fields->at(1);
      texts.push_back(fields->at(0)->text + ":" +
                      (to.type == JsonType::kNull ? "deleted" : to.text));
    }
    return texts;
  };
  heard.emplace_back("a:x:deleted");
  EXPECT_EQ(kept(), heard) << "ids sort by time";
  for (int i = 0; i < 1200; ++i) {
    ASSERT_OK(Begin("b", {{"y", "", ""}})->Finish());
    heard.insert(heard.end(), {"b:y:syncing", "b:y:synced"});
  }
  EXPECT_EQ(kept(), heard);
}

TEST_F(SyncTrackerTest, AListenerMayCallTheTracker) {
  std::atomic<int> restarts = 0;
  tracker_->Listen([&](const SyncTransition& transition) {
    const bool synced = transition.subject == SyncTransition::Subject::kScope &&
                        transition.to == SyncState::kSynced;
    if (!synced || restarts++ > 0) return;
    EXPECT_OK(tracker_->StartScope("s", {"a"}));
  });
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish());
  EXPECT_EQ(Scope("s").state, SyncState::kSyncing);
  EXPECT_EQ(Scope("s").run, 2U);
}

TEST_F(SyncTrackerTest, B13MembersReportToEachScopeThatWaitsForThem) {
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  ASSERT_OK(tracker_->StartScope("t", {"a", "b"}));
  ASSERT_OK(Begin("lonely", {{"x", "", ""}})->Finish());
  EXPECT_EQ(StateOf("lonely:x"), SyncState::kSynced);
  ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish());
  EXPECT_EQ(Scope("s").state, SyncState::kSynced);
  EXPECT_EQ(Scope("t").synced, 1U);
  EXPECT_EQ(Scope("t").state, SyncState::kSyncing);
}

TEST_F(SyncTrackerTest, B14ARestartOfAMemberLeavesACompleteScopeAlone) {
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish());
  const int64_t timestamp = Scope("s").timestamp;
  ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish(Status(ErrorCode::kIoError, "bad")));
  EXPECT_EQ(Scope("s").state, SyncState::kSynced);
  EXPECT_EQ(Scope("s").timestamp, timestamp);
}

TEST_F(SyncTrackerTest, B14DuringAScopeTheLatestRunCounts) {
  ASSERT_OK(tracker_->StartScope("s", {"a", "b"}));
  auto first = Begin("a", {{"x", "", ""}});
  ASSERT_OK(first->Fail("x", Status(ErrorCode::kIoError, "bad")));
  EXPECT_EQ(Scope("s").failed, 1U);
  auto second = Begin("a", {{"x", "", ""}});
  EXPECT_EQ(Scope("s").failed, 0U);
  EXPECT_EQ(Scope("s").syncing, 1U);
  EXPECT_EQ(first->Progress("x", 1, 1).code(), ErrorCode::kSuperseded);
  ASSERT_OK(second->Finish());
  EXPECT_EQ(Scope("s").synced, 1U);
  EXPECT_EQ(Scope("s").members[0].attempts, 2U);
}

TEST_F(SyncTrackerTest, ARunBegunBeforeTheStartBelongsToNoMemberOfIt) {
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  auto early = Begin("a", {{"x", "", ""}});
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  EXPECT_EQ(Scope("s").not_started, 1U);
  ASSERT_OK(early->Finish());
  EXPECT_EQ(Scope("s").not_started, 1U);
  EXPECT_EQ(StateOf("a:x"), SyncState::kSynced);
}

TEST_F(SyncTrackerTest, B17AScopeWithoutMembersIsSyncedAtOnce) {
  const auto scope = tracker_->StartScope("s", {});
  ASSERT_OK(scope);
  EXPECT_EQ(scope->state, SyncState::kSynced);
  EXPECT_TRUE(scope->last_synced_at.has_value());
}

TEST_F(SyncTrackerTest, AnOperationThatIsDroppedIsInterrupted) {
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  { const auto operation = Begin("a", {{"x", "", ""}}); }
  EXPECT_EQ(Scope("s").state, SyncState::kInterrupted);
  EXPECT_EQ(StateOf("a:x"), SyncState::kInterrupted);
}

TEST_F(SyncTrackerTest, EntitiesFoundWhileSyncingAreAdded) {
  ASSERT_OK(tracker_->StartScope("s", {"a"}));
  auto operation = Begin("a", {});
  ASSERT_OK(operation->Add({"x", "p", ""}));
  ASSERT_OK(operation->Add({"x", "p", ""}));
  ASSERT_OK(operation->Add({"y", "p", ""}));
  EXPECT_EQ(Scope("s").members[0].entities.size(), 2U);
  ASSERT_OK(operation->Succeed("x"));
  EXPECT_EQ(Scope("s").state, SyncState::kSyncing);
  ASSERT_OK(operation->Succeed("y"));
  EXPECT_EQ(Scope("s").state, SyncState::kSynced);
  EXPECT_EQ(operation->Add({"z", "p", ""}).code(), ErrorCode::kConflict);
  EXPECT_EQ(operation->Succeed("x").code(), ErrorCode::kConflict);
  EXPECT_EQ(operation->Succeed("none").code(), ErrorCode::kNotFound);
  EXPECT_OK(operation->Finish());
}

TEST_F(SyncTrackerTest, LimitsHoldAtNAndRefuseAtNPlusOne) {
  const std::string longest(kSyncNameBytesMax, 'n');
  EXPECT_OK(tracker_->StartScope(longest, {longest}));
  EXPECT_EQ(tracker_->StartScope(longest + "n", {}).status().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(tracker_->StartScope("s", {longest + "n"}).status().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(tracker_->StartScope("", {}).status().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(tracker_->StartScope("s", {"a", "a"}).status().code(), ErrorCode::kInvalidArgument);

  std::vector<std::string> members;
  for (size_t i = 0; i < kScopeMembersMax; ++i) members.push_back("m" + std::to_string(i));
  EXPECT_OK(tracker_->StartScope("s", members));
  members.emplace_back("one-more");
  EXPECT_EQ(tracker_->StartScope("s", members).status().code(), ErrorCode::kTooLarge);

  std::vector<SyncTarget> targets;
  for (size_t i = 0; i < kMemberTargetsMax; ++i) {
    targets.push_back({"e" + std::to_string(i), "", ""});
  }
  auto full = tracker_->Begin("m0", targets);
  ASSERT_OK(full);
  EXPECT_EQ((*full)->Add({"one-more", "", ""}).code(), ErrorCode::kTooLarge);
  targets.push_back({"one-more", "", ""});
  EXPECT_EQ(tracker_->Begin("m1", targets).status().code(), ErrorCode::kTooLarge);
  targets.pop_back();
  const auto second = Begin("m1", targets);
  const auto third = Begin("m2", targets);
  targets.resize(kScopeTargetsMax - 3 * kMemberTargetsMax);
  const auto fourth = Begin("m3", targets);
  EXPECT_EQ(tracker_->Begin("m4", {{"one-more", "", ""}}).status().code(), ErrorCode::kTooLarge);

  ASSERT_OK((*full)->Fail("e0", Status(ErrorCode::kIoError, std::string(1000, 'x'))));
  EXPECT_EQ(tracker_->FindStatus("m0:e0")->error.size(), kSyncErrorBytesMax);
  ASSERT_OK((*full)->Fail("e1", Status(ErrorCode::kIoError, "bad \xff bytes")));
  EXPECT_TRUE(IsUtf8(tracker_->FindStatus("m0:e1")->error));
}

TEST_F(SyncTrackerTest, AThousandScopesAndNotOneMore) {
  for (size_t i = 0; i < kSyncScopesMax; ++i) {
    ASSERT_OK(tracker_->StartScope("s" + std::to_string(i), {"m"}));
  }
  EXPECT_EQ(tracker_->StartScope("one-more", {"m"}).status().code(), ErrorCode::kTooLarge);
  EXPECT_OK(tracker_->StartScope("s0", {"m"})) << "one that is there starts again";
}

TEST_F(SyncTrackerTest, TenThousandStatusesAndNotOneMore) {
  std::vector<SyncTarget> targets;
  for (int i = 0; i < 250; ++i) targets.push_back({"e" + std::to_string(i), "", ""});
  for (size_t i = 0; i < kSyncStatusesMax / targets.size(); ++i) {
    ASSERT_OK(Begin("m" + std::to_string(i), targets)->Finish());
  }
  EXPECT_EQ(tracker_->Begin("one-more", {{"e", "", ""}}).status().code(), ErrorCode::kTooLarge);
  EXPECT_OK(Begin("m0", targets)->Finish()) << "those that are there sync again";
}

TEST_F(SyncTrackerTest, TheHistoryIsBounded) {
  const size_t rounds = (kSyncTransitionsKept + kSyncTransitionsKept / 10) / 2 + 10;
  for (size_t i = 0; i < rounds; ++i) {
    ASSERT_OK(Begin("a", {{"x", "", ""}})->Finish());
  }
  const auto history = store_->FindEntity(kSyncTransitionEntity);
  ASSERT_TRUE(history.has_value());
  EXPECT_GE(history->record_count, kSyncTransitionsKept);
  EXPECT_LE(history->record_count, kSyncTransitionsKept + kSyncTransitionsKept / 10);
}

TEST_F(SyncTrackerTest, J7CountersAddUpUnderEightWriters) {
  constexpr int kWriters = 8;
  std::vector<std::string> members;
  for (int i = 0; i < kWriters; ++i) members.push_back("m" + std::to_string(i));
  ASSERT_OK(tracker_->StartScope("s", members));
  std::atomic<int> running = kWriters;
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] {
      for (int round = 0; round < 40; ++round) {
        auto operation =
            tracker_->Begin(members[static_cast<size_t>(i)], {{"x", "", ""}, {"y", "", ""}});
        if (!operation.ok()) continue;
        EXPECT_OK((*operation)->Progress("x", 1, 1));
        EXPECT_OK((*operation)->Succeed("x"));
        if ((i + round) % 3 == 0) {
          EXPECT_OK((*operation)->Finish(Status(ErrorCode::kIoError, "x")));
        }
        if ((i + round) % 7 == 0) {
          EXPECT_OK(tracker_->StartScope("s", members));
        }
      }
      --running;
    });
  }
  uint64_t samples = 0;
  while (running > 0) {
    const auto record = store_->Get(kSyncScopeEntity, "s");
    ASSERT_OK(record);
    const auto fields = ReadJsonObject((*record)->value);
    ASSERT_OK(fields);
    std::map<std::string, std::string> row;
    for (const JsonField& field : *fields) row[field.name] = field.text;
    const auto details = ReadJsonFields(row["details"], {"interrupted"});
    ASSERT_OK(details);
    const uint64_t interrupted = std::stoull((*details)[0]->text);
    EXPECT_EQ(std::stoull(row["notStarted"]) + std::stoull(row["syncing"]) +
                  std::stoull(row["failed"]) + std::stoull(row["synced"]) + interrupted,
              static_cast<uint64_t>(kWriters));
    ++samples;
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_GT(samples, 0U);
}

constexpr const char* kDirectoryVariable = "TIDEMARK_TEST_DIRECTORY";
constexpr const char* kReadyVariable = "TIDEMARK_TEST_READY";  // a pipe's end

/// The program that the test below starts and kills: a process of its own, as a fork of this one
/// would lack its threads.
TEST(SyncTrackerCrashTest, DISABLED_SyncsUntilKilled) {
  const char* directory = std::getenv(kDirectoryVariable);
  ASSERT_NE(directory, nullptr);
  const auto store = OpenStore(directory);
  ASSERT_NE(store, nullptr);
  const auto tracker = SyncTracker::Open(*store);
  ASSERT_OK(tracker);
  const char* ready = std::getenv(kReadyVariable);
  ASSERT_NE(ready, nullptr);
  ASSERT_EQ(write(std::atoi(ready), "!", 1), 1);
  while (true) {
    ASSERT_OK((*tracker)->StartScope("s", {"a", "b"}));
    for (const char* member : {"a", "b"}) {
      auto operation = (*tracker)->Begin(member, {{"x", "", ""}, {"y", "", ""}});
      ASSERT_OK(operation);
      ASSERT_OK((*operation)->Succeed("x"));
      ASSERT_OK((*operation)->Finish());
    }
  }
}

[[noreturn]] void RunSyncsUntilKilled(const TempDirectory& directory, int ready) {
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  dup2(nowhere, STDOUT_FILENO);
  setenv(kDirectoryVariable, directory.path().c_str(), 1);
  setenv(kReadyVariable, std::to_string(ready).c_str(), 1);
  execl("/proc/self/exe",
        "sync_tracker_test",
        "--gtest_filter=SyncTrackerCrashTest.DISABLED_SyncsUntilKilled",
        "--gtest_also_run_disabled_tests",
        "--gtest_output=",
        static_cast<char*>(nullptr));
  _exit(1);
}

TEST(SyncTrackerCrashTest, AKillNeverLeavesAnythingSyncing) {
  const TempDirectory directory;
  bool found_interrupted = false;
  for (int round = 0; round < 12; ++round) {
    std::array<int, 2> ready{};
    ASSERT_EQ(pipe(ready.data()), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) RunSyncsUntilKilled(directory, ready[1]);
    close(ready[1]);
    char sign = 0;
    EXPECT_EQ(read(ready[0], &sign, 1), 1) << "the child ended before it began to sync";
    close(ready[0]);
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + round * 13));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed by itself";
    {  // whoever only reads is told the truth as well
      const auto reader = OpenStore(directory.path(), {.read_only = true});
      ASSERT_NE(reader, nullptr);
      const auto seen = ReadSyncScopes(*reader, /*owned=*/false);
      ASSERT_OK(seen);
      for (const SyncScope& scope : *seen) EXPECT_NE(scope.state, SyncState::kSyncing);
    }
    const auto store = OpenStore(directory.path());
    ASSERT_NE(store, nullptr);
    const auto tracker = SyncTracker::Open(*store);
    ASSERT_OK(tracker);
    for (const SyncScope& scope : (*tracker)->ListScopes()) {
      EXPECT_NE(scope.state, SyncState::kSyncing);
      EXPECT_EQ(scope.syncing, 0U);
      found_interrupted = found_interrupted || scope.state == SyncState::kInterrupted;
    }
    for (const SyncStatus& sync : (*tracker)->ListStatuses()) {
      EXPECT_NE(sync.state, SyncState::kSyncing) << sync.id;
    }
  }
  EXPECT_TRUE(found_interrupted);
}

}  // namespace
}  // namespace tidemark
