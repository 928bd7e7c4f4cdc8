// The rows of uploads: read back as written, keys in order, damage and newer versions refused.

#include "replication/internal/upload_rows.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replication/internal/upload_state.h"
#include "tests/support/status_matchers.h"

namespace tidemark::internal {
namespace {

using ::testing::Eq;
using ::testing::Pair;
using ::tidemark::test::IsOkAndHolds;
using ::tidemark::test::StatusIs;

SyncRow FullSync() {
  SyncRow sync;
  sync.id = "0123456789abcdef0123456789abcdef";
  sync.state = UploadState::kFinishedWithWarnings;
  sync.started_at_ms = 1'900'000'000'000;
  sync.ended_at_ms = -1;
  SyncEntity& users = sync.entities["users"];
  users.pages = 3;
  users.accepted = 2'500;
  users.rejected = 4;
  users.dangling = 5;
  users.counts = {1, 2, 3, 4, 5, 6, 7};
  sync.entities["events"].kind = EntityKind::kIncremental;
  sync.warnings = {"one", ""};
  sync.error = "disk_full: no";
  sync.finish_options = std::string("\0\1", 2);
  sync.rejected_listed = 4;
  sync.dangling_chunks = 1;
  return sync;
}

TEST(UploadRowsTest, ValuesAreReadBackAsWritten) {
  EXPECT_THAT(DecodeSync(EncodeSync(FullSync())), IsOkAndHolds(Eq(FullSync())));
  EXPECT_THAT(DecodeSync(EncodeSync({})), IsOkAndHolds(Eq(SyncRow())));
  const PageRow page{10, 3, 2, "abc", 77, true, false};
  EXPECT_THAT(DecodePage(EncodePage(page)), IsOkAndHolds(Eq(page)));
  const KeepRow keep{{"a", "", "c"}, 9};
  EXPECT_THAT(DecodeKeep(EncodeKeep(keep)), IsOkAndHolds(Eq(keep)));
  const NextRow next{1'001, 2};
  EXPECT_THAT(DecodeNext(EncodeNext(next)), IsOkAndHolds(Eq(next)));
  EXPECT_THAT(DecodeOrdinal(EncodeOrdinal(300)), IsOkAndHolds(Eq(300U)));
  EXPECT_THAT(DecodeCleanup(EncodeCleanup(Cleanup::kHistory)), IsOkAndHolds(Eq(Cleanup::kHistory)));
}

TEST(UploadRowsTest, RejectedRowsAreReadBackUpToTheirCount) {
  const std::vector<RejectedRow> rows = {{"users", 4'294'967'295U, 999, "email", "type", "m"},
                                         {"users", 0, 0, "", "malformed_json", ""}};
  const auto both = DecodeRejected(EncodeRejected(rows, 2));
  ASSERT_OK(both);
  ASSERT_EQ(both->size(), 2U);
  EXPECT_EQ((*both)[0].page, 4'294'967'295U);
  EXPECT_EQ((*both)[1].code, "malformed_json");
  const std::string one = EncodeRejected(rows, 1);
  EXPECT_THAT(CountRejected(one), IsOkAndHolds(Eq(1U)));
  EXPECT_THAT(DecodeRejected(one), IsOkAndHolds(::testing::SizeIs(1)));
}

TEST(UploadRowsTest, EveryTruncationIsDamage) {
  const std::string bytes = EncodeSync(FullSync());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(DecodeSync(std::string_view(bytes).substr(0, size)),
                StatusIs(ErrorCode::kCorruption))
        << size;
  }
  EXPECT_THAT(DecodeSync(bytes + "x"), StatusIs(ErrorCode::kCorruption));
}

TEST(UploadRowsTest, LaterVersionsAreRefused) {
  std::string bytes = EncodeSync(FullSync());
  bytes[0] = 2;
  EXPECT_THAT(DecodeSync(bytes), StatusIs(ErrorCode::kNewerFormat));
}

TEST(UploadRowsTest, PageKeysSortByEntityThenPage) {
  const auto key = [](std::string_view entity, uint32_t page) {
    return PageKey(PageFamily::kPage, 7, entity, page);
  };
  EXPECT_LT(key("users", 2), key("users", 10));
  EXPECT_LT(key("users", 255), key("users", 256));
  EXPECT_LT(key("user", 4'294'967'295U), key("users", 0));
  EXPECT_LT(key("users", 4'294'967'295U), PageKey(PageFamily::kPage, 8, "a", 0));
  EXPECT_THAT(EntityAndPageOfKey(key("users", 256)), IsOkAndHolds(Pair("users", 256U)));
  EXPECT_THAT(OrdinalOfCleanupKey(CleanupKey(300)), IsOkAndHolds(Eq(300U)));
}

TEST(UploadRowsTest, AnEntityIsNoPrefixOfAnother) {
  const std::string other = PageKey(PageFamily::kKeep, 1, "users", 1);
  EXPECT_FALSE(other.starts_with(PagePrefix(PageFamily::kKeep, 1, "user")));
}

TEST(UploadRowsTest, FinishesWithOtherOptionsAreOtherCalls) {
  FinishOptions plain;
  FinishOptions pages;
  pages.expected_pages["users"] = 1;
  FinishOptions forced;
  forced.force_deletes = true;
  FinishOptions guarded;
  guarded.delete_share_max = 0;
  EXPECT_EQ(FingerprintOf(plain), FingerprintOf(FinishOptions()));
  EXPECT_NE(FingerprintOf(plain), FingerprintOf(pages));
  EXPECT_NE(FingerprintOf(plain), FingerprintOf(forced));
  EXPECT_NE(FingerprintOf(plain), FingerprintOf(guarded));
}

PageRow Page(uint64_t accepted, uint64_t rejected) {
  PageRow page;
  page.accepted = accepted;
  page.rejected = rejected;
  return page;
}

TEST(UploadStateTest, APageSentAgainReplacesItsCounts) {
  SyncRow sync;
  PageRow first = Page(900, 100);
  ReplacePage(&sync, "users", EntityKind::kSnapshot, std::nullopt, &first);
  PageRow second = Page(3, 0);
  ReplacePage(&sync, "users", EntityKind::kSnapshot, first, &second);
  const SyncEntity& users = sync.entities.at("users");
  EXPECT_EQ(users.pages, 1U);
  EXPECT_EQ(users.accepted, 3U);
  EXPECT_EQ(users.rejected, 0U);
  EXPECT_EQ(sync.rejected_listed, 0U);
}

TEST(UploadStateTest, RejectedRowsAreListedUpToTheirLimit) {
  SyncRow sync;
  for (uint32_t i = 0; i < 100; ++i) {
    PageRow page = Page(0, 1000);
    ReplacePage(&sync, "users", EntityKind::kSnapshot, std::nullopt, &page);
    EXPECT_EQ(page.rejected_listed, 1000U);
  }
  EXPECT_EQ(sync.rejected_listed, kRejectedRowsMax);
  PageRow over = Page(0, 1000);
  ReplacePage(&sync, "users", EntityKind::kSnapshot, std::nullopt, &over);
  EXPECT_EQ(over.rejected_listed, 0U);
  EXPECT_EQ(sync.entities.at("users").rejected, 101'000U);
}

TEST(UploadStateTest, ARefusedPageKeepsWhatItHeldAndHoldsUpTheFinish) {
  SyncRow sync;
  PageRow good = Page(10, 0);
  ReplacePage(&sync, "users", EntityKind::kSnapshot, std::nullopt, &good);
  PageRow bad = Page(9, 1);
  RefusePage(&sync, "users", EntityKind::kSnapshot, good, &bad);
  EXPECT_TRUE(bad.staged);
  EXPECT_EQ(bad.accepted, 10U);
  EXPECT_EQ(sync.entities.at("users").pages, 1U);
  EXPECT_THAT(BeginFinish(&sync, {}), StatusIs(ErrorCode::kStrictRejected));
  PageRow repaired = Page(10, 0);
  ReplacePage(&sync, "users", EntityKind::kSnapshot, bad, &repaired);
  EXPECT_OK(BeginFinish(&sync, {}));
  EXPECT_EQ(sync.state, UploadState::kProcessing);
}

TEST(UploadStateTest, EntitiesOfAKindAreBounded) {
  SyncRow sync;
  for (size_t i = 0; i < kEntitiesOfAKindMax; ++i) sync.entities["e" + std::to_string(i)] = {};
  EXPECT_OK(CheckPageEntity(sync, "e0", EntityKind::kSnapshot));
  EXPECT_THAT(CheckPageEntity(sync, "e0", EntityKind::kIncremental),
              StatusIs(ErrorCode::kWrongKind));
  EXPECT_THAT(CheckPageEntity(sync, "more", EntityKind::kSnapshot), StatusIs(ErrorCode::kTooLarge));
  EXPECT_OK(CheckPageEntity(sync, "more", EntityKind::kIncremental));
}

TEST(UploadStateTest, OnlyStartedAndFailedSyncsAreOpen) {
  SyncRow sync;
  for (const UploadState state : {UploadState::kStarted, UploadState::kFailed}) {
    sync.state = state;
    EXPECT_OK(CheckOpen(sync));
  }
  for (const UploadState state : {UploadState::kProcessing,
                                  UploadState::kFinished,
                                  UploadState::kFinishedWithWarnings,
                                  UploadState::kAborted,
                                  UploadState::kSuperseded}) {
    sync.state = state;
    EXPECT_THAT(CheckOpen(sync),
                StatusIs(ErrorCode::kSyncClosed,
                         ::testing::HasSubstr(std::string(UploadStateName(state)))));
  }
}

}  // namespace
}  // namespace tidemark::internal
