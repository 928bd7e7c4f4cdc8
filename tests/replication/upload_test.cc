// Upload syncs over a store: starting, pages, what a finish does (contract 26 to 30; Z1 to Z22).

#include "replication/upload.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/built_in_schemas.h"
#include "tests/replication/upload_fixture.h"
#include "tests/support/status_matchers.h"

namespace tidemark::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// --- Starting ---

TEST_F(UploadTest, EveryStartHasAnIdOfItsOwn) {  // Z1
  std::set<std::string> ids;
  for (int i = 0; i < 40; ++i) {
    if (i == 20) Reopen();
    const std::string id = Start();
    EXPECT_THAT(id, SizeIs(32));
    EXPECT_TRUE(ids.insert(id).second);
    ASSERT_OK(uploads_->Finish(id));
  }
}

TEST_F(UploadTest, ASecondStartNamesTheActiveSync) {  // Z2, case 40
  const std::string first = Start();
  EXPECT_THAT(uploads_->Start(), StatusIs(ErrorCode::kSyncActive, HasSubstr(first)));
  EXPECT_EQ(uploads_->active(), first);
}

TEST_F(UploadTest, OfManyStartsExactlyOneWins) {  // Z2
  constexpr int kThreads = 64;
  std::vector<std::string> winners(kThreads);
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const auto id = uploads_->Start();
      if (id.ok()) {
        winners[static_cast<size_t>(i)] = *id;
      } else if (id.status().code() == ErrorCode::kSyncActive) {
        ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, kThreads - 1);
  winners.erase(std::remove(winners.begin(), winners.end(), ""), winners.end());
  ASSERT_THAT(winners, SizeIs(1));
  EXPECT_EQ(uploads_->active(), winners[0]);
}

TEST_F(UploadTest, ForceSupersedesTheActiveSync) {  // B2b
  const std::string first = Start();
  ASSERT_OK(Put(first, "users", 1, {Row("a")}));
  const std::string second = Start(true);
  EXPECT_NE(first, second);
  EXPECT_EQ(StateOf(first), UploadState::kSuperseded);
  EXPECT_THAT(Put(first, "users", 2, {Row("b")}),
              StatusIs(ErrorCode::kSyncClosed, HasSubstr("superseded")));
  EXPECT_THAT(uploads_->Finish(first), StatusIs(ErrorCode::kSyncClosed));
  ASSERT_OK(uploads_->Finish(second));
  EXPECT_THAT(Ids("users"), IsEmpty());
}

TEST_F(UploadTest, ForceWithoutAnActiveSyncIsAStart) {
  EXPECT_EQ(uploads_->active(), std::nullopt);
  const std::string id = Start(true);
  EXPECT_EQ(uploads_->active(), id);
}

TEST_F(UploadTest, AnActiveSyncSurvivesARestart) {  // Z3, case 40
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {Row("a")}));
  Reopen();
  EXPECT_THAT(Ids("users"), IsEmpty());
  EXPECT_THAT(uploads_->Start(), StatusIs(ErrorCode::kSyncActive));
  ASSERT_OK(Put(sync, "users", 2, {Row("b")}));
  ASSERT_OK(uploads_->Finish(sync));
  EXPECT_THAT(Ids("users"), ElementsAre("a", "b"));
}

TEST_F(UploadTest, UnknownSyncsAreNotFound) {
  for (const std::string id : {"", "x", "0123456789abcdef0123456789abcdef"}) {
    EXPECT_THAT(Put(id, "users", 1, {}), StatusIs(ErrorCode::kNotFound));
    EXPECT_THAT(uploads_->Finish(id), StatusIs(ErrorCode::kNotFound));
    EXPECT_THAT(uploads_->Abort(id), StatusIs(ErrorCode::kNotFound));
    EXPECT_THAT(uploads_->Get(id), StatusIs(ErrorCode::kNotFound));
  }
}

// --- Pages ---

TEST_F(UploadTest, APageSentAgainReplacesThatPageAndNoOther) {  // Z5, Z6, case 40
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, Rows("a", 1000)));
  ASSERT_OK(Put(sync, "users", 2, {Row("b")}));
  ASSERT_OK(Put(sync, "groups", 1, {Row("g")}));
  ASSERT_OK(Put(sync, "users", 1, {Row("x"), Row("y"), Row("z")}));
  const auto finished = uploads_->Finish(sync);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinished);
  EXPECT_EQ(finished->entities.at("users").pages, 2U);
  EXPECT_EQ(finished->entities.at("users").counts.created, 4U);
  EXPECT_THAT(Ids("users"), ElementsAre("b", "x", "y", "z"));
  EXPECT_THAT(Ids("groups"), ElementsAre("g"));
}

TEST_F(UploadTest, APageOfEventsSentAgainIsThereOnce) {  // Z5
  const std::string sync = Start();
  const std::vector<std::string> events = {R"({"what":"in"})", R"({"what":"out"})"};
  ASSERT_OK(Put(sync, "activity", 1, events, kIncremental));
  ASSERT_OK(Put(sync, "activity", 1, events, kIncremental));
  const auto finished = uploads_->Finish(sync);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->entities.at("activity").counts.appended, 2U);
  EXPECT_THAT(Ids("activity"), SizeIs(2));
}

TEST_F(UploadTest, AThousandRecordsAPageAndNotOneMore) {  // Z7
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, Rows("a", 999)));
  const auto full = Put(sync, "users", 1, Rows("a", 1000));
  ASSERT_OK(full);
  EXPECT_EQ(full->accepted, 1000U);
  EXPECT_THAT(Put(sync, "users", 1, Rows("b", 1001)), StatusIs(ErrorCode::kTooManyRecords));
  ASSERT_OK(uploads_->Finish(sync));
  EXPECT_THAT(Ids("users"), SizeIs(1000));
  EXPECT_THAT(Ids("users"), Contains("a999"));
}

TEST_F(UploadTest, PageNumbersAreOpaqueKeys) {  // Z4, Z9, B2
  const std::string sync = Start();
  for (const uint32_t page : {7U, 0U, 4'294'967'295U, 1U}) {
    ASSERT_OK(Put(sync, "users", page, {Row("p" + std::to_string(page))}));
  }
  ASSERT_OK(uploads_->Finish(sync));
  EXPECT_THAT(Ids("users"), ElementsAre("p0", "p1", "p4294967295", "p7"));
}

TEST_F(UploadTest, ManyEntitiesFromManyThreadsInOneSync) {  // Z8
  const std::string sync = Start();
  constexpr uint32_t kPages = 5;
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint32_t page = 0; page < kPages; ++page) {
        for (const std::string entity : {"users", "groups", "teams"}) {
          const std::string prefix = std::to_string(thread) + "-" + std::to_string(page) + "-";
          EXPECT_OK(Put(sync, entity, thread * kPages + page, Rows(prefix, 10)));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto finished = uploads_->Finish(sync);
  ASSERT_OK(finished);
  for (const std::string entity : {"users", "groups", "teams"}) {
    EXPECT_EQ(finished->entities.at(entity).pages, 8U * kPages);
    EXPECT_EQ(finished->entities.at(entity).counts.created, 400U);
    EXPECT_THAT(Ids(entity), SizeIs(400));
  }
}

TEST_F(UploadTest, NothingIsVisibleBeforeFinish) {  // Z10, contract 28
  ASSERT_OK(Replace("users", {Row("old")}));
  const SequenceNumber before = store_->last_sequence();
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {Row("new")}));
  ASSERT_OK(Put(sync, "fresh", 1, {Row("new")}));
  EXPECT_THAT(Ids("users"), ElementsAre("old"));
  EXPECT_EQ(store_->last_sequence(), before);
  EXPECT_FALSE(store_->FindEntity("fresh").has_value());
}

TEST_F(UploadTest, TheOtherCallIsTheWrongKind) {  // Z14
  ASSERT_OK(Replace("users", {Row("a")}));
  const std::string sync = Start();
  EXPECT_THAT(Put(sync, "users", 1, {Row("a")}, kIncremental), StatusIs(ErrorCode::kWrongKind));
  ASSERT_OK(Put(sync, "fresh", 1, {Row("a")}, kIncremental));
  EXPECT_THAT(Put(sync, "fresh", 2, {Row("a")}), StatusIs(ErrorCode::kWrongKind));
  ASSERT_OK(uploads_->Finish(sync));
  EXPECT_THAT(Ids("users"), ElementsAre("a"));
  EXPECT_EQ(store_->FindEntity("fresh")->declaration.kind, kIncremental);
}

TEST_F(UploadTest, NamesOfTheEngineAreReserved) {
  EXPECT_THAT(Put(Start(), "_syncStatus", 1, {}), StatusIs(ErrorCode::kReserved));
}

TEST_F(UploadTest, TheHashNamesThePageAsStaged) {
  const std::string sync = Start();
  const auto first = Put(sync, "users", 1, {Row("a")});
  const auto again = Put(sync, "users", 2, {" " + Row("a") + " "});
  const auto other = Put(sync, "users", 3, {Row("b")});
  ASSERT_OK(first);
  ASSERT_OK(again);
  ASSERT_OK(other);
  EXPECT_THAT(first->hash, SizeIs(32));
  EXPECT_EQ(first->hash, again->hash);
  EXPECT_NE(first->hash, other->hash);
}

// --- What a finish does ---

TEST_F(UploadTest, ASnapshotIsReplacedByWhatWasUploaded) {  // Z11
  ASSERT_OK(Replace("users", {Row("a"), Row("b"), Row("c")}));
  const auto finished = Replace("users", {Row("b", "2"), Row("d")});
  ASSERT_OK(finished);
  const ReplaceCounts& counts = finished->entities.at("users").counts;
  EXPECT_EQ(counts.created, 1U);
  EXPECT_EQ(counts.updated, 1U);
  EXPECT_EQ(counts.deleted, 2U);
  EXPECT_EQ(counts.unchanged, 0U);
  EXPECT_THAT(Content("users"), ElementsAre("b=" + Row("b", "2"), "d=" + Row("d")));
}

TEST_F(UploadTest, AnEntityWithoutAPageIsLeftAlone) {  // Z12, B4
  ASSERT_OK(Replace("groups", {Row("g")}));
  ASSERT_OK(Replace("users", {Row("a")}));
  EXPECT_THAT(Ids("groups"), ElementsAre("g"));
}

TEST_F(UploadTest, AnEmptyPageDeclaresTheEntityEmpty) {  // B5, case 41
  ASSERT_OK(Replace("users", {Row("a"), Row("b")}));
  const auto finished = Replace("users", {});
  ASSERT_OK(finished);
  EXPECT_EQ(finished->entities.at("users").counts.deleted, 2U);
  EXPECT_THAT(Ids("users"), IsEmpty());
}

TEST_F(UploadTest, AnEmptyPageOfEventsIsNoChange) {  // B5
  ASSERT_OK(Replace("activity", {R"({"id":"e1"})"}, {}, kIncremental));
  ASSERT_OK(Replace("activity", {}, {}, kIncremental));
  EXPECT_THAT(Ids("activity"), ElementsAre("e1"));
}

TEST_F(UploadTest, AnIdenticalSnapshotIsNoChange) {  // case 41, contract 30
  ASSERT_OK(Replace("users", Rows("a", 500)));
  const auto before = store_->Get("users", "a7");
  ASSERT_OK(before);
  const SequenceNumber sequence = store_->last_sequence();
  const auto finished = Replace("users", Rows("a", 500));
  ASSERT_OK(finished);
  EXPECT_EQ(finished->entities.at("users").counts.unchanged, 500U);
  EXPECT_EQ(store_->last_sequence(), sequence);
  const auto after = store_->Get("users", "a7");
  ASSERT_OK(after);
  EXPECT_EQ((*after)->version, (*before)->version);
  EXPECT_EQ((*after)->birth, (*before)->birth);
}

TEST_F(UploadTest, TenChangesCostTenEntries) {  // contract 30
  ASSERT_OK(Replace("users", Rows("a", 900)));
  const SequenceNumber before = store_->last_sequence();
  std::vector<std::string> rows = Rows("a", 900);
  for (size_t i = 0; i < 10; ++i) rows[i * 7] = Row("a" + std::to_string(i * 7), "2");
  std::reverse(rows.begin(), rows.end());
  const auto finished = Replace("users", std::move(rows));
  ASSERT_OK(finished);
  EXPECT_EQ(finished->entities.at("users").counts.updated, 10U);
  EXPECT_EQ(store_->last_sequence() - before, 10U);
}

TEST_F(UploadTest, EventsAreAppendedInPageAndRowOrder) {  // Z13
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "activity", 2, {Row("e3"), Row("e4")}, kIncremental));
  ASSERT_OK(Put(sync, "activity", 1, {Row("e1"), Row("e2")}, kIncremental));
  ASSERT_OK(uploads_->Finish(sync));
  SequenceNumber last;
  for (const std::string id : {"e1", "e2", "e3", "e4"}) {
    const auto event = store_->Get("activity", id);
    ASSERT_OK(event);
    ASSERT_TRUE(event->has_value()) << id;
    EXPECT_GT((*event)->version, last);
    last = (*event)->version;
  }
  ASSERT_OK(Replace("activity", {Row("e5")}, {}, kIncremental));
  EXPECT_THAT(Ids("activity"), ElementsAre("e1", "e2", "e3", "e4", "e5"));
}

TEST_F(UploadTest, TheSameEventInALaterSyncIsThereOnce) {  // case 43, B8
  ASSERT_OK(Replace("activity", {Row("e1"), Row("e2")}, {}, kIncremental));
  const auto finished = Replace("activity", {Row("e1"), Row("e3")}, {}, kIncremental);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->entities.at("activity").counts.unchanged, 1U);
  EXPECT_EQ(finished->entities.at("activity").counts.appended, 1U);
  EXPECT_THAT(Ids("activity"), ElementsAre("e1", "e2", "e3"));
}

TEST_F(UploadTest, AnEventWithATakenIdIsAFurtherOneWithAWarning) {  // B8
  ASSERT_OK(Replace("activity", {Row("e1")}, {}, kIncremental));
  const auto finished = Replace("activity", {Row("e1", "2")}, {}, kIncremental);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinishedWithWarnings);
  EXPECT_EQ(finished->entities.at("activity").counts.renamed, 1U);
  EXPECT_THAT(finished->warnings, ElementsAre(HasSubstr("activity: 1 events had the id")));
  EXPECT_THAT(Ids("activity"), ElementsAre("e1", ::testing::StartsWith("e1~")));
}

TEST_F(UploadTest, OfOneIdOnTwoPagesTheLastWinsWhateverCameFirst) {  // Z29, B7
  for (const bool reversed : {false, true}) {
    const std::string sync = Start();
    const uint32_t first = reversed ? 3 : 1;
    const uint32_t second = reversed ? 1 : 3;
    ASSERT_OK(Put(sync, "users", first, {Row("a", std::to_string(first))}));
    ASSERT_OK(Put(sync, "users", second, {Row("a", std::to_string(second))}));
    const auto finished = uploads_->Finish(sync);
    ASSERT_OK(finished);
    EXPECT_EQ(finished->state, UploadState::kFinishedWithWarnings);
    EXPECT_EQ(finished->entities.at("users").counts.duplicates, 1U);
    EXPECT_THAT(finished->warnings, ElementsAre(HasSubstr("users: 1 row had an id")));
    EXPECT_THAT(Content("users"), ElementsAre("a=" + Row("a", "3")));
  }
}

TEST_F(UploadTest, IdsComeFromTheDeclaredFields) {
  Declare("members", R"({"id":["group","user"]})");
  Declare("people", R"({"id":"email"})");
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "members", 1, {R"({"user":7,"group":"g"})"}));
  ASSERT_OK(Put(sync, "people", 1, {R"({"email":"a@b"})"}));
  ASSERT_OK(Put(sync, "numbers", 1, {R"({"id":12})"}));
  ASSERT_OK(uploads_->Finish(sync));
  EXPECT_THAT(Ids("members"), ElementsAre(R"(["g",7])"));
  EXPECT_THAT(Ids("people"), ElementsAre("a@b"));
  const auto number = store_->Get("numbers", "12");
  ASSERT_OK(number);
  ASSERT_TRUE(number->has_value());
  EXPECT_EQ((*number)->id_form, IdForm::kInteger);
  EXPECT_EQ((*number)->value_kind, ValueKind::kJson);
}

TEST_F(UploadTest, FinishAgainAnswersTheSame) {  // case 40, contract 28
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {Row("a")}));
  const auto first = uploads_->Finish(sync);
  ASSERT_OK(first);
  const SequenceNumber sequence = store_->last_sequence();
  for (const bool restart : {false, true}) {
    if (restart) Reopen();
    const auto again = uploads_->Finish(sync);
    ASSERT_OK(again);
    EXPECT_EQ(again->state, first->state);
    EXPECT_EQ(again->ended_at_ms, first->ended_at_ms);
    EXPECT_EQ(again->entities.at("users").counts, first->entities.at("users").counts);
  }
  EXPECT_EQ(store_->last_sequence(), sequence);
}

TEST_F(UploadTest, AFinishedSyncIsReadOnly) {  // Z20, case 40
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {Row("a")}));
  ASSERT_OK(uploads_->Finish(sync));
  EXPECT_THAT(Put(sync, "users", 1, {}), StatusIs(ErrorCode::kSyncClosed, HasSubstr("finished")));
  EXPECT_THAT(uploads_->Abort(sync), StatusIs(ErrorCode::kSyncClosed, HasSubstr("finished")));
  FinishOptions changed;
  changed.force_deletes = true;
  EXPECT_THAT(uploads_->Finish(sync, changed), StatusIs(ErrorCode::kSyncClosed));
  FinishOptions dry;
  dry.dry_run = true;
  EXPECT_THAT(uploads_->Finish(sync, dry), StatusIs(ErrorCode::kSyncClosed));
  EXPECT_THAT(Ids("users"), ElementsAre("a"));
  EXPECT_EQ(uploads_->active(), std::nullopt);
}

TEST_F(UploadTest, ManyFinishesAtOnceAgree) {
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, Rows("a", 500)));
  std::atomic<int> outcomes{0};
  uploads_->AddListener([&](const UploadInfo&) { ++outcomes; });
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto finished = uploads_->Finish(sync);
      ASSERT_OK(finished);
      EXPECT_EQ(finished->entities.at("users").counts.created, 500U);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(outcomes, 1);
}

TEST_F(UploadTest, AFinishThatRunsIsSeenAsProcessing) {  // Z22
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, Rows("a", 10)));
  std::vector<UploadState> seen;
  FinishOptions options;
  options.progress = [&](uint64_t, uint64_t) {
    seen.push_back(StateOf(sync));
    EXPECT_THAT(Put(sync, "users", 2, {}), StatusIs(ErrorCode::kSyncClosed));
    EXPECT_THAT(uploads_->Abort(sync), StatusIs(ErrorCode::kSyncClosed));
    EXPECT_THAT(uploads_->Start(), StatusIs(ErrorCode::kSyncActive));
  };
  EXPECT_EQ(StateOf(sync), UploadState::kStarted);
  ASSERT_OK(uploads_->Finish(sync, options));
  ASSERT_FALSE(seen.empty());
  EXPECT_THAT(std::set<UploadState>(seen.begin(), seen.end()),
              ElementsAre(UploadState::kProcessing));
  EXPECT_EQ(StateOf(sync), UploadState::kFinished);
}

TEST_F(UploadTest, ASyncWithoutPagesFinishes) {
  const auto finished = uploads_->Finish(Start());
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinished);
  EXPECT_THAT(finished->entities, IsEmpty());
}

TEST_F(UploadTest, ExpectedPagesAreExact) {  // B2
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {Row("a")}));
  ASSERT_OK(Put(sync, "users", 2, {Row("b")}));
  ASSERT_OK(Put(sync, "users", 2, {Row("b")}));
  FinishOptions options;
  for (const uint64_t pages : {1U, 3U}) {
    options.expected_pages = {{"users", pages}};
    EXPECT_THAT(uploads_->Finish(sync, options),
                StatusIs(ErrorCode::kMissingPages, HasSubstr("users: 2 pages")));
    EXPECT_EQ(StateOf(sync), UploadState::kStarted);
  }
  options.expected_pages = {{"users", 2}, {"groups", 1}};
  EXPECT_THAT(uploads_->Finish(sync, options),
              StatusIs(ErrorCode::kMissingPages, HasSubstr("groups: 0 pages")));
  options.expected_pages = {{"users", 2}, {"groups", 0}};
  EXPECT_OK(uploads_->Finish(sync, options));
}

}  // namespace
}  // namespace tidemark::test
