// What a store forgets, and what it must not: entries of the index, dropped entities, positions;
// ids that the store makes.
#include <map>
#include <string>

#include <gmock/gmock.h>

#include "db/internal/store_impl.h"
#include "tests/db/store_fixture.h"

namespace tidemark {
namespace {

using test::IsOkAndHolds;
using test::Problems;
using test::StatusIs;
using ::testing::IsEmpty;

class TrimmingTest : public test::StoreTest {
 protected:
  TrimmingTest() { Open({.follower_retention_ms = 0}); }

  std::string Append(const RecordId& id, std::string_view value) {
    const auto committed = store_->Commit(WriteBatch().Append("visits", id, value),
                                          CommitOptions{.want_outcomes = true});
    EXPECT_OK(committed);
    return committed->outcomes[0].id;
  }
  size_t RowsOf(const internal::Family& family, const std::string& prefix = {}) {
    const std::unique_ptr<rocksdb::Iterator> rows(
        store_->impl().state.db->NewIterator(rocksdb::ReadOptions(), family.get()));
    size_t count = 0;
    for (rows->Seek(prefix); rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
      ++count;
    }
    return count;
  }
  size_t IndexRows(std::string_view entity) {
    return RowsOf(store_->impl().state.GetCatalog()->Find(entity)->index);
  }
};

TEST_F(TrimmingTest, TrimmedEventsAndPurgedTombstonesLeaveTheIndex) {
  for (int i = 0; i < 10; ++i) {
    Append(RecordId("e" + std::to_string(i)), "x");
    ASSERT_OK(Put("users", RecordId("u" + std::to_string(i)), "x"));
  }
  ASSERT_OK(store_->Commit(WriteBatch(), CommitOptions{.pin_cut = true}));
  for (int i = 0; i < 6; ++i) ASSERT_OK(Delete("users", RecordId("u" + std::to_string(i))));
  ASSERT_OK(store_->Compact());
  EXPECT_EQ(IndexRows("visits"), 10U);
  EXPECT_EQ(IndexRows("users"), 10U);

  std::vector<SequenceNumber> heads;
  const EntityNumber users = store_->FindEntity("users")->number;
  {
    LogCursor cursor = store_->ReadLog(*store_->PinCut(), {{.entity = users, .live = false}});
    while (cursor.Next() && heads.size() < 4) heads.push_back(cursor.entry().head);
  }
  ASSERT_OK(store_->PurgeTombstones(users, heads));
  EXPECT_THAT(store_->Trim("visits", SequenceNumber(9)), IsOkAndHolds(5U));
  ASSERT_OK(store_->Compact());
  EXPECT_EQ(IndexRows("visits"), 5U);
  EXPECT_EQ(IndexRows("users"), 6U);
  EXPECT_THAT(Problems(*store_), IsEmpty());
  Reopen();
  EXPECT_THAT(Problems(*store_), IsEmpty());
  EXPECT_EQ(Value("visits", RecordId("e0")), "-");
  EXPECT_EQ(Value("visits", RecordId("e9")), "x");
}

TEST_F(TrimmingTest, PurgedTombstonesStayAwayAfterReopening) {
  for (const bool folded : {false, true}) {
    SCOPED_TRACE(folded ? "from a fold" : "from the log");
    for (int i = 0; i < 6; ++i) ASSERT_OK(Put("users", RecordId(i), "x"));
    Expose();
    for (int i = 0; i < 5; ++i) ASSERT_OK(Delete("users", RecordId(i)));
    if (folded) {
      ASSERT_OK(store_->Compact());
    }
    const EntityNumber users = store_->FindEntity("users")->number;
    std::vector<SequenceNumber> heads;
    {
      LogCursor cursor = store_->ReadLog(*store_->PinCut(), {{.entity = users, .live = false}});
      while (cursor.Next()) heads.push_back(cursor.entry().head);
    }
    ASSERT_EQ(heads.size(), 5U);
    ASSERT_OK(store_->PurgeTombstones(users, heads));
    for (int opened = 0; opened < 2; ++opened) {
      Reopen();
      EXPECT_EQ(store_->CountTombstones(users, kSequenceZero), 0U);
      EXPECT_EQ(store_->Statistics().records, 1U);
      EXPECT_THAT(Problems(*store_), IsEmpty());
    }
    const uint64_t folds = store_->Statistics().folds;
    EXPECT_EQ(folds, 0U) << "what is written down once is not written again";
  }
}

TEST_F(TrimmingTest, DeadRowsAreCountedAcrossOpenings) {
  for (int i = 0; i < 20; ++i) ASSERT_OK(Put("users", RecordId(i % 4), std::to_string(i)));
  EXPECT_EQ(store_->Statistics().log_rows, 20U);
  Reopen();
  EXPECT_EQ(store_->Statistics().log_rows, 20U) << "from the log";
  Open({.window_records = 1, .follower_retention_ms = 0});
  for (int i = 0; i < 4; ++i) ASSERT_OK(Put("users", RecordId(i), "last"));
  Reopen();
  EXPECT_EQ(store_->Statistics().log_rows, 24U) << "from the mark of a fold";
  ASSERT_OK(store_->Compact());
  EXPECT_EQ(store_->Statistics().log_rows, 4U);
  Reopen();
  EXPECT_EQ(store_->Statistics().log_rows, 4U);
}

TEST_F(TrimmingTest, PositionsThatNobodyHoldsAreForgotten) {
  SequenceSet kept;
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(Put("users", RecordId(i), "x"));
    const auto committed = store_->Commit(WriteBatch(), CommitOptions{.pin_cut = true});
    ASSERT_OK(committed);
    if (i == 1) kept.Add(committed->cut->sequence());
  }
  EXPECT_EQ(RowsOf(store_->impl().state.rows, "p"), 5U);
  ASSERT_OK(store_->PrunePositions(kept, store_->last_sequence()));
  EXPECT_EQ(RowsOf(store_->impl().state.rows, "p"), 2U) << "the kept one, and the newest";
}

TEST_F(TrimmingTest, TheCommitOfATrimTakesRowsAlong) {
  Append(RecordId("a"), "x");
  Append(RecordId("b"), "y");
  const auto join = [](const TrimmedEvents& events, WriteBatch* rows) {
    rows->SetRow("T/trimmed",
                 std::to_string(events.live.CountRange({kSequenceZero, events.through.Next()})));
  };
  EXPECT_THAT(store_->Trim("visits", SequenceNumber(1), join), IsOkAndHolds(1U));
  Reopen();
  EXPECT_THAT(store_->GetRow("T/trimmed"), IsOkAndHolds(std::optional<std::string>("1")));
  EXPECT_EQ(store_->FindEntity("visits")->record_count, 1U);
}

TEST_F(TrimmingTest, AnEntityDeclaredAnewGoesOnWhereTheDroppedOneEnded) {
  EntityDeclaration events;
  events.kind = EntityKind::kIncremental;
  ASSERT_OK(store_->Declare("log", events));
  ASSERT_OK(store_->Commit(WriteBatch().Append("log", RecordId("1"), "x")));
  ASSERT_OK(store_->Commit(WriteBatch().Append("log", RecordId("2"), "x")));
  ASSERT_OK(store_->Trim("log", SequenceNumber(1)));
  const EntityNumber number = store_->FindEntity("log")->number;
  ASSERT_OK(store_->Drop("log"));
  ASSERT_OK(Put("log", RecordId("1"), "now a snapshot"));
  EXPECT_EQ(store_->FindEntity("log")->number, number);
  EXPECT_EQ(store_->FindEntity("log")->declaration.kind, EntityKind::kSnapshot);
  for (int opened = 0; opened < 2; ++opened) {
    EXPECT_EQ(store_->FindEntity("log")->record_count, 1U);
    EXPECT_EQ(Value("log", RecordId("1")), "now a snapshot");
    EXPECT_EQ(Value("log", RecordId("2")), "-");
    EXPECT_THAT(Problems(*store_), IsEmpty());
    Reopen();
  }
  ASSERT_OK(store_->Drop("log"));
  EXPECT_FALSE(
      store_->Commit(WriteBatch().Append("log", RecordId("3"), "x").Put("log", 4, "x")).ok());
  EXPECT_FALSE(store_->FindEntity("log").has_value()) << "a refused batch declares nothing";
  ASSERT_OK(store_->Commit(WriteBatch().Append("log", RecordId("3"), "x")));
  EXPECT_EQ(store_->FindEntity("log")->declaration.kind, EntityKind::kIncremental);
  Reopen();
  EXPECT_EQ(Value("log", RecordId("3")), "x");
}

TEST_F(TrimmingTest, MadeIdsStepOverIdsThatAreTaken) {
  EXPECT_EQ(Append(RecordId("e"), "a"), "e");
  EXPECT_EQ(Append(RecordId("~4"), "mine"), "~4");
  EXPECT_EQ(Append(RecordId("e~5"), "mine, too"), "e~5");
  ASSERT_OK(store_->Compact());
  EXPECT_EQ(Append(RecordId(""), "no id"), "~4~4") << "found in the index";
  EXPECT_EQ(Append(RecordId("e"), "b"), "e~5~5");
  EXPECT_EQ(Value("visits", RecordId("~4")), "mine");
  EXPECT_EQ(Value("visits", RecordId("e~5")), "mine, too");
  EXPECT_EQ(Value("visits", RecordId("e~5~5")), "b");
  // In one batch.
  const auto committed = store_->Commit(
      WriteBatch().Append("visits", "no id").Append("visits", RecordId("~6"), "given"),
      CommitOptions{.want_outcomes = true});
  ASSERT_OK(committed);
  EXPECT_EQ(committed->outcomes[0].id, "~6~6");
  EXPECT_EQ(committed->outcomes[1].id, "~6");
  EXPECT_THAT(Problems(*store_), IsEmpty());
}

TEST_F(TrimmingTest, AnotherBatchUnderAnOperationIdIsNoticedByAnyDifference) {
  const auto batch = [](const WriteCondition& condition, const RecordId& id, std::string_view row) {
    WriteBatch made;
    made.Put("users", id, "x", ValueKind::kBytes, condition).SetRow("T/row", row);
    return made.SetOperationId("op");
  };
  ASSERT_OK(store_->Commit(batch({}, RecordId("7"), "a")));
  EXPECT_TRUE(store_->Commit(batch({}, RecordId("7"), "a"))->replayed);
  WriteCondition zero;
  zero.if_newer = 0;
  for (const WriteBatch& other : {batch({}, RecordId(7), "a"),
                                  batch({}, RecordId("7"), "b"),
                                  batch(zero, RecordId("7"), "a")}) {
    EXPECT_THAT(store_->Commit(other), StatusIs(ErrorCode::kIdempotencyMismatch));
  }
}

TEST_F(TrimmingTest, DeclarationsHaveTheLimitsOfTheirStoredForm) {
  EntityDeclaration declaration;
  declaration.id_fields.clear();
  EXPECT_FALSE(store_->Declare("users", declaration).ok());
  declaration = {};
  declaration.dangling_share_max = 2;
  EXPECT_FALSE(store_->Declare("users", declaration).ok());
  EXPECT_OK(store_->Declare("users", EntityDeclaration()));
}

}  // namespace
}  // namespace tidemark
