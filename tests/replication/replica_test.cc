// The replica: pages lost, repeated, reordered and cut short, foreign and damaged ones, resets.
#include "replication/replica.h"

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "db/replacement.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

using test::StatusIs;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class ReplicaTest : public test::SourceTest {
 protected:
  ReplicaTest() { OpenReplica(); }

  void OpenReplica() {
    replica_.reset();
    auto replica = Replica::Open(replica_path_, "tablet", options_, runtime_);
    ASSERT_OK(replica);
    replica_ = std::move(*replica);
  }
  /// The process of the replica dies: it goes on with what the operating system was given.
  void KillReplica() {
    const fs::path copy = directory_.path() / "killed";
    CopyStore(replica_path_, copy);
    replica_.reset();
    CopyStore(copy, replica_path_);
    OpenReplica();
  }
  std::map<std::string, std::string> Held() const {
    std::map<std::string, std::string> held;
    const View view = replica_->store().GetView();
    for (const EntityInfo& info : replica_->store().ListEntities()) {
      RecordIterator records = view.Scan(info.name, ScanOptions{});
      while (records.Next()) held[info.name + "/" + records.id()] = records.value();
      EXPECT_OK(records.status());
    }
    return held;
  }
  PullResult Pull() {
    LocalTransport transport(*source_);
    auto pulled = replica_->Pull(transport);
    EXPECT_OK(pulled);
    return pulled.ok() ? *pulled : PullResult();
  }
  /// Starts a session, tells the replica, and reads its pages.
  std::vector<Page> Pages(size_t records_max) {
    const auto session = source_->StartSession(replica_->MakeHello());
    EXPECT_OK(session);
    session_ = **session;
    EXPECT_OK(replica_->BeginSession(session_));
    std::vector<Page> pages;
    while (true) {
      auto page = source_->NextPage(session_.id, {.records_max = records_max});
      EXPECT_OK(page);
      if (!page.ok() || !page->has_value()) return pages;
      pages.push_back(**page);
    }
  }
  /// Refused, and everything is as it was.
  void ExpectRefused(const std::string& page, const ::testing::Matcher<Result<ApplyResult>>& why) {
    const auto held = Held();
    const std::string position = replica_->MakeHello().position;
    const SequenceNumber last = replica_->store().last_sequence();
    EXPECT_THAT(replica_->Apply(page), why);
    EXPECT_EQ(Held(), held);
    EXPECT_EQ(replica_->MakeHello().position, position);
    EXPECT_EQ(replica_->store().last_sequence(), last);
  }

  fs::path replica_path_ = directory_.path() / "replica";
  ReplicaOptions options_;
  std::unique_ptr<Replica> replica_;
  SessionInfo session_;
};

TEST_F(ReplicaTest, PullsWhatItLacks) {
  EXPECT_TRUE(Pull().nothing_owed);
  Put("users", "1", "a");
  Put("visits", "1", "v");
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("e"), "happened")));
  PullResult pulled = Pull();
  EXPECT_EQ(pulled.created, 3U);
  EXPECT_EQ(pulled.pages, 1U);
  EXPECT_EQ(Held(), Live());
  Put("users", "1", "b");
  Delete("visits", "1");
  pulled = Pull();
  EXPECT_EQ(pulled.updated, 1U);
  EXPECT_EQ(pulled.deleted, 1U);
  EXPECT_FALSE(pulled.reset);
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(ReplicaTest, AStoreThatHoldsRecordsOfItsOwnBecomesNoReplica) {
  const fs::path own = directory_.path() / "own";
  {
    auto store = *Store::Open(own, {}, runtime_);
    ASSERT_OK(store->Commit(WriteBatch().Put("other", "1", "precious")));
  }
  EXPECT_THAT(Replica::Open(own, "tablet", options_, runtime_),
              StatusIs(ErrorCode::kConflict, HasSubstr("holds records of its own, of other")));
  auto store = *Store::Open(own, {}, runtime_);
  EXPECT_FALSE(store->is_replica());
  EXPECT_TRUE((*store->Get("other", "1")).has_value());
  ASSERT_OK(store->Commit(WriteBatch().Delete("other", "1")));
  ASSERT_OK(store->Close());
  store.reset();
  EXPECT_OK(Replica::Open(own, "tablet", options_, runtime_)) << "it is empty now";
}

TEST_F(ReplicaTest, OnlyPullsChangeRecords) {
  Put("users", "1", "a");
  Put("users", "2", "b");
  Pull();
  const auto held = Held();
  const auto expect_refused = [&](Store& store) {
    const auto refused = StatusIs(ErrorCode::kReadOnly, HasSubstr("write at its source"));
    EXPECT_TRUE(store.is_replica());
    EXPECT_THAT(store.Commit(WriteBatch().Put("users", "1", "mine")), refused);
    EXPECT_THAT(store.Commit(WriteBatch().Delete("users", "2")), refused);
    EXPECT_THAT(store.Commit(WriteBatch().Append("own", RecordId("e"), "x")), refused);
    EXPECT_THAT(store.Empty("users"), refused);
    EXPECT_THAT(store.Drop("users"), refused);
    Stage stage(store, 1);
    EXPECT_THAT(stage.PutPage("users", 0, {{.id = "1", .value = "mine"}}, WriteBatch()), refused);
    EXPECT_THAT(stage.Apply({{.entity = "users"}}, {}), refused);
    EXPECT_THAT(stage.DryRun({{.entity = "users"}}), refused);
    EXPECT_OK(store.Commit(WriteBatch().SetRow("A/row", "rows of upper layers are no records")));
  };
  expect_refused(replica_->store());
  EXPECT_EQ(Held(), held);
  replica_.reset();
  {
    auto plain = *Store::Open(replica_path_, {}, runtime_);
    expect_refused(*plain);
  }
  OpenReplica();
  Delete("users", "1");
  EXPECT_EQ(Pull().deleted, 1U);
  EXPECT_EQ(Held(), Live());
}

// Contract 7 and 10: what is counted is what the instructions said.
TEST_F(ReplicaTest, CountsByTheWordsOfItsInstructions) {
  Put("users", "1", "a");
  Put("users", "2", "a");
  Pull();
  Delete("users", "1");
  Put("users", "1", "a new life");
  PullResult pulled = Pull();
  EXPECT_EQ(pulled.created, 1U);
  EXPECT_EQ(pulled.updated, 0U);
  ASSERT_OK(source_->Reset("tablet"));
  Delete("users", "2");
  pulled = Pull();
  EXPECT_TRUE(pulled.reset);
  EXPECT_EQ(pulled.deleted, 1U) << "a reset drops what it does not list";
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, KeepsEventsAsEvents) {
  WriteBatch batch;
  batch.Append("events", RecordId("e"), "first").Append("events", "without an id");
  ASSERT_OK(store_->Commit(batch));
  const std::vector<Page> pages = Pages(1);
  for (const Page& page : pages) EXPECT_OK(replica_->Apply(page.bytes));
  EXPECT_EQ(Held(), Live());
  const auto info = replica_->store().FindEntity("events");
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->declaration.kind, EntityKind::kIncremental);
  const SequenceNumber last = replica_->store().last_sequence();
  for (const Page& page : pages) {
    const auto again = replica_->Apply(page.bytes);
    ASSERT_OK(again);
    EXPECT_EQ(again->unchanged, 1U);
  }
  EXPECT_EQ(replica_->store().last_sequence(), last) << "a repetition is no change";
}

TEST_F(ReplicaTest, EventsThatAreEmptiedLeaveAndAnIdThatIsUsedAgainIsReplaced) {
  WriteBatch batch;
  batch.Append("events", RecordId("again"), "first").Append("events", RecordId("gone"), "x");
  ASSERT_OK(store_->Commit(batch));
  Pull();
  ASSERT_OK(store_->Empty("events"));
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("again"), "second")));
  const PullResult pulled = Pull();
  EXPECT_EQ(pulled.created, 1U);
  EXPECT_EQ(pulled.deleted, 1U);
  EXPECT_EQ(Held(), (std::map<std::string, std::string>{{"events/again", "second"}}));
}

TEST_F(ReplicaTest, EventsTrimmedAtTheSourceStayAndAResetDropsThem) {
  for (const std::string id : {"a", "b"}) {
    ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId(id), "x")));
  }
  Pull();
  ASSERT_OK(source_->Trim("events", SequenceNumber(1)));
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("c"), "x")));
  Pull();
  EXPECT_EQ(Held().size(), 3U);
  ASSERT_OK(source_->Reset("tablet"));
  EXPECT_TRUE(Pull().reset);
  EXPECT_EQ(Held(), Live());
  EXPECT_EQ(Held().size(), 2U);
}

TEST_F(ReplicaTest, FollowsAnEntityThatIsDeclaredAnewAsAnotherKind) {
  Put("things", "both", "as a record");
  Put("things", "record", "x");
  Pull();
  ASSERT_OK(store_->Drop("things"));
  ASSERT_OK(store_->Commit(WriteBatch().Append("things", RecordId("both"), "as an event")));
  const std::vector<Page> pages = Pages(1);
  ASSERT_EQ(pages.size(), 2U);
  // In any order: nothing that is held depends on the kind.
  EXPECT_OK(replica_->Apply(pages[1].bytes));
  EXPECT_OK(replica_->Apply(pages[0].bytes));
  EXPECT_OK(source_->Acknowledge("tablet", {pages[0].token, pages[1].token}));
  EXPECT_EQ(Held(), Live());
  EXPECT_EQ(replica_->store().FindEntity("things")->declaration.kind, EntityKind::kIncremental);
  ASSERT_OK(store_->Drop("things"));
  Put("things", "both", "as a record again");
  Pull();
  EXPECT_EQ(Held(), Live());
  EXPECT_EQ(replica_->store().FindEntity("things")->declaration.kind, EntityKind::kSnapshot);
}

TEST_F(ReplicaTest, AnOlderSourceDoesNotSayOfWhichKindEntitiesAre) {
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("e"), "x")));
  const auto without_kinds = [](const std::string& page) {
    const auto rows = BatchView::Parse(page, BatchKind::kPage);
    BatchBuilder builder;
    for (size_t i = 0; i < rows->entity_count(); ++i) {
      builder.Entity(rows->entity_name(static_cast<uint16_t>(i)));
    }
    for (size_t i = 0; i < rows->size(); ++i) builder.Add(rows->row(i));
    return builder.Finish(rows->header());
  };
  std::vector<Page> pages = Pages(10);
  EXPECT_OK(replica_->Apply(without_kinds(pages[0].bytes)));
  EXPECT_EQ(replica_->store().FindEntity("events")->declaration.kind, EntityKind::kSnapshot);
  // Not acknowledged: the source is replaced by a newer one, and says it again.
  Pull();
  EXPECT_EQ(replica_->store().FindEntity("events")->declaration.kind, EntityKind::kIncremental);
  EXPECT_EQ(Held(), Live());
  // And once known, the kind stays.
  ASSERT_OK(store_->Commit(WriteBatch().Append("events", RecordId("f"), "x")));
  pages = Pages(10);
  EXPECT_OK(replica_->Apply(without_kinds(pages[0].bytes)));
  EXPECT_EQ(replica_->store().FindEntity("events")->declaration.kind, EntityKind::kIncremental);
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, PagesMayBeLostRepeatedAndReordered) {
  for (int i = 0; i < 6; ++i) Put("users", std::to_string(i), "x");
  const std::vector<Page> pages = Pages(2);
  ASSERT_EQ(pages.size(), 3U);
  EXPECT_OK(replica_->Apply(pages[2].bytes));
  const auto first = replica_->Apply(pages[0].bytes);
  ASSERT_OK(first);
  EXPECT_EQ(first->created, 2U);
  const auto again = replica_->Apply(pages[0].bytes);
  ASSERT_OK(again);
  EXPECT_EQ(again->unchanged, 2U);
  EXPECT_OK(source_->Acknowledge("tablet", {pages[2].token, pages[0].token}));
  // Page two was lost. Its content comes again, and nothing else: having applied pages out of order
  // does not look like having lost some.
  const PullResult pulled = Pull();
  EXPECT_FALSE(pulled.reset);
  EXPECT_EQ(pulled.created, 2U);
  EXPECT_EQ(pulled.unchanged, 0U);
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, Case14LateDeleteOfAnOldLife) {
  Put("users", "1", "a");
  Pull();
  Delete("users", "1");
  const std::vector<Page> late = Pages(100);
  ASSERT_EQ(late.size(), 1U);
  Put("users", "1", "new life");
  Pull();
  ExpectRefused(late[0].bytes, StatusIs(ErrorCode::kStalePage));
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, Case44DamagedForeignAndReplayedPages) {
  Put("users", "1", "a");
  Put("users", "2", "b");
  const std::vector<Page> pages = Pages(1);
  ASSERT_EQ(pages.size(), 2U);
  const std::string& bytes = pages[0].bytes;
  for (size_t size = 0; size < bytes.size(); size += 7) {
    ExpectRefused(bytes.substr(0, size), StatusIs(ErrorCode::kMalformedBatch));
  }
  for (size_t at = 0; at < bytes.size(); at += 5) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    ExpectRefused(flipped,
                  AnyOf(StatusIs(ErrorCode::kMalformedBatch), StatusIs(ErrorCode::kNewerFormat)));
  }
  test::MapDevice phone = Device("phone");
  ASSERT_TRUE(phone.Start());
  ExpectRefused(phone.Read().bytes, StatusIs(ErrorCode::kWrongDevice));
  EXPECT_OK(replica_->Apply(bytes));
  Pull();
  ExpectRefused(pages[1].bytes, StatusIs(ErrorCode::kStalePage));
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, PagesOfAnotherStoreAreRefused) {
  Put("users", "1", "a");
  Pull();
  auto other_store = Store::Open(directory_.path() / "other", {}, runtime_);
  ASSERT_OK(other_store);
  ASSERT_OK((*other_store)->Commit(WriteBatch().Put("users", "2", "b")));
  auto other = Source::Open(**other_store);
  ASSERT_OK(other);
  auto session = (*other)->StartSession({.device = "tablet"});
  ASSERT_OK(session);
  const auto page = (*other)->NextPage((*session)->id);
  ASSERT_OK(page);
  ExpectRefused((*page)->bytes, StatusIs(ErrorCode::kWrongDevice));
}

TEST_F(ReplicaTest, PagesCutShortByACrash) {
  for (int i = 0; i < 6; ++i) Put("users", std::to_string(i), "x");
  std::vector<Page> pages = Pages(2);
  ASSERT_OK(replica_->Apply(pages[0].bytes));
  KillReplica();
  EXPECT_EQ(Held().size(), 2U) << "a page is applied as a whole and durable";
  ASSERT_OK(replica_->Apply(pages[1].bytes)) << "the session goes on";
  EXPECT_OK(source_->Acknowledge("tablet", {pages[0].token, pages[1].token}));
  KillReplica();
  const PullResult pulled = Pull();
  EXPECT_FALSE(pulled.reset);
  EXPECT_EQ(pulled.created, 2U);
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, TheDirectoryOfAnotherDeviceIsRefused) {
  replica_.reset();
  EXPECT_THAT(Replica::Open(replica_path_, "phone", options_, runtime_),
              StatusIs(ErrorCode::kWrongDevice));
  {
    const auto whoever = Replica::Open(replica_path_, "", options_, runtime_);
    ASSERT_OK(whoever);
    EXPECT_EQ((*whoever)->device(), "tablet");
  }
  EXPECT_THAT(Replica::Open(directory_.path() / "new", "", options_, runtime_),
              StatusIs(ErrorCode::kNotFound));
  OpenReplica();
}

TEST_F(ReplicaTest, AResetDropsGhostsAndNeverEmptiesAnEntity) {
  WriteBatch batch;
  for (int i = 0; i < 500; ++i) batch.Put("users", std::to_string(1000 + i), "x");
  ASSERT_OK(store_->Commit(batch));
  Pull();
  ASSERT_OK(source_->Forget("tablet"));
  for (int i = 0; i < 50; ++i) Delete("users", std::to_string(1000 + i));
  EXPECT_OK(source_->Purge());

  std::atomic<bool> stop = false;
  std::atomic<int> scans = 0;
  std::thread reader([&] {
    while (!stop) {
      uint64_t count = 0;
      RecordIterator records = replica_->store().GetView().Scan("users", ScanOptions{});
      while (records.Next()) ++count;
      EXPECT_OK(records.status());
      EXPECT_GE(count, 450U) << "a reader saw an emptied entity";
      ++scans;
    }
  });
  while (scans == 0) std::this_thread::yield();
  options_.page.records_max = 50;
  const PullResult pulled = Pull();
  stop = true;
  reader.join();
  EXPECT_TRUE(pulled.reset);
  EXPECT_EQ(pulled.unchanged, 450U);
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(ReplicaTest, AResetCutShortGoesOnAfterACrash) {
  for (int i = 0; i < 6; ++i) Put("users", std::to_string(i), "x");
  Pull();
  ASSERT_OK(source_->Reset("tablet"));
  Delete("users", "0");
  Delete("users", "1");
  std::vector<Page> pages = Pages(2);
  EXPECT_TRUE(session_.reset);
  ASSERT_OK(replica_->Apply(pages[0].bytes));
  KillReplica();
  EXPECT_EQ(Held().size(), 6U);
  ASSERT_OK(replica_->Apply(pages[1].bytes));
  // Everything arrived and is acknowledged, but the replica dies before it drops the ghosts.
  EXPECT_OK(source_->Acknowledge("tablet", {pages[0].token, pages[1].token}));
  KillReplica();
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, APullThatFindsNothingLeavesTheDeviceNew) {
  EXPECT_TRUE(Pull().nothing_owed);
  EXPECT_TRUE(Pull().nothing_owed);
  Put("users", "1", "a");
  const PullResult first = Pull();
  EXPECT_FALSE(first.reset) << "nothing was ever held that a reset could drop";
  EXPECT_EQ(first.created, 1U);
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, APullThatFindsOnlyDeletionsLeavesTheDeviceNew) {
  test::MapDevice other = Device("other");
  Put("users", "1", "a");
  other.Sync();
  Delete("users", "1");
  ASSERT_GT(Tombstones(), 0U);
  EXPECT_TRUE(Pull().nothing_owed);
  Put("users", "2", "b");
  EXPECT_FALSE(Pull().reset);
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, AReplicaMadeAnewAfterAnEmptyPullIsNoReset) {
  EXPECT_TRUE(Pull().nothing_owed);
  replica_.reset();
  fs::remove_all(replica_path_);
  OpenReplica();
  Put("users", "1", "a");
  EXPECT_FALSE(Pull().reset);
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, Case17RestoredFromItsOwnBackup) {
  Put("users", "1", "a");
  Pull();
  replica_.reset();
  const fs::path backup = directory_.path() / "backup";
  CopyStore(replica_path_, backup);
  OpenReplica();
  Put("users", "2", "b");
  Delete("users", "1");
  Pull();
  replica_.reset();
  CopyStore(backup, replica_path_);
  OpenReplica();
  EXPECT_TRUE(Pull().reset);
  EXPECT_EQ(Held(), Live());
}

TEST_F(ReplicaTest, Case18WipedReplica) {
  Put("users", "1", "a");
  Pull();
  replica_.reset();
  fs::remove_all(replica_path_);
  OpenReplica();
  EXPECT_TRUE(Pull().reset);
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(ReplicaTest, FollowsItsSourceIntoANewEpoch) {
  Put("users", "1", "a");
  Pull();
  Put("users", "1", "late");
  const Page late = Pages(1).front();
  ASSERT_OK(store_->BeginEpoch("test"));
  Put("users", "2", "b");
  PullResult pulled = Pull();
  EXPECT_FALSE(pulled.reset) << "it shows a position at the branch";
  EXPECT_EQ(pulled.created, 1U);
  ExpectRefused(late.bytes, StatusIs(ErrorCode::kWrongEpoch));

  // A source that was rewound to before what the replica has, unnoticed.
  Close();
  const fs::path copy = directory_.path() / "copy";
  CopyStore(path_, copy);
  Open();
  for (int i = 0; i < 3; ++i) {
    Put("users", "lost", std::to_string(i));
    Pull();
  }
  Close();
  CopyStore(copy, path_);
  Open();
  Put("users", "3", "c");
  pulled = Pull();
  EXPECT_TRUE(pulled.reset) << "its position proves that history was lost";
  EXPECT_EQ(Held(), Live());
  EXPECT_TRUE(Pull().nothing_owed);
}

TEST_F(ReplicaTest, ProgressAndAcksInGroups) {
  options_.page.records_max = 2;
  options_.pages_per_ack = 3;
  OpenReplica();
  for (int i = 0; i < 9; ++i) Put("users", std::to_string(i), "x");
  LocalTransport transport(*source_);
  uint64_t calls = 0;
  const auto pulled = replica_->Pull(transport, [&](const PullProgress& progress) {
    ++calls;
    EXPECT_EQ(progress.owed, 9U);
    EXPECT_EQ(progress.pages, calls);
    EXPECT_LE(progress.records, progress.owed);
    EXPECT_GT(progress.bytes, 0U);
  });
  ASSERT_OK(pulled);
  EXPECT_EQ(calls, 5U);
  EXPECT_TRUE(source_->GetDevice("tablet")->at_rest);
}

/// A source whose sessions have always expired.
class ExpiringTransport final : public Transport {
 public:
  Result<std::optional<SessionInfo>> Start(const Hello&) override {
    return std::optional(SessionInfo{.id = "s", .number = ++starts, .owed = 1});
  }
  Result<std::optional<Page>> Next(std::string_view, const PageOptions&) override {
    return Status(ErrorCode::kSessionExpired, "too late");
  }
  Result<AckResult> Acknowledge(std::string_view, const std::vector<std::string>&) override {
    return AckResult();
  }
  uint64_t starts = 0;
};

TEST_F(ReplicaTest, APullTriesThreeSessions) {
  ExpiringTransport transport;
  EXPECT_THAT(replica_->Pull(transport), StatusIs(ErrorCode::kSessionExpired));
  EXPECT_EQ(transport.starts, 3U);
}

}  // namespace
}  // namespace tidemark
