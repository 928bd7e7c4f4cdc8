// The cases of the catalogue that are the store's, what a stage answers, and finishes that fail
// before they are visible.
#include "db/replacement.h"

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/internal/sorted_file.h"
#include "tests/db/replacement_fixture.h"

namespace tidemark {
namespace {

using test::FamiliesInUse;
using test::FamiliesOnDisk;
using test::Log;
using test::Numbered;
using test::Pages;
using test::ReadAll;
using test::ReplacementTest;
using test::Row;
using test::ScanAll;
using test::ScanResult;
using test::Staged;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// --- Named cases ---

TEST_F(ReplacementTest, IdenticalSnapshotChangesNothing) {  // case 41
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 1500, "a")));
  const uint64_t generation = Generation("users");
  const SequenceNumber before = store_->last_sequence();
  const auto counts = Replace("users", Numbered(0, 1500, "a"));
  ASSERT_OK(counts);
  EXPECT_EQ(*counts, ReplaceCounts{.unchanged = 1500});
  EXPECT_EQ(store_->last_sequence(), before);
  EXPECT_EQ(Generation("users"), generation);
}

TEST_F(ReplacementTest, AnEmptyPageDeletesEverythingAndNoPageNothing) {  // case 41
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 300, "a")));
  const auto untouched = Replace("users", {});
  ASSERT_OK(untouched);
  EXPECT_EQ(*untouched, ReplaceCounts{.unchanged = 300});
  Expose();
  const auto emptied = Replace("users", {{7, {}}});
  ASSERT_OK(emptied);
  EXPECT_EQ(*emptied, ReplaceCounts{.deleted = 300});
  EXPECT_EQ(store_->FindEntity("users")->record_count, 0U);
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 300U);
  Reopen();
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 300U);
  EXPECT_THAT(ScanAll(store_->GetView(), "users"), IsEmpty());
}

TEST_F(ReplacementTest, AnIndexIsWrittenInFilesOfBoundedSize) {
  constexpr int kRows = static_cast<int>(internal::kIndexFileRows);
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, kRows + 1, "a")));  // the last row begins a second file
  ASSERT_OK(Replace("users", Numbered(1, kRows + 2, "a")));
  ASSERT_OK(
      store_->Close());  // ends the fold that so many rows ask for, which writes files as well
  EXPECT_TRUE(std::filesystem::is_empty(path() / "tmp"));
  Reopen();
  EXPECT_EQ(store_->FindEntity("users")->record_count, static_cast<uint64_t>(kRows) + 1);
  EXPECT_FALSE((*store_->Get("users", RecordId("id000000"))).has_value());
  EXPECT_TRUE((*store_->Get("users", RecordId("id000001"))).has_value());
  EXPECT_TRUE((*store_->Get("users", RecordId("id" + std::to_string(kRows - 1)))).has_value());
  EXPECT_TRUE((*store_->Get("users", RecordId("id" + std::to_string(kRows)))).has_value());
  EXPECT_TRUE((*store_->Get("users", RecordId("id" + std::to_string(kRows + 1)))).has_value());
}

TEST_F(ReplacementTest, DeletionsThatNobodySawLeaveNothing) {
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 300, "a")));
  ASSERT_OK(store_->Empty("users"));
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 0U);
  EXPECT_THAT(ReadAll(*store_), IsEmpty());
}

TEST_F(ReplacementTest, ReadersKeepWhatTheyBeganWith) {  // cases 39 and 52
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 1000, "old")));
  const auto cut = store_->PinCut();
  ASSERT_OK(cut);
  const Log log_before = ReadAll(*store_, *cut);
  const ScanResult before = ScanAll(store_->GetView(), "users");
  const View view = store_->GetView();
  RecordIterator records = view.Scan("users");
  LogCursor cursor = store_->ReadLog(*cut, {{.entity = store_->FindEntity("users")->number}});
  ScanResult scanned;
  size_t read = 0;
  const auto step = [&](size_t count) {
    for (; count > 0 && records.Next(); --count) {
      scanned.emplace_back(records.id(), records.value());
      ASSERT_TRUE(cursor.Next());
      EXPECT_EQ(cursor.entry().value, "old");
      ++read;
    }
  };
  step(300);
  ASSERT_OK(Replace("users", Numbered(500, 1700, "new")));
  step(300);
  ASSERT_OK(store_->Compact());  // and another one, over generations that are gone
  ASSERT_OK(Replace("users", Numbered(1600, 1800, "newest")));
  ASSERT_OK(store_->Compact());
  step(1000);
  EXPECT_OK(records.status());
  EXPECT_EQ(scanned, before);
  EXPECT_EQ(read, 1000U);
  EXPECT_EQ(ReadAll(*store_, *cut), log_before);
  // What begins to read an old view now reads a family that was dropped.
  EXPECT_EQ(ScanAll(view, "users"), before);
  const auto record = view.Get("users", "id000007");
  ASSERT_OK(record);
  EXPECT_EQ((*record)->value, "old");
  EXPECT_EQ(ScanAll(store_->GetView(), "users").size(), 200U);
}

TEST_F(ReplacementTest, PagesReplaceEachOther) {  // case 40
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Put("users", "a", "1"));
  {
    Stage stage(*store_, 5);
    PutPages(stage, "users", {{3, {{"a", "2"}, {"b", "2"}, {"c", "2"}}}, {0, {{"d", "2"}}}});
    PutPages(stage, "users", {{3, {{"b", "3"}}}});
    EXPECT_EQ(Value("users", "a"), "1");
    EXPECT_EQ(Value("users", "d"), "-");
    EXPECT_THAT(stage.Pages("users"), ElementsAre(0, 3));
  }
  Reopen();  // the uploader dies; what it staged does not
  Stage stage(*store_, 5);
  EXPECT_THAT(stage.Entities(), ElementsAre("users"));
  EXPECT_THAT(stage.Pages("users"), ElementsAre(0, 3));
  const std::vector<ReplacePlan> plans = {{.entity = "users"}};
  const auto first = stage.Apply(plans, {});
  ASSERT_OK(first);
  EXPECT_EQ(first->at("users"), (ReplaceCounts{.created = 2, .deleted = 1}));
  const auto again = stage.Apply(plans, {});
  ASSERT_OK(again);
  EXPECT_EQ(again->at("users"), ReplaceCounts{.unchanged = 2});
  EXPECT_THAT(ScanAll(store_->GetView(), "users"), ElementsAre(Pair("b", "3"), Pair("d", "2")));
}

TEST_F(ReplacementTest, TheSameEventsUploadedAgainAreOnceOnly) {  // case 43
  Open();
  Declare("events", EntityKind::kIncremental);
  const Pages pages = {{2, {{"b", "2"}, {"c", "3"}}}, {1, {{"z", "1"}, {"a", "1"}}}};
  const auto first = Replace("events", pages);
  ASSERT_OK(first);
  EXPECT_EQ(*first, ReplaceCounts{.appended = 4});
  std::vector<std::string> order;
  for (const auto& [head, entry] : ReadAll(*store_)) order.push_back(entry.id);
  EXPECT_THAT(order, ElementsAre("z", "a", "b", "c"));
  const auto again = Replace("events", pages);
  ASSERT_OK(again);
  EXPECT_EQ(*again, ReplaceCounts{.unchanged = 4});
  EXPECT_EQ(ReadAll(*store_).size(), 4U);
}

TEST_F(ReplacementTest, ManyEventsGoToTheIndexThroughFiles) {
  Open({.window_records = 100});
  Declare("events", EntityKind::kIncremental);
  Pages pages;
  for (int i = 0; i < 40'000; ++i) {
    // Against the order of ids, and every tenth without one.
    const std::string id = i % 10 == 0 ? "" : "e" + std::to_string(1'000'000 - i);
    pages[static_cast<uint32_t>(i / 1000)].emplace_back(id, "v" + std::to_string(i));
  }
  std::optional<View> before = store_->GetView();
  ASSERT_OK(Replace("events", pages));
  EXPECT_EQ(Value("events", "e999999"), "v1");
  EXPECT_EQ(Value("events", "e960001"), "v39999");
  EXPECT_EQ(store_->FindEntity("events")->record_count, 40'000U);
  EXPECT_THAT(ScanAll(*before, "events"), IsEmpty());
  before.reset();
  EXPECT_EQ(ScanAll(store_->GetView(), "events").size(), 40'000U);
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
  Reopen();
  EXPECT_EQ(Value("events", "e970001"), "v29999");
  EXPECT_EQ(ScanAll(store_->GetView(), "events").size(), 40'000U);
}

TEST_F(ReplacementTest, TheDeleteGuardAppliesFromAHundredUp) {
  Open();
  Declare("users", EntityKind::kSnapshot);
  ASSERT_OK(Replace("users", Numbered(0, 200, "a")));
  const Log before = ReadAll(*store_);
  const ReplacePlan guarded{.delete_share_max = 0.1};
  EXPECT_THAT(Replace("users", Numbered(100, 250, "b"), guarded),
              StatusIs(ErrorCode::kDeleteGuard, HasSubstr("100 of 200")));
  EXPECT_EQ(ReadAll(*store_), before);
  const auto below = Replace("users", Numbered(99, 200, "a"), guarded);
  ASSERT_OK(below);
  EXPECT_EQ(below->deleted, 99U);
  // As many as the share allows are fine.
  ASSERT_OK(Replace("users", Numbered(0, 1000, "a")));
  const auto exact = Replace("users", Numbered(100, 1000, "a"), guarded);
  ASSERT_OK(exact);
  EXPECT_EQ(exact->deleted, 100U);
}

// --- What a stage answers ---

TEST_F(ReplacementTest, AStageTellsWhatItHolds) {
  Open();
  Stage stage(*store_, 1);
  Stage other(*store_, 2);
  PutPages(other, "users", {{0, {{"other", "1"}}}});
  PutPages(stage, "users", {{4, {{"b", "1"}, {"a", "2"}, {"b", "3"}}}, {9, {}}});
  PutPages(stage, "us", {{0, {{"x", "1"}}}});
  EXPECT_THAT(stage.Entities(), ElementsAre("us", "users"));
  EXPECT_THAT(stage.Pages("users"), ElementsAre(4, 9));
  EXPECT_THAT(stage.ContainsId("users", "a"), test::IsOkAndHolds(true));
  EXPECT_THAT(stage.ContainsId("users", "other"), test::IsOkAndHolds(false));
  EXPECT_THAT(stage.ContainsId("nobody", "a"), test::IsOkAndHolds(false));
  ASSERT_OK(stage.PutPage("users", 5, {{.id = "late", .value = "1", .row = 3}}));
  EXPECT_THAT(stage.ContainsId("users", "late"), test::IsOkAndHolds(true));

  std::vector<std::string> rows;
  ASSERT_OK(stage.ForEachRow("users", [&](uint32_t page, const StagedRow& row) {
    rows.push_back(std::to_string(page) + "/" + std::to_string(row.row) + " " +
                   std::string(row.id) + "=" + std::string(row.value));
    return true;
  }));
  EXPECT_THAT(rows, ElementsAre("4/0 b=1", "4/1 a=2", "4/2 b=3", "5/3 late=1"));

  const auto bytes = stage.GetPage("users", 4);
  ASSERT_OK(bytes);
  const auto batch = BatchView::Parse(*bytes, BatchKind::kUpload);
  ASSERT_OK(batch);
  ASSERT_EQ(batch->size(), 3U);
  EXPECT_EQ(batch->id(1), "a");
  EXPECT_EQ(batch->sequence(1), SequenceNumber(2));
  EXPECT_THAT(stage.GetPage("users", 8), StatusIs(ErrorCode::kNotFound));

  ASSERT_OK(stage.Discard());
  ASSERT_OK(stage.Discard());
  EXPECT_THAT(stage.Entities(), IsEmpty());
  EXPECT_THAT(other.Entities(), ElementsAre("users"));
}

TEST_F(ReplacementTest, BadPagesAreRefusedWholeAndLeaveTheEarlierContent) {
  Open();
  Stage stage(*store_, 1);
  PutPages(stage, "users", {{0, {{"a", "1"}}}});
  const std::vector<Row> many(1001, Row("x", "1"));
  EXPECT_THAT(stage.PutPage("users", 0, Staged(many)), StatusIs(ErrorCode::kTooManyRecords));
  const std::string large(kValueBytesMax + 1, 'x');
  EXPECT_THAT(stage.PutPage("users", 0, Staged({{"b", large}})), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(stage.PutPage("users", 0, Staged({{"b\n", "1"}})),
              StatusIs(ErrorCode::kInvalidArgument, HasSubstr("users, staged page 0, row 0")));
  EXPECT_THAT(stage.PutPage("", 0, {}), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(stage.PutPage("users", 0, {{.id = "b", .row = 4}, {.id = "c", .row = 4}}),
              StatusIs(ErrorCode::kInvalidArgument, HasSubstr("increase")));
  CommitOptions refused;
  refused.precondition = [](CommitContext& context) -> Status {
    context.SetRow("seen", "yes");
    return {ErrorCode::kSyncClosed, "finished"};
  };
  EXPECT_THAT(stage.PutPage("users", 0, Staged({{"b", "1"}}), WriteBatch(), refused),
              StatusIs(ErrorCode::kSyncClosed));
  EXPECT_THAT(store_->GetRow("seen"), test::IsOkAndHolds(std::nullopt));
  EXPECT_THAT(stage.ContainsId("users", "a"), test::IsOkAndHolds(true));
  EXPECT_THAT(stage.ContainsId("users", "b"), test::IsOkAndHolds(false));
  ASSERT_OK(stage.PutPage("users", 1, Staged({{"b", "1"}}), WriteBatch().SetRow("row", "joined")));
  EXPECT_THAT(store_->GetRow("row"), test::IsOkAndHolds(std::optional<std::string>("joined")));
}

TEST_F(ReplacementTest, LargeValuesAndFullPagesComeThrough) {
  Open();
  Declare("users", EntityKind::kSnapshot);
  const std::string large(kValueBytesMax, 'x');
  Pages pages = Numbered(0, 1000, std::string(3000, 'y'));
  for (uint32_t page = 1; page < 4; ++page) {
    for (int row = 0; row < 5; ++row) {
      pages[page].emplace_back("large" + std::to_string(row * 7 + static_cast<int>(page)), large);
    }
  }
  const auto counts = Replace("users", pages);
  ASSERT_OK(counts);
  EXPECT_EQ(counts->created, 1015U);
  EXPECT_EQ(Value("users", "large15"), large);
  EXPECT_EQ(Value("users", "id000999"), std::string(3000, 'y'));
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
}

TEST_F(ReplacementTest, MorePagesThanOneMergeTakesAreMergedInGroups) {
  Open({.durability = Durability::kOrder});
  Declare("users", EntityKind::kSnapshot);
  Pages pages;
  for (uint32_t page = 0; page < 2100; ++page) {
    pages[page] = {{"id" + std::to_string(page * 7919 % 2100), "a"},
                   {"same", std::to_string(page)}};
  }
  const auto counts = Replace("users", pages);
  ASSERT_OK(counts);
  EXPECT_EQ(*counts, (ReplaceCounts{.created = 2101, .duplicates = 2099}));
  EXPECT_EQ(Value("users", "same"), "2099");
  EXPECT_TRUE(std::filesystem::is_empty(path() / "tmp"));
}

TEST_F(ReplacementTest, AnEntityThatDoesNotExistCanOnlyBeTried) {
  Open();
  Stage stage(*store_, 1);
  PutPages(stage, "users", {{0, {{"a", "1"}, {"a", "2"}}}});
  PutPages(stage, "events", {{0, {{"a", "1"}, {"a", "2"}}}});
  const std::vector<ReplacePlan> plans = {{.entity = "users"},
                                          {.entity = "events", .kind = EntityKind::kIncremental}};
  const auto dry = stage.DryRun(plans);
  ASSERT_OK(dry);
  EXPECT_EQ(dry->at("users"), (ReplaceCounts{.created = 1, .duplicates = 1}));
  EXPECT_EQ(dry->at("events"), (ReplaceCounts{.appended = 2, .renamed = 1}));
  EXPECT_THAT(stage.Apply(plans, {}), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(stage.DryRun({plans[0], plans[0]}), StatusIs(ErrorCode::kInvalidArgument));
}

TEST_F(ReplacementTest, DeletionsShowIdsAsTheRecordsDid) {
  Open();
  ASSERT_OK(store_->Commit(
      WriteBatch().Put("users", int64_t{7}, "n").Put("users", "8", "t").Put("users", "x", "t")));
  Expose();
  ASSERT_OK(store_->Empty("users"));
  const auto cut = store_->PinCut();
  LogCursor cursor = store_->ReadLog(*cut, {{.entity = store_->FindEntity("users")->number}});
  std::map<std::string, IdForm> forms;
  while (cursor.Next()) forms[std::string(cursor.entry().id)] = cursor.entry().id_form;
  EXPECT_THAT(
      forms,
      ElementsAre(Pair("7", IdForm::kInteger), Pair("8", IdForm::kText), Pair("x", IdForm::kText)));
}

// --- Failure before the flip ---

class UnfinishedTest : public ReplacementTest {
 protected:
  void SetUp() override {
    Open();
    Declare("users", EntityKind::kSnapshot);
    Declare("events", EntityKind::kIncremental);
    ASSERT_OK(Replace("users", Numbered(0, 400, "a")));
    stage_.emplace(*store_, 77);
    PutPages(*stage_, "users", Numbered(100, 700, "b"));
    PutPages(*stage_, "events", Numbered(0, 500, "e"));
    before_ = ReadAll(*store_);
    sequence_ = store_->last_sequence();
  }
  void TearDown() override { stage_.reset(); }

  void ExpectUntouched() {
    EXPECT_EQ(ReadAll(*store_), before_);
    EXPECT_EQ(store_->last_sequence(), sequence_);
    EXPECT_EQ(FamiliesOnDisk(*store_), FamiliesInUse(*store_));
    EXPECT_TRUE(std::filesystem::is_empty(path() / "tmp"));
    // The store goes on, with the numbers that the failure had given out.
    const auto next = Put("users", "id000000", "next");
    ASSERT_OK(next);
    EXPECT_EQ(next->sequence, sequence_.Next());
    EXPECT_EQ(Value("users", "id000000"), "next");
    EXPECT_THAT(test::Problems(*store_), IsEmpty());
  }

  const std::vector<ReplacePlan> plans_ = {{.entity = "users"}, {.entity = "events"}};
  std::optional<Stage> stage_;
  Log before_;
  SequenceNumber sequence_;
};

TEST_F(UnfinishedTest, ARefusedJoinLeavesNoTrace) {
  const auto refuse = [](const std::map<std::string, ReplaceCounts>& counts, WriteBatch& batch) {
    EXPECT_EQ(counts.at("users").created, 300U);
    EXPECT_EQ(counts.at("events").appended, 500U);
    batch.SetRow("row", "value");
    return Status(ErrorCode::kConflict, "not now");
  };
  EXPECT_THAT(stage_->Apply(plans_, refuse), StatusIs(ErrorCode::kConflict));
  EXPECT_THAT(store_->GetRow("row"), test::IsOkAndHolds(std::nullopt));
  const auto with_operation = [](const auto&, WriteBatch& batch) {
    batch.Put("users", "x", "y");
    return Status();
  };
  EXPECT_THAT(stage_->Apply(plans_, with_operation), StatusIs(ErrorCode::kInvalidArgument));
  ExpectUntouched();
  ASSERT_OK(stage_->Apply(plans_, {}));
  EXPECT_EQ(Value("users", "id000000"), "-");
  EXPECT_EQ(Value("users", "id000699"), "b");
  EXPECT_EQ(Value("events", "id000499"), "e");
}

TEST_F(UnfinishedTest, ADamagedStagedPageIsReported) {
  internal::StoreState& state = store_->impl().state;
  const std::unique_ptr<rocksdb::Iterator> rows(
      state.db->NewIterator(rocksdb::ReadOptions(), state.stage.get()));
  rows->SeekToLast();  // a block of values of users
  std::string bytes = rows->value().ToString();
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  ASSERT_TRUE(state.db->Put(rocksdb::WriteOptions(), state.stage.get(), rows->key(), bytes).ok());
  EXPECT_THAT(stage_->Apply(plans_, {}),
              StatusIs(ErrorCode::kCorruption, HasSubstr("users, staged page 0")));
  ExpectUntouched();
  PutPages(*stage_, "users", Numbered(100, 700, "b"));
  ASSERT_OK(stage_->Apply(plans_, {}));
  EXPECT_EQ(Value("users", "id000699"), "b");
}

/// A finish that is large beside the window: commits go on while it merges.
class BesideCommitsTest : public test::ReplacementTest {
 protected:
  static constexpr int kRows = 9000;  // progress is told every few thousand

  void SetUp() override {
    StoreOptions options;
    options.window_records = 1024;
    Open(options);
    Declare("users", EntityKind::kSnapshot);
    Declare("events", EntityKind::kIncremental);
    ASSERT_OK(Replace("users", Numbered(0, 400, "a")));
    stage_.emplace(*store_, 77);
    PutPages(*stage_, "users", Numbered(100, kRows, "b"));
  }
  void TearDown() override { stage_.reset(); }

  /// Applies, and calls `meanwhile` once, in the middle of the merge.
  Result<std::map<std::string, ReplaceCounts>> ApplyWhile(const std::vector<ReplacePlan>& plans,
                                                          const std::function<void()>& meanwhile) {
    bool called = false;
    return stage_->Apply(plans, {}, [&](uint64_t done, uint64_t) {
      merges_ += done == 0 ? 0 : 1;
      if (done == 0 || std::exchange(called, true)) return;
      meanwhile();
    });
  }
  void ExpectWhole() {
    EXPECT_THAT(test::Problems(*store_), IsEmpty());
    EXPECT_EQ(FamiliesOnDisk(*store_), FamiliesInUse(*store_));
    const Log log = ReadAll(*store_);
    Reopen();
    EXPECT_EQ(ReadAll(*store_), log);
  }

  const std::vector<ReplacePlan> plans_ = {{.entity = "users"}};
  std::optional<Stage> stage_;
  int merges_ = 0;  // as far as progress tells
};

TEST_F(BesideCommitsTest, WritersGoOnAndComeFirst) {
  SequenceNumber written;
  const auto applied = ApplyWhile(plans_, [&] {
    const auto put = Put("visits", "v", "during");
    ASSERT_OK(put);
    written = put->sequence;
    EXPECT_EQ(Value("visits", "v"), "during");
    EXPECT_EQ(Value("users", "id000000"), "a") << "nothing of a finish is visible before its end";
  });
  ASSERT_OK(applied);
  EXPECT_EQ(merges_, 1);
  EXPECT_EQ(applied->at("users").deleted, 100U);
  EXPECT_EQ(applied->at("users").updated, 300U);
  EXPECT_EQ(Value("users", "id000000"), "-");
  EXPECT_EQ(Value("visits", "v"), "during");
  const Log log = ReadAll(*store_);
  EXPECT_EQ(log.begin()->first, written.value()) << "the finish is numbered after it";
  ExpectWhole();
}

TEST_F(BesideCommitsTest, WhatIsWrittenToItMeanwhileIsMergedAnew) {
  const auto applied = ApplyWhile(plans_, [&] {
    ASSERT_OK(Put("users", "id000050", "changed"));
    ASSERT_OK(Put("users", "id000200", "b"));  // what will be uploaded
    ASSERT_OK(Put("users", "unlisted", "new"));
  });
  ASSERT_OK(applied);
  EXPECT_EQ(merges_, 2);
  EXPECT_EQ(applied->at("users").deleted, 101U) << "as the entity is at finish";
  EXPECT_EQ(applied->at("users").updated, 299U);
  EXPECT_EQ(applied->at("users").unchanged, 1U);
  EXPECT_EQ(Value("users", "id000050"), "-");
  EXPECT_EQ(Value("users", "unlisted"), "-");
  ExpectWhole();
}

TEST_F(BesideCommitsTest, AWriterThatNeverRestsIsHeldBackAtLast) {
  int writes = 0;
  const auto applied = stage_->Apply(plans_, {}, [&](uint64_t done, uint64_t) {
    if (done == 0 || writes == 2) return;  // the third merge holds commits back
    ASSERT_OK(Put("users", "id000050", std::to_string(++writes)));
  });
  ASSERT_OK(applied);
  EXPECT_EQ(writes, 2);
  EXPECT_EQ(Value("users", "id000050"), "-");
  EXPECT_EQ(Value("users", "id000100"), "b");
  ExpectWhole();
}

TEST_F(BesideCommitsTest, ALifeThatADeviceIsShownMeanwhileLeavesATombstone) {
  std::shared_ptr<const Cut> cut;
  const auto applied = ApplyWhile(plans_, [&] {
    const auto session = store_->Commit(WriteBatch(), {.pin_cut = true});
    ASSERT_OK(session);
    cut = session->cut;
  });
  ASSERT_OK(applied);
  EXPECT_EQ(merges_, 2);
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 100U);
  EXPECT_EQ(ReadAll(*store_, cut).size(), 400U) << "the session still has all it was promised";
  cut.reset();
  ExpectWhole();
}

TEST_F(BesideCommitsTest, DescriptorsThatChangeMeanwhileAreNotUndone) {
  PutPages(*stage_, "events", Numbered(0, kRows, "e"));
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("old"), "x")));
  const auto applied = ApplyWhile({{.entity = "events"}}, [&] {
    ASSERT_OK(store_->Trim("events", store_->last_sequence()));
    ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("id000001"), "other")));
  });
  ASSERT_OK(applied);
  EXPECT_EQ(applied->at("events").renamed, 1U) << "its id is taken by now";
  EXPECT_EQ(Value("events", "old"), "-");
  EXPECT_EQ(Value("events", "id000001"), "other");
  EXPECT_EQ(store_->FindEntity("events")->trimmed_count, 1U);
  ExpectWhole();
}

TEST_F(BesideCommitsTest, ADryRunHoldsNobodyBackAndTellsOfOneInstant) {
  Declare("others", EntityKind::kSnapshot);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) ASSERT_OK(Put("users", "id000000", std::to_string(i)));
  });
  const auto dry = stage_->DryRun(plans_);
  stop = true;
  writer.join();
  ASSERT_OK(dry);
  EXPECT_EQ(dry->at("users").deleted, 100U);
  EXPECT_EQ(dry->at("users").updated, 300U);
  ExpectWhole();
}

TEST_F(BesideCommitsTest, CommitsNeverReachTheNumbersOfAReplacement) {
  internal::StoreState& state = store_->impl().state;
  state.number_limit = store_->last_sequence() + 2;
  ASSERT_OK(Put("users", "x", "1"));
  EXPECT_THAT(Put("users", "x", "2"), StatusIs(ErrorCode::kBusy));
  state.number_limit = kSequenceLimit;
  ASSERT_OK(Put("users", "x", "2"));
}

TEST_F(BesideCommitsTest, NothingOfBusyWritersIsLost) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> written{0};
  std::thread writer([&] {
    while (!stop) {
      const std::string number = std::to_string(written + 1);
      WriteBatch batch;
      batch.Put("visits", "v" + number, number);
      if (written % 64 == 0) batch.Put("users", "extra" + number, number);
      if (!store_->Commit(batch).ok()) return;
      ++written;
    }
  });
  for (int round = 0; round < 4; ++round) {
    ASSERT_OK(stage_->Apply(plans_, {}));
    ASSERT_OK(Replace("users", Numbered(0, 400, "a" + std::to_string(round))));
  }
  stop = true;
  writer.join();
  EXPECT_GT(written, 0U);
  EXPECT_EQ(ScanAll(store_->GetView(), "visits").size(), written);
  EXPECT_EQ(Value("users", "id000399"), "a3");
  ExpectWhole();
}

/// Ids that the store makes never meet one that is uploaded with them (contract 28).
TEST_F(BesideCommitsTest, MadeIdsStepOverIdsOfTheSameFinish) {
  Declare("few", EntityKind::kIncremental);
  const uint64_t next = store_->last_sequence().value() + 1;
  std::vector<Row> rows = {{"e", "first"}, {"e", "second"}, {"", "none"}};
  for (uint64_t i = 0; i < 8; ++i) {
    rows.emplace_back("e~" + std::to_string(next + i), "given " + std::to_string(i));
    rows.emplace_back("~" + std::to_string(next + i), "given too " + std::to_string(i));
  }
  const auto counts = Replace("few", {{0, rows}});
  ASSERT_OK(counts);
  EXPECT_EQ(counts->appended, rows.size());
  std::set<std::string> values;
  for (const auto& [id, value] : ScanAll(store_->GetView(), "few")) values.insert(value);
  EXPECT_EQ(values.size(), rows.size()) << "every event is there";
  EXPECT_EQ(Value("few", "e"), "first");
  EXPECT_EQ(Value("few", "~" + std::to_string(next)), "given too 0");
  ExpectWhole();
}

}  // namespace
}  // namespace tidemark
