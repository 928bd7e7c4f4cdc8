// GET /v1/changes: pages, long polls, live events.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "server/feed.h"
#include "tests/server/faces/fixture.h"
#include "tests/server/faces/streams.h"

namespace tidemark::server::test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class FeedRoutesTest : public FacesTest {
 protected:
  FeedRoutesTest() : FacesTest({}, FeedRouteOptions{.heartbeat = milliseconds(50)}) {}

  void Write(const std::string& id, const std::string& data = "1") {
    ASSERT_THAT(Put("/v1/entities/contact/records/" + id, data),
                ::testing::Truly([](const auto& r) { return r.status < 300; }));
  }
  static std::vector<std::string> Lines(const http::Response& response) {
    std::vector<std::string> lines = SplitAt(response.body, '\n');
    EXPECT_EQ(lines.back(), "");
    lines.pop_back();
    return lines;
  }
  // "op entity id" of every line.
  static std::vector<std::string> Ops(const http::Response& response) {
    std::vector<std::string> ops;
    for (const std::string& line : Lines(response)) {
      ops.push_back(At(line, {"op"}) + " " + At(line, {"entity"}) + " " + At(line, {"id"}));
    }
    return ops;
  }
  static std::string LastCursor(const http::Response& response) {
    return At(Lines(response).back(), {"cursor"});
  }
  // The next chunk that is no comment.
  static std::string NextEvents(const http::Response& response) {
    while (true) {
      std::string chunk = Next(response);
      if (!chunk.starts_with(':')) return chunk;
    }
  }
};

TEST_F(FeedRoutesTest, AStreamHoldsAHundredLinesOr256KiBAtATime) {
  const auto lines_of_chunks = [&](int records, size_t bytes, std::vector<size_t> expected) {
    WriteBatch batch;
    for (int i = 0; i < records; ++i) {
      batch.Put("e" + std::to_string(bytes),
                std::to_string(i),
                "\"" + std::string(bytes, 'x') + "\"",
                ValueKind::kJson);
    }
    const std::string before = Header(Get("/v1/changes?limit=1000"), "X-Tidemark-Cursor");
    ASSERT_OK(instance_->store().Commit(batch));
    const auto response = Get("/v1/changes?after=" + before, {{"Accept", "text/event-stream"}});
    for (const size_t lines : expected) {
      const std::string chunk = NextEvents(response);
      size_t found = 0;
      for (size_t at = chunk.find("data: "); at != std::string::npos;
           at = chunk.find("\ndata: ", at + 1)) {
        ++found;
      }
      EXPECT_EQ(found, lines);
    }
  };
  lines_of_chunks(100, 1, {100});
  lines_of_chunks(101, 2, {100, 1});
  lines_of_chunks(4, 100'000, {3, 1});
}

TEST_F(FeedRoutesTest, LinesHaveSevenMembers) {
  Write("1001", R"({"n":1})");
  const auto response = Get("/v1/changes");
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(response.content_type, "application/x-ndjson; charset=utf-8");
  const std::string line = Lines(response).at(0);
  EXPECT_EQ(line,
            R"({"cursor":")" + At(line, {"cursor"}) +
                R"(","sequence":1,"op":"put","entity":"contact","id":1001,"version":1,)" +
                R"("data":{"n":1}})");
  EXPECT_EQ(Header(response, "X-Tidemark-Cursor") == "-", false);
}

TEST_F(FeedRoutesTest, OnlyWhatIsCurrentAndDeletions) {
  Write("a");
  Write("b");
  Write("a", "2");
  Delete("/v1/entities/contact/records/b");
  Post("/v1/changes", R"({"op":"append","entity":"visit","id":"v","data":1})");
  const auto response = Get("/v1/changes?after=0");
  EXPECT_EQ(Ops(response),
            (std::vector<std::string>{"put contact a", "delete contact b", "append visit v"}));
  EXPECT_EQ(At(Lines(response)[1], {"data"}), "null");
}

TEST_F(FeedRoutesTest, AFollowerGoesOnAfterItsLastLine) {
  for (const char* id : {"a", "b", "c"}) Write(id);
  const auto first = Get("/v1/changes?limit=2");
  EXPECT_EQ(Ops(first), (std::vector<std::string>{"put contact a", "put contact b"}));
  const auto second = Get("/v1/changes?after=" + LastCursor(first));
  EXPECT_EQ(Ops(second), (std::vector<std::string>{"put contact c"}));
  const auto none = Get("/v1/changes?after=" + LastCursor(second));
  EXPECT_THAT(none, HasStatus(200));
  EXPECT_EQ(none.body, "");
  const std::string end = Header(none, "X-Tidemark-Cursor");
  Write("d");
  EXPECT_EQ(Ops(Get("/v1/changes?after=" + end)), (std::vector<std::string>{"put contact d"}));
}

TEST_F(FeedRoutesTest, ParametersAreChecked) {
  for (const char* query : {"after=1",
                            "after=",
                            "after=xyz",
                            "limit=0",
                            "limit=1001",
                            "wait=61",
                            "wait=-1",
                            "wait=x"}) {
    EXPECT_THAT(Get("/v1/changes?" + std::string(query)), IsError(422, "invalid_argument"))
        << query;
  }
}

TEST_F(FeedRoutesTest, ACursorOfAnotherStoreIsRefused) {
  Write("a");
  std::string cursor = LastCursor(Get("/v1/changes"));
  EXPECT_THAT(Get("/v1/changes?after=" + cursor), HasStatus(200));
  cursor[5] = cursor[5] == 'A' ? 'B' : 'A';
  EXPECT_THAT(Get("/v1/changes?after=" + cursor), IsError(422, "invalid_argument"));
}

TEST_F(FeedRoutesTest, ACursorOfAnotherEpochIs410) {
  Write("a");
  const std::string cursor = LastCursor(Get("/v1/changes"));
  ASSERT_OK(instance_->store().BeginEpoch("test"));
  EXPECT_THAT(Get("/v1/changes?after=" + cursor), IsError(410, "trimmed"));
  EXPECT_THAT(Get("/v1/changes?after=" + cursor, {{"Accept", "text/event-stream"}}),
              IsError(410, "trimmed"));
  EXPECT_THAT(Get("/v1/changes?after=0"), HasStatus(200));
}

TEST_F(FeedRoutesTest, ALongPollAnswersWhenSomethingComes) {
  Write("a");
  const std::string after = LastCursor(Get("/v1/changes"));
  Mailbox poll = Send(http::Method::kGet, "/v1/changes?wait=20&after=" + after);
  EXPECT_FALSE(poll.Wait(milliseconds(60)).has_value());
  Write("b");
  const auto response = poll.Wait();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(Ops(*response), (std::vector<std::string>{"put contact b"}));
}

TEST_F(FeedRoutesTest, ALongPollEndsEmptyAfterItsTime) {
  const auto start = std::chrono::steady_clock::now();
  const auto response = Get("/v1/changes?wait=1");
  EXPECT_THAT(response, HasStatus(200));
  EXPECT_EQ(response.body, "");
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(950));
}

TEST_F(FeedRoutesTest, LongPollsEndWhenTheServerDoes) {
  Mailbox poll = Send(http::Method::kGet, "/v1/changes?wait=60");
  instance_->waiters().Stop();
  const auto response = poll.Wait();
  ASSERT_TRUE(response.has_value());
  EXPECT_THAT(*response, HasStatus(200));
}

TEST_F(FeedRoutesTest, ManyPollsAreAnsweredByOneChange) {
  std::vector<Mailbox> polls;
  for (int i = 0; i < 200; ++i) {
    polls.push_back(Send(http::Method::kGet, "/v1/changes?wait=30"));
  }
  Write("a");
  for (Mailbox& poll : polls) {
    const auto response = poll.Wait();
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(Ops(*response), (std::vector<std::string>{"put contact a"}));
  }
}

TEST_F(FeedRoutesTest, EventsFollowLive) {
  Write("a");
  const auto response = Get("/v1/changes", {{"Accept", "text/event-stream"}});
  ASSERT_THAT(response, HasStatus(200));
  EXPECT_EQ(response.content_type, "text/event-stream; charset=utf-8");
  ASSERT_NE(response.stream, nullptr);
  EXPECT_EQ(Next(response), ": connected\n\n");
  const std::string first = NextEvents(response);
  EXPECT_THAT(first, StartsWith("id: "));
  EXPECT_THAT(first, HasSubstr(R"("id":"a")"));
  EXPECT_THAT(Next(response), StartsWith(":"));  // a heartbeat
  Write("b");
  const std::string second = NextEvents(response);
  EXPECT_THAT(second, HasSubstr(R"("id":"b")"));
  EXPECT_EQ(second.find(R"("id":"a")"), std::string::npos);

  const std::string last_id = second.substr(4, second.find('\n') - 4);
  Write("c");
  const auto resumed =
      Get("/v1/changes?after=0", {{"Accept", "text/event-stream"}, {"Last-Event-ID", last_id}});
  const std::string third = NextEvents(resumed);
  EXPECT_THAT(third, HasSubstr(R"("id":"c")"));
  EXPECT_EQ(third.find(R"("id":"b")"), std::string::npos);
}

TEST_F(FeedRoutesTest, AStreamEndsWhenTheServerDoes) {
  const auto response = Get("/v1/changes", {{"Accept", "text/event-stream"}});
  Next(response);
  instance_->waiters().Stop();
  EXPECT_EQ(NextEvents(response), "");
}

TEST_F(FeedRoutesTest, AClientThatLeavesIsForgotten) {
  {
    const auto response = Get("/v1/changes", {{"Accept", "text/event-stream"}});
    Next(response);
    EXPECT_EQ(Next(response), ": alive\n\n");  // from now on it waits for a change
    response.stream->Next([](const std::optional<std::string>&) { FAIL() << "nobody is there"; });
  }
  Write("a");
  std::this_thread::sleep_for(milliseconds(100));
}

// Deletions are kept for followers for no time at all.
class FeedHorizonTest : public ::testing::Test {
 protected:
  FeedHorizonTest() {
    StoreOptions options;
    options.durability = Durability::kOrder;
    options.follower_retention_ms = 0;
    auto store = Store::Open(directory_.path(), options);
    EXPECT_OK(store);
    store_ = std::move(store).value();
  }
  FeedPage Read(const FeedPosition& from, uint64_t lines) {
    auto page = ReadFeed(*store_, from, lines, 1 << 20);
    EXPECT_OK(page);
    return page.ok() ? std::move(*page) : FeedPage();
  }
  void Put(const std::string& id) { ASSERT_OK(store_->Commit(WriteBatch().Put("e", id, "1"))); }
  void Delete(const std::string& id) { ASSERT_OK(store_->Commit(WriteBatch().Delete("e", id))); }

  tidemark::test::TempDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(FeedHorizonTest, WhoIsBelowTheHorizonIsTold) {
  Put("a");
  const FeedPosition old = Read({}, 1).end;
  Put("b");
  Delete("a");
  ASSERT_OK(store_->Compact());
  Put("c");
  ASSERT_OK(store_->Compact());
  ASSERT_GT(store_->trimmed_through(), old.head);
  EXPECT_THAT(ReadFeed(*store_, {old.head, kSequenceZero}, 10, 1 << 20),
              tidemark::test::StatusIs(ErrorCode::kTrimmed));
  EXPECT_EQ(Read({}, 10).lines.size(), 2U);
}

TEST_F(FeedHorizonTest, WhoReadsAllFromTheStartIsNotOvertakenByTheHorizon) {
  for (int i = 0; i < 9; ++i) Put("id" + std::to_string(i));
  ASSERT_OK(store_->Compact());
  ASSERT_EQ(store_->trimmed_through(), SequenceNumber(9));
  FeedPosition position;
  size_t lines = 0;
  for (bool more = true; more;) {
    const FeedPage page = Read(position, 2);
    lines += page.lines.size();
    position = page.end;
    more = page.more;
    const auto reopened = OpenCursor(*store_, SealCursor(*store_, position));
    ASSERT_OK(reopened);
    position = *reopened;
  }
  EXPECT_EQ(lines, 9U);
  Put("id1");
  EXPECT_EQ(Read(position, 10).lines.size(), 0U);  // equal: no change
}

}  // namespace
}  // namespace tidemark::server::test
