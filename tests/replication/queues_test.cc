// Queues beside `main`: order of importance, what belongs where, counts, and that a session hands
// out each instruction once, whichever queues are asked.
#include "replication/replica.h"
#include "replication/transport.h"
#include "tests/replication/source_fixture.h"

namespace tidemark {
namespace {

using test::IsDrained;
using test::MapDevice;
using test::ToTexts;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::tidemark::test::StatusIs;
using Texts = std::vector<std::string>;

class QueuesTest : public test::SourceTest {
 protected:
  void DeclareKeys() {
    EntityDeclaration declaration;
    declaration.keys = {{{"state"}}, {{"owner"}}};
    ASSERT_OK(store_->Declare("visits", declaration));
  }
  Status DeclareQueue(const std::string& name, uint32_t order, const std::string& entities) const {
    auto queue = QueueFromJson(
        name, R"({"order":)" + std::to_string(order) + R"(,"entities":)" + entities + "}");
    return queue.ok() ? source_->DeclareQueue(*queue) : queue.status();
  }
  /// `open` has the visits in that state, `notes` an entity.
  void DeclareTwo() {
    DeclareKeys();
    ASSERT_OK(DeclareQueue("open", 1, R"([{"entity":"visits","where":{"state":"open"}}])"));
    ASSERT_OK(DeclareQueue("notes", 2, R"(["notes"])"));
  }
  void PutVisit(const std::string& id, const std::string& state, int owner = 1) const {
    EXPECT_OK(
        store_->Commit(WriteBatch().Put("visits", id, Visit(state, owner), ValueKind::kJson)));
  }
  static std::string Visit(const std::string& state, int owner = 1) {
    return R"({"state":")" + state + R"(","owner":)" + std::to_string(owner) + "}";
  }
  void Grant(const std::string& device, const std::string& json) const {
    const auto rule = SelectionRuleFromJson(json);
    ASSERT_OK(rule);
    ASSERT_OK(source_->Select(device, *rule));
  }

  Result<std::optional<Page>> Next(const MapDevice& device,
                                   const std::string& queue,
                                   size_t records_max = kPageRecordsDefault) const {
    return source_->NextPage(device.session().id, {.records_max = records_max, .queue = queue});
  }
  /// Reads, applies and acknowledges what is left of a queue. Returns what was told.
  Texts Drain(MapDevice& device, const std::string& queue, size_t records_max = 2) const {
    Texts told;
    while (true) {
      const auto page = Next(device, queue, records_max);
      EXPECT_OK(page);
      if (!page.ok() || !page->has_value()) return told;
      for (std::string& text : ToTexts((*page)->bytes)) told.push_back(std::move(text));
      device.Apply(**page);
      device.Acknowledge({(*page)->token});
    }
  }
  bool AtRest(const std::string& device = "tablet") const {
    const auto info = source_->GetDevice(device);
    return info.ok() && info->at_rest;
  }
};

TEST_F(QueuesTest, TheMostImportantComeFirstAndMainHasTheRest) {
  DeclareTwo();
  PutVisit("v1", "closed");
  Put("notes", "n1", "a");
  PutVisit("v2", "open");
  Put("users", "u1", "b");
  Put("notes", "n2", "c");
  PutVisit("v3", "open");

  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().owed, 6U);
  ASSERT_THAT(device.session().queues, SizeIs(2));
  EXPECT_EQ(device.session().queues[0].name, "open");
  EXPECT_EQ(device.session().queues[0].owed, 2U);
  EXPECT_EQ(device.session().queues[1].name, "notes");
  EXPECT_EQ(device.session().queues[1].owed, 2U);

  EXPECT_THAT(
      Drain(device, "open"),
      ElementsAre("created visits/v2=" + Visit("open"), "created visits/v3=" + Visit("open")));
  EXPECT_THAT(Drain(device, "notes"), ElementsAre("created notes/n1=a", "created notes/n2=c"));
  EXPECT_FALSE(AtRest());
  EXPECT_THAT(Drain(device, "main"),
              ElementsAre("created visits/v1=" + Visit("closed"), "created users/u1=b"));
  EXPECT_TRUE(AtRest());
  EXPECT_EQ(device.map(), Live());
  EXPECT_FALSE(device.Start());
}

TEST_F(QueuesTest, AnOldClientThatDrainsOnlyMainGetsEverythingInOrder) {
  DeclareTwo();
  PutVisit("v1", "open");
  Put("notes", "n1", "a");
  Put("users", "u1", "b");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  EXPECT_THAT(
      device.Drain(1),
      ElementsAre(
          "created visits/v1=" + Visit("open"), "created notes/n1=a", "created users/u1=b"));
  EXPECT_TRUE(AtRest());
  EXPECT_THAT(Next(device, "open"), IsDrained());
}

TEST_F(QueuesTest, WorkersOnDifferentQueuesNeverGetTheSame) {
  DeclareTwo();
  for (int i = 0; i < 5; ++i) {
    Put("users", "u" + std::to_string(i), "x");
    Put("notes", "n" + std::to_string(i), "x");
  }
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  Texts told;
  const auto read = [&](const std::string& queue, size_t records) {
    const auto page = Next(device, queue, records);
    ASSERT_TRUE(page.ok() && page->has_value()) << queue;
    for (std::string& text : ToTexts((*page)->bytes)) told.push_back(std::move(text));
  };
  read("notes", 2);  // n0 n1
  read("main", 3);   // u0 u1 u2
  read("notes", 1);  // n2, for main has passed it only if it was told
  read("main", 4);
  EXPECT_THAT(told,
              ElementsAre("created notes/n0=x",
                          "created notes/n1=x",
                          "created users/u0=x",
                          "created users/u1=x",
                          "created users/u2=x",
                          "created notes/n2=x",
                          "created users/u3=x",
                          "created notes/n3=x",
                          "created users/u4=x",
                          "created notes/n4=x"));
  EXPECT_THAT(Next(device, "notes"), IsDrained());
  EXPECT_THAT(Next(device, "main"), IsDrained());
}

TEST_F(QueuesTest, CountsLeftAreOfTheQueueAndOfMainAreAll) {
  DeclareTwo();
  for (int i = 0; i < 3; ++i) {
    Put("notes", "n" + std::to_string(i), "x");
    PutVisit("v" + std::to_string(i), i == 0 ? "open" : "closed");
  }
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().owed, 6U);
  EXPECT_EQ((*Next(device, "notes", 1))->left, 2U);
  EXPECT_EQ((*Next(device, "main", 2))->left, 3U) << "v0 and n1";
  EXPECT_THAT(Next(device, "open"), IsDrained()) << "main had it";
  EXPECT_EQ((*Next(device, "notes", 1))->left, 0U) << "n2";
  EXPECT_EQ((*Next(device, "main", 1))->left, 1U);
  EXPECT_EQ((*Next(device, "main", 1))->left, 0U);
  EXPECT_THAT(Next(device, "main"), IsDrained());
}

TEST_F(QueuesTest, CountsOfAFirstDrainAreExactAlsoWhereAQueueTakesSomeOfAnEntity) {
  DeclareKeys();
  ASSERT_OK(DeclareQueue("open", 1, R"([{"entity":"visits","where":{"state":"open"}}])"));
  ASSERT_OK(DeclareQueue("mine", 2, R"([{"entity":"visits","where":{"owner":[1,2]}}])"));
  ASSERT_OK(DeclareQueue("visits", 3, R"(["visits"])"));
  uint64_t open = 0;
  uint64_t mine = 0;
  for (int i = 0; i < 300; ++i) {
    const bool is_open = i % 3 == 0;
    const int owner = i % 5;
    PutVisit("v" + std::to_string(i), is_open ? "open" : "closed", owner);
    open += is_open ? 1 : 0;
    mine += !is_open && (owner == 1 || owner == 2) ? 1 : 0;
  }
  ASSERT_OK(store_->Compact());
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().owed, 300U);
  const std::vector<QueueInfo>& queues = device.session().queues;
  EXPECT_EQ(queues[0].owed, open);
  EXPECT_EQ(queues[1].owed, mine);
  EXPECT_EQ(queues[2].owed, 300 - open - mine);
  EXPECT_EQ(queues[0].pages, 1U);
  EXPECT_THAT(Drain(device, "open", 7), SizeIs(open));
  EXPECT_THAT(Drain(device, "mine", 7), SizeIs(mine));
  EXPECT_THAT(Drain(device, "visits", 7), SizeIs(300 - open - mine));
  EXPECT_TRUE(AtRest()) << "all was handed out, so that main need not be asked";
  EXPECT_THAT(Next(device, "main"), IsDrained());
}

TEST_F(QueuesTest, ARecordBelongsToTheQueueOfTheCutAlsoWhenItMovesDuringTheSession) {
  DeclareKeys();
  ASSERT_OK(DeclareQueue("open", 1, R"([{"entity":"visits","where":{"state":"open"}}])"));
  ASSERT_OK(DeclareQueue("closed", 2, R"([{"entity":"visits","where":{"state":"closed"}}])"));
  PutVisit("v1", "open");
  PutVisit("v2", "open");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  PutVisit("v1", "closed");
  EXPECT_THAT(Drain(device, "closed"), IsEmpty());
  EXPECT_THAT(
      Drain(device, "open"),
      ElementsAre("created visits/v1=" + Visit("open"), "created visits/v2=" + Visit("open")));
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().queues[0].owed, 0U);
  EXPECT_EQ(device.session().queues[1].owed, 1U);
  EXPECT_THAT(Drain(device, "open"), IsEmpty());
  EXPECT_THAT(Drain(device, "closed"), ElementsAre("updated visits/v1=" + Visit("closed")));
  EXPECT_TRUE(AtRest());
}

TEST_F(QueuesTest, DeletionsBelongToAQueueByTheirEntityElseToMain) {
  DeclareTwo();
  PutVisit("v1", "open");
  Put("notes", "n1", "a");
  MapDevice device = Device();
  device.Sync();
  Delete("visits", "v1");
  Delete("notes", "n1");
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().queues[0].owed, 0U);
  EXPECT_EQ(device.session().queues[1].owed, 1U);
  EXPECT_THAT(Drain(device, "open"), IsEmpty());
  EXPECT_THAT(Drain(device, "notes"), ElementsAre("deleted notes/n1"));
  EXPECT_THAT(Drain(device, "main"), ElementsAre("deleted visits/v1"));
  EXPECT_TRUE(AtRest());
}

TEST_F(QueuesTest, ARecordThatLeftTheSelectionIsNotToldByTheQueueThatItWentTo) {
  DeclareTwo();
  PutVisit("v1", "closed", 1);
  Grant("tablet", R"({"entities":[{"entity":"visits","where":{"owner":1}}]})");
  MapDevice device = Device();
  device.Sync();
  PutVisit("v1", "open", 2);
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().queues[0].owed, 0U) << "the device may not know that it is open";
  EXPECT_THAT(Drain(device, "open"), IsEmpty());
  EXPECT_THAT(Drain(device, "main"), ElementsAre("deleted visits/v1"));
}

TEST_F(QueuesTest, AQueueShowsNothingOutsideTheSelection) {
  DeclareTwo();
  PutVisit("mine", "open", 1);
  PutVisit("theirs", "open", 2);
  Put("notes", "n1", "a");
  Grant("tablet", R"({"entities":[{"entity":"visits","where":{"owner":1}}]})");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().queues[0].owed, 1U);
  EXPECT_EQ(device.session().queues[1].owed, 0U);
  EXPECT_THAT(Drain(device, "notes"), IsEmpty());
  EXPECT_THAT(Drain(device, "open"), ElementsAre("created visits/mine=" + Visit("open", 1)));
  EXPECT_TRUE(AtRest());
}

TEST_F(QueuesTest, ARevocationIsObeyedInTheMiddleOfAQueue) {
  DeclareTwo();
  for (int i = 0; i < 4; ++i) PutVisit("v" + std::to_string(i), "open");
  Put("notes", "n1", "a");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  const auto page = Next(device, "open", 2);
  ASSERT_TRUE(page.ok() && page->has_value());
  device.Apply(**page);
  device.Acknowledge({(*page)->token});
  Grant("tablet", R"({"entities":["notes"]})");
  EXPECT_THAT(Drain(device, "open"), IsEmpty());
  EXPECT_THAT(Drain(device, "main"), ElementsAre("created notes/n1=a"));
  EXPECT_FALSE(AtRest()) << "something was withheld";
  EXPECT_THAT(device.Sync(), ElementsAre("deleted visits/v0", "deleted visits/v1"));
  EXPECT_TRUE(AtRest());
  EXPECT_THAT(device.map(), SizeIs(1));
}

TEST_F(QueuesTest, ASessionKeepsTheQueuesOfItsStart) {
  DeclareTwo();
  PutVisit("v1", "open");
  Put("notes", "n1", "a");
  Put("users", "u1", "b");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  ASSERT_OK(source_->DropQueue("notes"));
  ASSERT_OK(DeclareQueue("open", 1, R"(["users"])"));
  ASSERT_OK(DeclareQueue("later", 1, R"(["users"])"));
  EXPECT_THAT(Next(device, "later"), StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(Drain(device, "notes"), ElementsAre("created notes/n1=a"));
  EXPECT_THAT(Drain(device, "open"), ElementsAre("created visits/v1=" + Visit("open")));
  EXPECT_THAT(Drain(device, "main"), ElementsAre("created users/u1=b"));
  EXPECT_TRUE(AtRest());
  Put("users", "u2", "c");
  ASSERT_TRUE(device.Start());
  EXPECT_THAT(Next(device, "notes"), StatusIs(ErrorCode::kNotFound));
  EXPECT_EQ(device.session().queues.front().name, "later") << "of equal order, by name";
  EXPECT_THAT(Drain(device, "later"), ElementsAre("created users/u2=c"));
}

TEST_F(QueuesTest, ALostPageOfAQueueComesInTheNextSession) {
  DeclareTwo();
  PutVisit("v1", "open");
  PutVisit("v2", "open");
  Put("users", "u1", "b");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  ASSERT_OK(Next(device, "open", 1));  // its answer is lost
  EXPECT_THAT(Drain(device, "main"),
              ElementsAre("created visits/v2=" + Visit("open"), "created users/u1=b"));
  EXPECT_FALSE(AtRest());
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().queues[0].owed, 1U);
  EXPECT_THAT(Drain(device, "open"), ElementsAre("created visits/v1=" + Visit("open")));
  EXPECT_TRUE(AtRest());
}

TEST_F(QueuesTest, SingleKeysOfSeveralQueuesAreTakenInAnyOrderAlsoAfterARestart) {
  DeclareTwo();
  for (int i = 0; i < 3; ++i) {
    Put("users", "u" + std::to_string(i), "x");
    Put("notes", "n" + std::to_string(i), "x");
    PutVisit("v" + std::to_string(i), "open");
  }
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  std::vector<std::string> keys;
  for (const char* queue : {"notes", "open", "main"}) {
    const auto page = Next(device, queue);
    ASSERT_TRUE(page.ok() && page->has_value());
    device.Apply(**page);
    for (std::string& key : device.Keys(**page)) keys.push_back(std::move(key));
  }
  ASSERT_THAT(keys, SizeIs(9));
  EXPECT_EQ(device.Acknowledge({keys[7], keys[0], keys[4]}).applied, 3U);
  Reopen();
  device.Move(*source_);
  std::reverse(keys.begin(), keys.end());
  const AckResult rest = device.Acknowledge(keys);
  EXPECT_EQ(rest.applied, 6U);
  EXPECT_EQ(rest.repeated, 3U);
  EXPECT_EQ(rest.ignored, 0U);
  EXPECT_TRUE(AtRest());
}

TEST_F(QueuesTest, ACrashBetweenQueuesLosesNothing) {
  DeclareTwo();
  PutVisit("v1", "open");
  Put("notes", "n1", "a");
  Put("users", "u1", "b");
  MapDevice device = Device();
  ASSERT_TRUE(device.Start());
  EXPECT_THAT(Drain(device, "open"), SizeIs(1));
  Reopen();
  device.Move(*source_);
  EXPECT_THAT(Next(device, "notes"), StatusIs(ErrorCode::kSessionExpired));
  ASSERT_THAT(source_->ListQueues(), SizeIs(2));
  ASSERT_TRUE(device.Start());
  EXPECT_EQ(device.session().queues[0].owed, 0U);
  EXPECT_THAT(Drain(device, "notes"), ElementsAre("created notes/n1=a"));
  EXPECT_THAT(Drain(device, "main"), ElementsAre("created users/u1=b"));
  EXPECT_TRUE(AtRest());
}

TEST_F(QueuesTest, AReplicaDrainsByImportanceAndIsWholeAtTheEnd) {
  DeclareTwo();
  Put("users", "u1", "b");
  Put("notes", "n1", "a");
  PutVisit("v1", "open");
  PutVisit("v2", "open");
  auto replica = Replica::Open(directory_.path() / "replica", "tablet", {}, runtime_);
  ASSERT_OK(replica);
  LocalTransport transport(*source_);
  Texts seen;
  const auto pulled = (*replica)->Pull(transport, [&](const PullProgress& progress) {
    seen.push_back(progress.queue + " " + std::to_string(progress.queue_records) + "/" +
                   std::to_string(progress.queue_owed) + " of " + std::to_string(progress.owed));
  });
  ASSERT_OK(pulled);
  EXPECT_EQ(pulled->created, 4U);
  EXPECT_THAT(seen, ElementsAre("open 2/2 of 4", "notes 1/1 of 4", "main 1/1 of 4"));
  EXPECT_TRUE(AtRest());
  // A reset sweeps only when every queue was drained.
  Delete("users", "u1");
  ASSERT_OK(source_->Forget("tablet"));
  ASSERT_OK(source_->Purge());
  const auto again = (*replica)->Pull(transport);
  ASSERT_OK(again);
  EXPECT_TRUE(again->reset);
  EXPECT_EQ(again->deleted, 1U);
  const auto kept = (*replica)->store().Get("visits", "v1");
  ASSERT_OK(kept);
  EXPECT_TRUE(kept->has_value());
}

TEST_F(QueuesTest, DeclarationsAreCheckedAndBounded) {
  EXPECT_THAT(DeclareQueue("main", 0, R"(["users"])"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(DeclareQueue("a b", 0, R"(["users"])"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(DeclareQueue("none", 0, "[]"), StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_OK(DeclareQueue("last", kQueueOrderMax, R"(["users"])"));
  EXPECT_THAT(DeclareQueue("beyond", kQueueOrderMax + 1, R"(["users"])"),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(source_->DeclareQueue({.name = "all", .parts = SelectionRule::Everything()}),
              StatusIs(ErrorCode::kInvalidArgument));
  EXPECT_THAT(DeclareQueue("undeclared", 0, R"([{"entity":"visits","where":{"state":"open"}}])"),
              StatusIs(ErrorCode::kInvalidArgument));
  DeclareKeys();
  const auto with_parts = [&](size_t parts) {
    std::string values;
    for (size_t i = 0; i < parts; ++i) values += (i == 0 ? "" : ",") + std::to_string(i);
    return DeclareQueue("many", 0, R"([{"entity":"visits","where":{"owner":[)" + values + "]}}]");
  };
  EXPECT_OK(with_parts(kQueuePartsMax));
  EXPECT_THAT(with_parts(kQueuePartsMax + 1), StatusIs(ErrorCode::kTooLarge));
  for (size_t i = 2; i < kQueuesMax; ++i) {
    EXPECT_OK(DeclareQueue("q" + std::to_string(i), 0, R"(["users"])"));
  }
  EXPECT_THAT(DeclareQueue("one-more", 0, R"(["users"])"), StatusIs(ErrorCode::kTooLarge));
  EXPECT_OK(DeclareQueue("last", 3, R"(["notes"])")) << "replaces";
  EXPECT_THAT(source_->DropQueue("one-more"), StatusIs(ErrorCode::kNotFound));
  EXPECT_OK(source_->DropQueue("last"));
  EXPECT_OK(DeclareQueue("one-more", 0, R"(["users"])"));
  const std::vector<QueueDeclaration> before = source_->ListQueues();
  Reopen();
  EXPECT_EQ(source_->ListQueues(), before);
}

TEST_F(QueuesTest, DeclarationsAreReadStrictly) {
  const auto queue = QueueFromJson("open", R"({"order":7,"entities":["users"]})");
  ASSERT_OK(queue);
  EXPECT_EQ(queue->order, 7U);
  EXPECT_EQ(QueueToJson(*queue), R"({"order":7,"entities":["users"]})");
  EXPECT_EQ(QueueFromJson("open", R"({"entities":["users"]})")->order, 0U);
  for (const char* json : {R"({"order":1})",
                           R"({"order":-1,"entities":["users"]})",
                           R"({"order":"1","entities":["users"]})",
                           R"({"order":1,"entities":"users"})",
                           R"({"order":1,"entities":[7]})",
                           R"({"order":1,"entities":["users"],"everything":true})"}) {
    EXPECT_THAT(QueueFromJson("open", json), StatusIs(ErrorCode::kInvalidArgument)) << json;
  }
}

}  // namespace
}  // namespace tidemark
