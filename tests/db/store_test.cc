// The store as its header describes it: writing, conditions, idempotency, entities, limits, rows.
#include "db/store.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "db/internal/store_impl.h"
#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

using test::StatusIs;
using test::StoreTest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(StoreTest, PutGetDeleteAppend) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(Put("users", "b", "2"));
  ASSERT_OK(Put("users", "a", "3"));
  ASSERT_OK(Delete("users", "b"));
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", "e1", "x").Append("events", "y")));
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(Value("users", "a"), "3");
    EXPECT_EQ(Value("users", "b"), "-");
    EXPECT_EQ(Value("events", "e1"), "x");
    EXPECT_EQ(Value("events", "~6"), "y");
    EXPECT_EQ(Value("nobody", "a"), "-");
    EXPECT_EQ(store_->last_sequence(), SequenceNumber(6));
    EXPECT_THAT(test::Problems(*store_), IsEmpty());
    Reopen();
  }
}

TEST_F(StoreTest, EqualValuesAreNoChange) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  const auto again = Put("users", "a", "1");
  ASSERT_OK(again);
  EXPECT_EQ(again->unchanged, 1U);
  EXPECT_EQ(again->applied, 0U);
  EXPECT_EQ(again->sequence, SequenceNumber(1));
  // Of another kind it is another value.
  ASSERT_OK(store_->Commit(WriteBatch().Put("users", "a", "1", ValueKind::kJson)));
  EXPECT_EQ(store_->last_sequence(), SequenceNumber(2));
}

TEST_F(StoreTest, OperationsOfABatchCollapse) {
  Open();
  ASSERT_OK(Put("users", "has", "old"));
  Expose();
  // Created and deleted: nothing.
  ASSERT_OK(store_->Commit(WriteBatch().Put("users", "new", "x").Delete("users", "new")));
  EXPECT_EQ(store_->last_sequence(), SequenceNumber(1));
  // Deleted and inserted: an update of the same life.
  ASSERT_OK(store_->Commit(WriteBatch().Delete("users", "has").Put("users", "has", "next")));
  EXPECT_EQ(store_->last_sequence(), SequenceNumber(2));
  EXPECT_EQ((*store_->Get("users", "has"))->birth, SequenceNumber(1));
  // Updated and deleted, or inserted anew and deleted: the deletion survives.
  const auto result = store_->Commit(
      WriteBatch().Put("users", "has", "more").Delete("users", "has"), {.want_outcomes = true});
  ASSERT_OK(result);
  EXPECT_EQ(store_->last_sequence(), SequenceNumber(3));
  EXPECT_EQ(result->outcomes[1].outcome, WriteOutcome::kDeleted);
  EXPECT_EQ(store_->FindEntity("users")->tombstone_count, 1U);
}

TEST_F(StoreTest, ConditionsHoldOrRefuseTheWholeBatch) {
  Open();
  ASSERT_OK(Put("users", "a", "1", {.if_absent = true}));
  EXPECT_THAT(Put("users", "a", "2", {.if_absent = true}),
              StatusIs(ErrorCode::kConditionFailed, HasSubstr("operation 0, users a")));
  EXPECT_THAT(Put("users", "a", "2", {.if_version = SequenceNumber(7)}),
              StatusIs(ErrorCode::kConditionFailed, HasSubstr("version 1, not 7")));
  EXPECT_THAT(Put("users", "none", "2", {.if_version = SequenceNumber(1)}),
              StatusIs(ErrorCode::kConditionFailed));
  ASSERT_OK(Put("users", "a", "2", {.if_version = SequenceNumber(1)}));
  EXPECT_THAT(store_->Commit(WriteBatch()
                                 .Put("users", "b", "1")
                                 .Append("brandnew", "e", "1")
                                 .Delete("users", "a", {.if_version = SequenceNumber(1)})),
              StatusIs(ErrorCode::kConditionFailed));
  EXPECT_EQ(Value("users", "b"), "-");
  EXPECT_FALSE(store_->FindEntity("brandnew").has_value());
  // The name is free for the other kind.
  ASSERT_OK(Put("brandnew", "a", "1"));
  EXPECT_EQ(store_->last_sequence(), SequenceNumber(3));
}

TEST_F(StoreTest, OnlyNewerIsOfTheWritersTime) {
  Open();
  for (int life = 0; life < 2; ++life) {
    ASSERT_OK(Put("users", "a", "at 10, life " + std::to_string(life), {.if_newer = 10}));
    EXPECT_THAT(Put("users", "a", "x", {.if_newer = 10}), StatusIs(ErrorCode::kConditionFailed));
    Expose();
    ASSERT_OK(Delete("users", "a", {.if_newer = 20}));
    // The tombstone remembers, also across a fold and a restart.
    ASSERT_OK(store_->Compact());
    Reopen();
    EXPECT_THAT(Put("users", "a", "x", {.if_newer = 20}), StatusIs(ErrorCode::kConditionFailed));
    const EntityNumber users = store_->FindEntity("users")->number;
    ASSERT_OK(store_->PurgeTombstones(users, {store_->last_sequence()}));
  }
  ASSERT_OK(Put("users", "a", "any is newer now", {.if_newer = -5}));
  EXPECT_EQ((*store_->Get("users", "a"))->writer_time, -5);
}

TEST_F(StoreTest, ARepeatedOperationIdAnswersWhatTheFirstOneDid) {
  Open();
  const WriteBatch batch = WriteBatch().Put("users", "a", "1").SetOperationId("op");
  const auto first = store_->Commit(batch);
  ASSERT_OK(first);
  ASSERT_OK(Put("users", "a", "2"));
  for (int life = 0; life < 2; ++life) {
    const auto repeat = store_->Commit(batch);
    ASSERT_OK(repeat);
    EXPECT_TRUE(repeat->replayed);
    EXPECT_EQ(repeat->sequence, first->sequence);
    EXPECT_EQ(repeat->applied, 1U);
    EXPECT_EQ(Value("users", "a"), "2");
    EXPECT_THAT(store_->Commit(WriteBatch().Put("users", "a", "3").SetOperationId("op")),
                StatusIs(ErrorCode::kIdempotencyMismatch));
    Reopen();
  }
  EXPECT_THAT(store_->Commit(WriteBatch().SetOperationId(std::string(129, 'x'))),
              StatusIs(ErrorCode::kInvalidArgument));
}

TEST_F(StoreTest, ARepeatedAppendTellsTheIdThatTheFirstOneMade) {
  Open();
  const WriteBatch batch =
      WriteBatch().Append("visits", "{}").Put("users", "a", "1").SetOperationId("op");
  const CommitOptions options{.want_outcomes = true};
  const auto first = store_->Commit(batch, options);
  ASSERT_OK(first);
  ASSERT_EQ(first->outcomes.size(), 2U);
  Reopen();
  const auto repeat = store_->Commit(batch, options);
  ASSERT_OK(repeat);
  EXPECT_TRUE(repeat->replayed);
  ASSERT_EQ(repeat->outcomes.size(), 2U);
  EXPECT_EQ(repeat->outcomes[0].id, first->outcomes[0].id);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(repeat->outcomes[i].outcome, first->outcomes[i].outcome);
    EXPECT_EQ(repeat->outcomes[i].version, first->outcomes[i].version);
  }
}

TEST_F(StoreTest, AnIntegerAndItsTextNameOneRecord) {
  Open();
  ASSERT_OK(Put("users", 7, "integer"));
  EXPECT_EQ(Value("users", "7"), "integer");
  EXPECT_EQ((*store_->Get("users", "7"))->id_form, IdForm::kInteger);
  ASSERT_OK(Put("users", "7", "text"));
  EXPECT_EQ(store_->FindEntity("users")->record_count, 1U);
}

TEST_F(StoreTest, LimitsAtTheirEdges) {
  Open();
  ASSERT_OK(Put("users", std::string(512, 'i'), "1"));
  EXPECT_THAT(Put("users", std::string(513, 'i'), "1"), StatusIs(ErrorCode::kTooLarge));
  ASSERT_OK(Put("users", "big", std::string(kValueBytesMax, 'v')));
  EXPECT_THAT(Put("users", "big", std::string(kValueBytesMax + 1, 'v')),
              StatusIs(ErrorCode::kTooLarge));
  ASSERT_OK(Put(std::string(64, 'n'), "a", "1"));
  EXPECT_THAT(Put(std::string(65, 'n'), "a", "1"), StatusIs(ErrorCode::kTooLarge));
  EXPECT_THAT(Put("_users", "a", "1"), StatusIs(ErrorCode::kReserved));
  EXPECT_THAT(Put("no spaces", "a", "1"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(Put("users", "", "1"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_EQ(store_->ListEntities().size(), 2U);
}

TEST_F(StoreTest, KindsDoNotMix) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", "e", "1")));
  EXPECT_THAT(Put("events", "a", "1"), StatusIs(ErrorCode::kWrongKind));
  EXPECT_THAT(Delete("events", "e"), StatusIs(ErrorCode::kWrongKind));
  EXPECT_THAT(store_->Commit(WriteBatch().Append("users", "e", "1")),
              StatusIs(ErrorCode::kWrongKind));
  EXPECT_THAT(store_->Declare("users", {.kind = EntityKind::kIncremental}),
              StatusIs(ErrorCode::kWrongKind));
  ASSERT_OK(store_->Drop("users"));
  ASSERT_OK(store_->Declare("users", {.kind = EntityKind::kIncremental}));
  ASSERT_OK(store_->Commit(WriteBatch().Append("users", "e", "1")));
}

TEST_F(StoreTest, EventsWithEqualBytesAreOne) {
  Open();
  const auto result = store_->Commit(
      WriteBatch().Append("events", "e", "1").Append("events", "e", "1").Append("events", "e", "2"),
      {.want_outcomes = true});
  ASSERT_OK(result);
  EXPECT_EQ(result->unchanged, 1U);
  EXPECT_EQ(result->outcomes[2].id, "e~2");
  EXPECT_EQ(Value("events", "e~2"), "2");
}

TEST_F(StoreTest, TrimmedEventsAreGoneAndAnOpenViewIsNotTorn) {
  Open();
  for (int i = 1; i <= 6; ++i) {
    ASSERT_OK(store_->Commit(WriteBatch().Append("events", std::to_string(i), "x")));
  }
  const View before = store_->GetView();
  EXPECT_THAT(store_->Trim("events", SequenceNumber(4)), test::IsOkAndHolds(4U));
  ASSERT_OK(store_->Compact());
  EXPECT_EQ(test::ScanAll(before, "events").size(), 6U);
  EXPECT_EQ(test::ScanAll(store_->GetView(), "events").size(), 2U);
  EXPECT_EQ(Value("events", "4"), "-");
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
  EXPECT_EQ(store_->FindEntity("events")->trimmed_count, 4U);
}

TEST_F(StoreTest, RowsOfUpperLayers) {
  Open();
  ASSERT_OK(store_->Commit(WriteBatch().SetRow("d.1", "one").SetRow("d.2", "two").SetRow("e", "")));
  ASSERT_OK(store_->Commit(WriteBatch().DeleteRow("d.1").Put("users", "a", "1")));
  Reopen();
  EXPECT_THAT(store_->GetRow("d.1"), test::IsOkAndHolds(std::nullopt));
  std::string seen;
  ASSERT_OK(store_->ScanRows("d.", [&](std::string_view key, std::string_view value) {
    seen += std::string(key) + "=" + std::string(value);
    return true;
  }));
  EXPECT_EQ(seen, "d.2=two");
}

TEST_F(StoreTest, APreconditionSeesEarlierRowsAndMayRefuse) {
  Open();
  ASSERT_OK(store_->Commit(WriteBatch().SetRow("fence", "1")));
  CommitOptions refuse;
  refuse.precondition = [](CommitContext& context) -> Status {
    context.SetRow("trace", "left");
    const auto fence = context.GetRow("fence");
    if (fence.ok() && **fence == "1") return {ErrorCode::kSuperseded, "fenced"};
    return {};
  };
  EXPECT_THAT(store_->Commit(WriteBatch().Put("users", "a", "1"), refuse),
              StatusIs(ErrorCode::kSuperseded));
  EXPECT_THAT(store_->GetRow("trace"), test::IsOkAndHolds(std::nullopt));
  EXPECT_EQ(Value("users", "a"), "-");
}

TEST_F(StoreTest, AReaderBesideTheOwner) {
  Open({.window_records = 4});
  for (int i = 0; i < 20; ++i) ASSERT_OK(Put("users", i, "before"));
  const auto reader = test::OpenStore(path(), {.read_only = true});
  ASSERT_NE(reader, nullptr);
  for (int i = 0; i < 40; ++i) ASSERT_OK(Put("users", i, "after"));
  ASSERT_OK(store_->Compact());
  EXPECT_EQ(test::ScanAll(reader->GetView(), "users").size(), 20U);
  EXPECT_EQ(test::ValueOf(*reader, "users", 3), "before");
  EXPECT_THAT(reader->Commit(WriteBatch().Put("users", "x", "1")), StatusIs(ErrorCode::kReadOnly));
  EXPECT_THAT(reader->Compact(), StatusIs(ErrorCode::kReadOnly));
  EXPECT_THAT(Store::Open(path(), {}, test::SmallRuntime()), StatusIs(ErrorCode::kBusy));
}

// Contract 22: a writer's time is kept with the record and its tombstone.
TEST_F(StoreTest, AWritersTimeOutlivesADeletionThatNobodySaw) {
  Open();
  ASSERT_OK(Put("users", "a", "1", {.if_newer = 5}));
  ASSERT_OK(Delete("users", "a", {.if_newer = 6}));
  for (int opened = 0; opened < 3; ++opened) {
    EXPECT_THAT(Put("users", "a", "2", {.if_newer = 6}), StatusIs(ErrorCode::kConditionFailed));
    if (opened == 1) {
      ASSERT_OK(store_->Compact());
    }
    Reopen();
  }
  ASSERT_OK(Put("users", "a", "2", {.if_newer = 7}));
  EXPECT_EQ(Value("users", "a"), "2");
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
}

TEST_F(StoreTest, AWritersTimeIsKeptWhenNothingElseChanges) {
  Open();
  ASSERT_OK(Put("users", "a", "x", {.if_newer = 3}));
  const auto same = Put("users", "a", "x", {.if_newer = 9});
  ASSERT_OK(same);
  EXPECT_EQ(same->unchanged, 1U);
  EXPECT_EQ(store_->last_sequence(), SequenceNumber(1)) << "an equal value is no change";
  ASSERT_OK(Put("users", "b", "x", {.if_newer = 3}));
  ASSERT_OK(store_->Commit(WriteBatch()
                               .Put("users", "b", "y", ValueKind::kBytes, {.if_newer = 4})
                               .Put("users", "b", "x", ValueKind::kBytes, {.if_newer = 9})));
  ASSERT_OK(Put("users", "c", "x", {.if_newer = 3}));
  ASSERT_OK(Delete("users", "c", {.if_newer = 4}));
  ASSERT_OK(Delete("users", "c", {.if_newer = 9}));
  const SequenceNumber last = store_->last_sequence();
  for (int opened = 0; opened < 3; ++opened) {
    for (const char* id : {"a", "b", "c"}) {
      SCOPED_TRACE(id);
      EXPECT_THAT(Put("users", id, "z", {.if_newer = 7}), StatusIs(ErrorCode::kConditionFailed));
      EXPECT_THAT(Put("users", id, "z", {.if_newer = 9}), StatusIs(ErrorCode::kConditionFailed));
    }
    if (opened == 1) {
      ASSERT_OK(store_->Compact());
    }
    Reopen();
  }
  EXPECT_EQ(store_->last_sequence(), last);
  for (const char* id : {"a", "b", "c"}) ASSERT_OK(Put("users", id, "z", {.if_newer = 10}));
  for (const char* id : {"a", "b", "c"}) ASSERT_OK(Put("users", id, "plain"));
  ASSERT_OK(Put("users", "a", "any is newer", {.if_newer = 1}));
  EXPECT_THAT(test::Problems(*store_), IsEmpty());
}

TEST_F(StoreTest, WhatOneBatchMakesAndDeletesKeepsNoTime) {
  Open();
  const WriteBatch both = WriteBatch()
                              .Put("users", "a", "x", ValueKind::kBytes, {.if_newer = 3})
                              .Delete("users", "a", {.if_newer = 9});
  ASSERT_OK(store_->Commit(both));
  EXPECT_EQ(store_->last_sequence(), kSequenceZero) << "nothing came of it";
  ASSERT_OK(Put("users", "a", "y", {.if_newer = 4})) << "as if it had never been there";
  ASSERT_OK(store_->Commit(WriteBatch()
                               .Put("users", "a", "z", ValueKind::kBytes, {.if_newer = 5})
                               .Delete("users", "a", {.if_newer = 9})));
  EXPECT_THAT(Put("users", "a", "y", {.if_newer = 9}), StatusIs(ErrorCode::kConditionFailed))
      << "a record that was there has a tombstone";
}

TEST_F(StoreTest, KeptTimesOfOldVersionsAreRemovedWithThem) {
  Open();
  const auto kept = [this] {
    const std::unique_ptr<rocksdb::Iterator> rows(store_->impl().state.db->NewIterator(
        rocksdb::ReadOptions(), store_->impl().state.rows.get()));
    int count = 0;
    for (rows->Seek("t"); rows->Valid() && rows->key().starts_with("t"); rows->Next()) ++count;
    return count;
  };
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(Put("users", i, "x", {.if_newer = 3}));
    ASSERT_OK(Put("users", i, "x", {.if_newer = 9}));
  }
  EXPECT_EQ(kept(), 5);
  for (int i = 0; i < 3; ++i) ASSERT_OK(Put("users", i, "y"));
  ASSERT_OK(store_->Compact());
  EXPECT_EQ(kept(), 2);
  EXPECT_THAT(Put("users", 4, "z", {.if_newer = 9}), StatusIs(ErrorCode::kConditionFailed));
}

// RocksDB tells openings of one process apart by the spelling of the path alone; opened twice, each
// deletes the other's files.
TEST_F(StoreTest, TheSameStoreBySeveralNamesIsBusy) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  const std::filesystem::path root = directory_.path();
  std::filesystem::create_directory_symlink(path(), root / "link");
  for (const std::filesystem::path& other :
       {root / "link", root / ".." / root.filename() / "store", path() / ".", path() / "tmp/.."}) {
    SCOPED_TRACE(other.string());
    EXPECT_THAT(Store::Open(other, {}, test::SmallRuntime()),
                StatusIs(ErrorCode::kBusy, HasSubstr("is open already")));
  }
  ASSERT_OK(Put("users", "b", "2"));
  Reopen();
  EXPECT_EQ(Value("users", "b"), "2");
  ASSERT_OK(store_->Close());
  store_.reset();
  store_ = test::OpenStore(root / "link");
  EXPECT_EQ(Value("users", "a"), "1");
}

TEST_F(StoreTest, WhatIsRefusedAsBusyChangesNothing) {
  Open();
  const auto files = [this] {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::recursive_directory_iterator(path())) {
      names.push_back(file.path().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  };
  const std::vector<std::string> before = files();
  EXPECT_THAT(Store::Open(path(), {}, test::SmallRuntime()), StatusIs(ErrorCode::kBusy));
  EXPECT_EQ(files(), before);
}

TEST_F(StoreTest, WhatCannotBeOpened) {
  EXPECT_THAT(Store::Open(path(), {.create_if_missing = false}, test::SmallRuntime()),
              StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(Store::Open(path(), {.read_only = true}, test::SmallRuntime()),
              StatusIs(ErrorCode::kNotFound));
  std::ofstream(path()) << "a file";
  EXPECT_THAT(Store::Open(path(), {}, test::SmallRuntime()), StatusIs(ErrorCode::kIoError));
}

TEST_F(StoreTest, AClosedStoreRefusesWrites) {
  Open();
  ASSERT_OK(Put("users", "a", "1"));
  ASSERT_OK(store_->Close());
  ASSERT_OK(store_->Close());
  EXPECT_FALSE(Put("users", "a", "2").ok());
  EXPECT_FALSE(store_->Drop("users").ok());
  EXPECT_FALSE(store_->Compact().ok());
}

}  // namespace
}  // namespace tidemark
