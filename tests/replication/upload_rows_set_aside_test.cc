// Upload syncs over a store: bad rows, references, guards, abort and history (contract 31 to 33).

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
#include "replication/upload.h"
#include "tests/replication/upload_fixture.h"
#include "tests/support/status_matchers.h"

namespace tidemark::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// --- Bad rows ---

TEST_F(UploadTest, ABadRowIsNamedByEntityPageRowAndField) {  // Z15
  DeclareBuiltIn();
  const std::string sync = Start();
  std::vector<std::string> rows;
  for (int i = 0; i < 30; ++i) {
    rows.push_back(R"({"id":"u)" + std::to_string(i) + R"(","email":"a@b"})");
  }
  rows[23] = R"({"id":"u23"})";
  const auto put = Put(sync, "users", 4, rows);
  ASSERT_OK(put);
  EXPECT_EQ(put->accepted, 29U);
  ASSERT_THAT(put->rejected, SizeIs(1));
  EXPECT_EQ(put->rejected[0].entity, "users");
  EXPECT_EQ(put->rejected[0].page, 4U);
  EXPECT_EQ(put->rejected[0].row, 23U);
  EXPECT_EQ(put->rejected[0].field, "email");
  EXPECT_EQ(put->rejected[0].code, "required");
  const auto listed = uploads_->Rejected(sync, 0, 10);
  ASSERT_OK(listed);
  ASSERT_THAT(*listed, SizeIs(1));
  EXPECT_EQ((*listed)[0].row, 23U);
  const auto finished = uploads_->Finish(sync);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinishedWithWarnings);
  EXPECT_EQ(finished->entities.at("users").rejected, 1U);
  EXPECT_THAT(Ids("users"), SizeIs(29));
}

TEST_F(UploadTest, ARepairedPageForgetsItsBadRows) {  // Z16
  DeclareBuiltIn();
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {R"({"id":"a"})"}));
  ASSERT_OK(Put(sync, "users", 1, {R"({"id":"a","email":"a@b"})"}));
  const auto listed = uploads_->Rejected(sync, 0, 10);
  ASSERT_OK(listed);
  EXPECT_THAT(*listed, IsEmpty());
  const auto finished = uploads_->Finish(sync);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinished);
}

TEST_F(UploadTest, ARowSetAsideStaysAsItWas) {  // contract 32
  ASSERT_OK(Replace("users", {Row("a"), Row("b"), Row("c")}));
  Declare("users", R"({"fields":[{"name":"value","type":"integer"}]})");
  const auto finished = Replace("users", {Row("a", "2"), Row("b", "\"two\"")});
  ASSERT_OK(finished);
  EXPECT_EQ(finished->entities.at("users").counts.deleted, 1U);
  EXPECT_THAT(Content("users"), ElementsAre("a=" + Row("a", "2"), "b=" + Row("b")));
}

TEST_F(UploadTest, ARowWithoutAReadableIdDeletesNothing) {  // contract 32
  ASSERT_OK(Replace("users", {Row("a"), Row("b")}));
  const auto finished = Replace("users", {Row("a", "2"), "nonsense"});
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinishedWithWarnings);
  EXPECT_THAT(finished->warnings, Contains(HasSubstr("nothing is deleted")));
  EXPECT_EQ(finished->entities.at("users").counts.deleted, 0U);
  EXPECT_THAT(Ids("users"), ElementsAre("a", "b"));

  FinishOptions forced;
  forced.force_deletes = true;
  const auto again = Replace("users", {Row("a", "2"), "nonsense"}, forced);
  ASSERT_OK(again);
  EXPECT_THAT(again->warnings, Contains(HasSubstr("deletions were forced")));
  EXPECT_THAT(Ids("users"), ElementsAre("a"));
}

TEST_F(UploadTest, AStrictEntityRefusesThePageAndTheFinish) {  // Z17
  Declare("users", R"({"strict":true,"fields":[{"name":"email","required":true}]})");
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {R"({"id":"a","email":"x"})"}));
  EXPECT_THAT(Put(sync, "users", 1, {R"({"id":"b","email":"x"})", R"({"id":"c"})"}),
              StatusIs(ErrorCode::kStrictRejected, HasSubstr("users, page 1, row 1, email")));
  EXPECT_THAT(uploads_->Finish(sync), StatusIs(ErrorCode::kStrictRejected));
  EXPECT_EQ(StateOf(sync), UploadState::kStarted);
  const auto listed = uploads_->Rejected(sync, 0, 10);
  ASSERT_OK(listed);
  EXPECT_THAT(*listed, SizeIs(1));
  ASSERT_OK(Put(sync, "users", 1, {R"({"id":"c","email":"x"})"}));
  ASSERT_OK(uploads_->Finish(sync));
  EXPECT_THAT(Ids("users"), ElementsAre("c"));
}

TEST_F(UploadTest, RejectedRowsArePaged) {  // Z26
  const std::string sync = Start();
  for (const uint32_t page : {2U, 1U}) {
    ASSERT_OK(Put(sync, "users", page, std::vector<std::string>(5, "bad")));
  }
  std::vector<std::pair<uint32_t, uint32_t>> places;
  for (size_t offset = 0; offset < 12; offset += 3) {
    const auto rows = uploads_->Rejected(sync, offset, 3);
    ASSERT_OK(rows);
    for (const RejectedRow& row : *rows) places.emplace_back(row.page, row.row);
  }
  std::vector<std::pair<uint32_t, uint32_t>> expected;
  for (const uint32_t page : {1U, 2U}) {
    for (uint32_t row = 0; row < 5; ++row) expected.emplace_back(page, row);
  }
  EXPECT_EQ(places, expected);
}

// --- References ---

class UploadReferenceTest : public UploadTest {
 protected:
  UploadReferenceTest() {
    Declare("members", R"({"references":[{"field":"user","entity":"users"}]})");
  }

  static std::string Member(int id, std::string_view user) {
    return R"({"id":)" + std::to_string(id) + R"(,"user":")" + std::string(user) + "\"}";
  }

  // `dangling` of 100 members refer to nobody.
  std::vector<std::string> Members(int dangling) {
    std::vector<std::string> members;
    for (int i = 0; i < 100; ++i) members.push_back(Member(i, i < dangling ? "nobody" : "u1"));
    return members;
  }
};

TEST_F(UploadReferenceTest, ParentsMayComeInTheSameSyncInAnyOrder) {  // Z18
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "members", 1, {Member(1, "u1")}));
  ASSERT_OK(Put(sync, "users", 9, {Row("u1")}));
  const auto finished = uploads_->Finish(sync);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinished);
}

TEST_F(UploadReferenceTest, ParentsMayBeInTheStore) {  // B6
  ASSERT_OK(Replace("users", {Row("u1")}));
  const auto finished = Replace("members", {Member(1, "u1")});
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinished);
}

TEST_F(UploadReferenceTest, AParentThatTheSameFinishDeletesIsNone) {
  ASSERT_OK(Replace("users", {Row("u1"), Row("u2")}));
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {Row("u1")}));
  ASSERT_OK(Put(sync, "members", 1, {Member(1, "u1"), Member(2, "u2")}));
  const auto finished = uploads_->Finish(sync);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->entities.at("members").rejected, 1U);
  EXPECT_THAT(Ids("members"), ElementsAre("1"));
}

TEST_F(UploadReferenceTest, UpToTheShareDanglingRowsAreSetAside) {  // Z19
  ASSERT_OK(Replace("users", {Row("u1")}));
  for (const int dangling : {74, 75}) {
    const auto finished = Replace("members", Members(dangling));
    ASSERT_OK(finished) << dangling;
    EXPECT_EQ(finished->state, UploadState::kFinishedWithWarnings);
    EXPECT_EQ(finished->entities.at("members").rejected, static_cast<uint64_t>(dangling));
  }
  EXPECT_THAT(Ids("members"), SizeIs(26));  // what was set aside stays as it was
}

TEST_F(UploadReferenceTest, AboveTheShareTheFinishIsRefused) {  // Z19
  ASSERT_OK(Replace("users", {Row("u1")}));
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "members", 1, Members(76)));
  EXPECT_THAT(uploads_->Finish(sync),
              StatusIs(ErrorCode::kDanglingReferences, HasSubstr("members: 76 of 100")));
  EXPECT_EQ(StateOf(sync), UploadState::kStarted);
  EXPECT_THAT(Ids("members"), IsEmpty());
  const auto listed = uploads_->Rejected(sync, 0, 1000);
  ASSERT_OK(listed);
  ASSERT_THAT(*listed, SizeIs(76));
  EXPECT_EQ((*listed)[75].row, 75U);
  EXPECT_EQ((*listed)[0].field, "user");
  EXPECT_EQ((*listed)[0].code, "reference");
  ASSERT_OK(Put(sync, "members", 1, Members(0)));
  const auto finished = uploads_->Finish(sync);
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinished);
  EXPECT_THAT(Ids("members"), SizeIs(100));
}

TEST_F(UploadReferenceTest, ADanglingRowOfASnapshotStaysAsItWas) {
  ASSERT_OK(Replace("users", {Row("u1"), Row("u2")}));
  ASSERT_OK(Replace("members", {Member(1, "u1"), Member(2, "u2")}));
  ASSERT_OK(Replace("members", {Member(1, "u1"), Member(2, "nobody")}));
  EXPECT_THAT(Content("members"), ElementsAre("1=" + Member(1, "u1"), "2=" + Member(2, "u2")));
}

TEST_F(UploadReferenceTest, OffChecksNothing) {
  Declare("members",
          R"({"references":[{"field":"user","entity":"users"}],"reference_policy":"off"})");
  const auto finished = Replace("members", Members(100));
  ASSERT_OK(finished);
  EXPECT_EQ(finished->state, UploadState::kFinished);
  EXPECT_THAT(Ids("members"), SizeIs(100));
}

TEST_F(UploadReferenceTest, StrictDemandsTheSessionAndRefusesTheFinish) {  // B6
  Declare("members",
          R"({"references":[{"field":"user","entity":"users"}],"reference_policy":"strict"})");
  ASSERT_OK(Replace("users", {Row("u1")}));
  EXPECT_THAT(Replace("members", {Member(1, "u1")}), StatusIs(ErrorCode::kStrictRejected));
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {Row("u1")}));
  ASSERT_OK(Put(sync, "members", 1, {Member(1, "u1")}));
  EXPECT_OK(uploads_->Finish(sync));
}

TEST_F(UploadReferenceTest, AParentThatIsSetAsideIsNone) {
  Declare("users", R"({"references":[{"field":"team","entity":"teams"}]})");
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "teams", 1, {Row("t1")}));
  ASSERT_OK(Put(sync, "users", 1, {R"({"id":"u1","team":"t1"})", R"({"id":"u2","team":"none"})"}));
  ASSERT_OK(Put(sync, "members", 1, {Member(1, "u1"), Member(2, "u2")}));
  ASSERT_OK(uploads_->Finish(sync));
  EXPECT_THAT(Ids("users"), ElementsAre("u1"));
  EXPECT_THAT(Ids("members"), ElementsAre("1"));
}

TEST_F(UploadReferenceTest, AnEntityMayReferToItself) {
  Declare("staff", R"({"references":[{"field":"boss","entity":"staff"}]})");
  const auto finished = Replace(
      "staff", {R"({"id":"b","boss":"a"})", R"({"id":"a"})", R"({"id":"c","boss":"none"})"});
  ASSERT_OK(finished);
  EXPECT_THAT(Ids("staff"), ElementsAre("a", "b"));
}

// --- Delete guard and dry run ---

TEST_F(UploadTest, TheDeleteGuardAppliesFromAHundredDeletionsUp) {  // contract 31
  FinishOptions guarded;
  guarded.delete_share_max = 0.1;
  ASSERT_OK(Replace("users", Rows("a", 200)));
  EXPECT_THAT(Replace("users", Rows("a", 100), guarded), StatusIs(ErrorCode::kDeleteGuard));
  EXPECT_THAT(Ids("users"), SizeIs(200));
  EXPECT_OK(Replace("users", Rows("a", 101), guarded));
  EXPECT_THAT(Ids("users"), SizeIs(101));
}

TEST_F(UploadTest, TheDeleteGuardRefusesOnlyAboveItsShare) {
  FinishOptions guarded;
  guarded.delete_share_max = 0.5;
  ASSERT_OK(Replace("users", Rows("a", 400)));
  EXPECT_THAT(Replace("users", Rows("a", 199), guarded), StatusIs(ErrorCode::kDeleteGuard));
  EXPECT_OK(Replace("users", Rows("a", 200), guarded));
}

TEST_F(UploadTest, TheDeleteGuardOfTheDeclarationGivesWayToTheCall) {
  Declare("users", R"({"delete_share_max":0.1})");
  ASSERT_OK(Replace("users", Rows("a", 200)));
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {}));
  EXPECT_THAT(uploads_->Finish(sync), StatusIs(ErrorCode::kDeleteGuard));
  EXPECT_EQ(StateOf(sync), UploadState::kStarted);
  FinishOptions all;
  all.delete_share_max = 1;
  EXPECT_OK(uploads_->Finish(sync, all));
  EXPECT_THAT(Ids("users"), IsEmpty());
}

TEST_F(UploadTest, ADryRunTellsWhatTheFinishThenDoes) {  // contract 31
  ASSERT_OK(Replace("users", Rows("a", 20)));
  const std::string sync = Start();
  std::vector<std::string> rows = Rows("a", 10, "2");
  rows.push_back(Row("a15"));
  rows.push_back(Row("new"));
  ASSERT_OK(Put(sync, "users", 1, rows));
  ASSERT_OK(Put(sync, "activity", 1, {Row("e1"), R"({"x":1})"}, kIncremental));
  ASSERT_OK(Put(sync, "fresh", 1, {Row("f1"), Row("f2")}));
  const SequenceNumber sequence = store_->last_sequence();
  FinishOptions dry;
  dry.dry_run = true;
  const auto told = uploads_->Finish(sync, dry);
  ASSERT_OK(told);
  EXPECT_EQ(told->state, UploadState::kStarted);
  EXPECT_EQ(store_->last_sequence(), sequence);
  EXPECT_FALSE(store_->FindEntity("fresh").has_value());
  const auto done = uploads_->Finish(sync);
  ASSERT_OK(done);
  for (const std::string entity : {"users", "activity", "fresh"}) {
    EXPECT_EQ(told->entities.at(entity).counts, done->entities.at(entity).counts) << entity;
  }
  EXPECT_EQ(done->entities.at("users").counts.updated, 10U);
  EXPECT_EQ(done->entities.at("users").counts.deleted, 9U);
  EXPECT_EQ(done->entities.at("activity").counts.appended, 2U);
}

// --- Abort ---

TEST_F(UploadTest, AnAbortedSyncIsGoneForGood) {  // Z23
  ASSERT_OK(Replace("users", {Row("old")}));
  const std::string sync = Start();
  ASSERT_OK(Put(sync, "users", 1, {Row("new")}));
  ASSERT_OK(uploads_->Abort(sync));
  EXPECT_EQ(StateOf(sync), UploadState::kAborted);
  EXPECT_THAT(Put(sync, "users", 1, {}), StatusIs(ErrorCode::kSyncClosed, HasSubstr("aborted")));
  EXPECT_THAT(uploads_->Finish(sync), StatusIs(ErrorCode::kSyncClosed));
  EXPECT_THAT(uploads_->Abort(sync), StatusIs(ErrorCode::kSyncClosed));
  EXPECT_THAT(Ids("users"), ElementsAre("old"));
  ASSERT_OK(uploads_->Finish(Start()));
  EXPECT_THAT(Ids("users"), ElementsAre("old"));
}

TEST_F(UploadTest, OfAFinishAndAnAbortAtOnceExactlyOneWins) {
  for (int round = 0; round < 5; ++round) {
    const std::string sync = Start();
    ASSERT_OK(Put(sync, "users", 1, Rows("r" + std::to_string(round) + "-", 50)));
    bool finished = false;
    bool aborted = false;
    std::thread finisher([&] { finished = uploads_->Finish(sync).ok(); });
    std::thread aborter([&] { aborted = uploads_->Abort(sync).ok(); });
    finisher.join();
    aborter.join();
    EXPECT_NE(finished, aborted);
    EXPECT_EQ(StateOf(sync), finished ? UploadState::kFinished : UploadState::kAborted);
    EXPECT_EQ(uploads_->active(), std::nullopt);
  }
}

// --- History ---

TEST_F(UploadTest, TheHistoryListsSyncsNewestFirst) {  // Z24
  const std::string first = Start();
  ASSERT_OK(uploads_->Abort(first));
  const std::string second = Start();
  ASSERT_OK(Put(second, "users", 1, {Row("a")}));
  ASSERT_OK(uploads_->Finish(second));
  const std::string third = Start();
  Reopen();
  const std::vector<UploadInfo> syncs = uploads_->List();
  ASSERT_THAT(syncs, SizeIs(3));
  EXPECT_EQ(syncs[0].id, third);
  EXPECT_EQ(syncs[0].state, UploadState::kStarted);
  EXPECT_EQ(syncs[1].id, second);
  EXPECT_EQ(syncs[1].state, UploadState::kFinished);
  EXPECT_EQ(syncs[1].entities.at("users").counts.created, 1U);
  EXPECT_GE(syncs[1].ended_at_ms, syncs[1].started_at_ms);
  EXPECT_EQ(syncs[2].state, UploadState::kAborted);
  EXPECT_THAT(uploads_->List(1), SizeIs(1));
}

TEST_F(UploadTest, PagesAreListedOnceEach) {  // Z24
  const std::string sync = Start();
  for (uint32_t page = 0; page < 30; ++page) {
    ASSERT_OK(Put(sync, "users", 29 - page, {Row("a"), "bad"}));
  }
  ASSERT_OK(Put(sync, "groups", 1, {}));
  ASSERT_OK(uploads_->Finish(sync));
  std::vector<std::pair<std::string, uint32_t>> seen;
  for (size_t offset = 0; offset < 40; offset += 7) {
    const auto pages = uploads_->Pages(sync, offset, 7);
    ASSERT_OK(pages);
    for (const UploadPageInfo& page : *pages) {
      seen.emplace_back(page.entity, page.page);
      EXPECT_THAT(page.hash, SizeIs(32));
      if (page.entity == "users") {
        EXPECT_EQ(page.accepted, 1U);
        EXPECT_EQ(page.rejected, 1U);
      }
    }
  }
  std::vector<std::pair<std::string, uint32_t>> expected = {{"groups", 1}};
  for (uint32_t page = 0; page < 30; ++page) expected.emplace_back("users", page);
  EXPECT_EQ(seen, expected);
}

TEST_F(UploadTest, TheHistoryIsBounded) {
  const std::string first = Start();
  ASSERT_OK(Put(first, "users", 1, {Row("a"), "bad"}));
  ASSERT_OK(uploads_->Finish(first));
  std::string second;
  for (int i = 0; i < 999; ++i) {
    const std::string id = Start();
    if (i == 0) second = id;
    ASSERT_OK(uploads_->Abort(id));
  }
  EXPECT_THAT(uploads_->List(2000), SizeIs(1000));
  EXPECT_OK(uploads_->Get(first));
  Start();
  EXPECT_THAT(uploads_->List(2000), SizeIs(1000));
  EXPECT_THAT(uploads_->Get(first), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(uploads_->Pages(first, 0, 1), StatusIs(ErrorCode::kNotFound));
  EXPECT_OK(uploads_->Get(second));
  EXPECT_THAT(Ids("users"), ElementsAre("a"));
}

TEST_F(UploadTest, ListenersHearEveryOutcomeOnce) {  // contract 33
  std::vector<std::pair<std::string, UploadState>> heard;
  std::vector<std::string> started;
  uploads_->AddListener([&](const UploadInfo& info) {
    EXPECT_EQ(StateOf(info.id), info.state);
    if (info.state != UploadState::kStarted) {
      heard.emplace_back(info.id, info.state);
    } else {
      started.push_back(info.id);
    }
  });
  const std::string aborted = Start();
  ASSERT_OK(uploads_->Abort(aborted));
  const std::string superseded = Start();
  const std::string finished = Start(true);
  FinishOptions incomplete;
  incomplete.expected_pages["users"] = 1;
  EXPECT_THAT(uploads_->Finish(finished, incomplete), StatusIs(ErrorCode::kMissingPages));
  ASSERT_OK(uploads_->Finish(finished));
  ASSERT_OK(uploads_->Finish(finished));
  const std::string warned = Start();
  ASSERT_OK(Put(warned, "users", 1, {"bad"}));
  ASSERT_OK(uploads_->Finish(warned));
  EXPECT_THAT(heard,
              ElementsAre(std::pair(aborted, UploadState::kAborted),
                          std::pair(superseded, UploadState::kSuperseded),
                          std::pair(finished, UploadState::kFinished),
                          std::pair(warned, UploadState::kFinishedWithWarnings)));
  // Starts are heard once, and each page again.
  EXPECT_THAT(started, ElementsAre(aborted, superseded, finished, warned, warned));
}

}  // namespace
}  // namespace tidemark::test
