// Upload syncs over a store: contract 26 to 33, cases 39 to 41 and 43, rules Z1 to Z29.

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
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::tidemark::test::StatusIs;

constexpr EntityKind kSnapshot = EntityKind::kSnapshot;
constexpr EntityKind kIncremental = EntityKind::kIncremental;

std::string Row(std::string_view id, std::string_view value = "1") {
  return R"({"id":")" + std::string(id) + R"(","value":)" + std::string(value) + "}";
}

// Ids `prefix`0 to `prefix`(count - 1).
std::vector<std::string> Rows(const std::string& prefix,
                              size_t count,
                              std::string_view value = "1") {
  std::vector<std::string> rows;
  for (size_t i = 0; i < count; ++i) rows.push_back(Row(prefix + std::to_string(i), value));
  return rows;
}

class UploadTest : public ::testing::Test {
 protected:
  UploadTest() { Reopen(); }

  // Closes and opens the store again, as a restart does.
  void Reopen() {
    uploads_.reset();
    store_.reset();
    StoreOptions options;
    options.durability = Durability::kOrder;
    auto store = Store::Open(directory_.path(), options);
    ASSERT_OK(store);
    store_ = std::move(store).value();
    auto uploads = Uploads::Open(*store_);
    ASSERT_OK(uploads);
    uploads_ = std::move(uploads).value();
  }

  std::string Start(bool force = false) {
    const auto id = uploads_->Start(force);
    EXPECT_OK(id);
    return id.ok() ? *id : std::string();
  }

  Result<UploadPageResult> Put(const std::string& sync,
                               const std::string& entity,
                               uint32_t page,
                               std::vector<std::string> records,
                               EntityKind kind = kSnapshot) {
    UploadPage upload;
    upload.entity = entity;
    upload.page = page;
    upload.kind = kind;
    upload.records = std::move(records);
    return uploads_->PutPage(sync, upload);
  }

  // One whole sync of one page.
  Result<UploadInfo> Replace(const std::string& entity,
                             std::vector<std::string> records,
                             const FinishOptions& options = {},
                             EntityKind kind = kSnapshot) {
    const std::string sync = Start();
    EXPECT_OK(Put(sync, entity, 1, std::move(records), kind));
    auto finished = uploads_->Finish(sync, options);
    if (!finished.ok()) {
      EXPECT_OK(uploads_->Abort(sync));
    }
    return finished;
  }

  // "id=value" of every record, by id.
  std::vector<std::string> Content(const std::string& entity) const {
    std::vector<std::string> content;
    auto records = store_->GetView().Scan(entity);
    while (records.Next()) content.push_back(records.id() + "=" + records.value());
    EXPECT_OK(records.status());
    return content;
  }

  std::vector<std::string> Ids(const std::string& entity) const {
    std::vector<std::string> ids;
    auto records = store_->GetView().Scan(entity);
    while (records.Next()) ids.push_back(records.id());
    EXPECT_OK(records.status());
    return ids;
  }

  void Declare(const std::string& entity, std::string_view json) {
    const auto declaration = DeclarationFromJson(json);
    ASSERT_OK(declaration);
    ASSERT_OK(store_->Declare(entity, *declaration));
  }

  void DeclareBuiltIn() {
    for (const auto& [name, declaration] : BuiltInDeclarations()) {
      ASSERT_OK(store_->Declare(name, declaration));
    }
  }

  UploadState StateOf(const std::string& sync) const {
    const auto info = uploads_->Get(sync);
    EXPECT_OK(info);
    return info.ok() ? info->state : UploadState::kFailed;
  }

  test::TempDirectory directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Uploads> uploads_;
};

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
  uploads_->AddListener([&](const UploadInfo& info) {
    heard.emplace_back(info.id, info.state);
    EXPECT_EQ(StateOf(info.id), info.state);
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
}

}  // namespace
}  // namespace tidemark
