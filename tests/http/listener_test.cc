#include "tests/http/listener_fixture.h"

namespace tidemark::http {
namespace {

using test::RawConnection;
using test::RawExchange;

TEST_F(ListenerTest, AnswersOverAKeptConnection) {
  Begin();
  RawConnection connection(port());
  for (int i = 0; i < 3; ++i) {
    const auto response = connection.Exchange(Post("/echo", "hello " + std::to_string(i)));
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "hello " + std::to_string(i));
    EXPECT_EQ(response->headers.at("x-request-id").size(), 16U);
    EXPECT_TRUE(response->headers.contains("date"));
    EXPECT_FALSE(response->closed);
  }
}

TEST_F(ListenerTest, APostWithoutLengthHasAnEmptyBodyAtOnce) {
  Begin();
  const auto response = RawExchange(port(), "POST /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "");
}

TEST_F(ListenerTest, AnEmptyAnswerHasNeitherTypeNorLength) {
  Begin();
  const auto response = RawExchange(port(), Get("/empty"));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 204);
  EXPECT_FALSE(response->headers.contains("content-type"));
  EXPECT_FALSE(response->headers.contains("content-length"));
}

TEST_F(ListenerTest, ChunkedBodiesAreJoined) {
  Begin();
  const auto response =
      RawExchange(port(),
                  "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                  "\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n");
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body, "hello world");
}

TEST_F(ListenerTest, ABodyInPiecesArrives) {
  Begin();
  const std::string body(100'000, 'b');
  const std::string request = Post("/echo", body);
  RawConnection connection(port());
  for (size_t at = 0; at < request.size(); at += 7'919) {
    ASSERT_TRUE(connection.Send(std::string_view(request).substr(at, 7'919)));
  }
  const auto response = connection.Receive();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body, body);
}

TEST_F(ListenerTest, PipelinedRequestsAreAnsweredInOrder) {
  Begin();
  RawConnection connection(port());
  ASSERT_TRUE(connection.Send(Get("/slow") + Post("/echo", "second") + Get("/target/third")));
  EXPECT_EQ(connection.Receive()->body, "slow");
  EXPECT_EQ(connection.Receive()->body, "second");
  EXPECT_EQ(connection.Receive()->body, "[target][third]");
}

TEST_F(ListenerTest, TheTargetIsDecodedOnce) {
  Begin();
  EXPECT_EQ(RawExchange(port(), Get("/target/a%2Fb%25/c+d?x=1+2&y=%41&z"))->body,
            "[target][a/b%][c+d]x=1 2;y=A;z=;");
  EXPECT_EQ(RawExchange(port(), Get("//target/x"))->body, "[target][x]");
  EXPECT_EQ(RawExchange(port(), Get("/target//x"))->body, "[target][][x]");
}

TEST_F(ListenerTest, HeadHasNoBodyAndItsLength) {
  Begin();
  RawConnection connection(port());
  ASSERT_TRUE(connection.Send("HEAD /target HTTP/1.1\r\nHost: h\r\n\r\n"));
  const auto response = connection.Receive(std::chrono::seconds(10), /*head=*/true);
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->headers.at("content-length"), "8");
  EXPECT_EQ(connection.Exchange(Get("/target"))->body, "[target]");
}

TEST_F(ListenerTest, Http10IsAnsweredAndClosed) {
  Begin();
  RawConnection connection(port());
  const auto response = connection.Exchange("GET /target HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(response.has_value());
  EXPECT_TRUE(response->closed);
  EXPECT_EQ(response->body, "[target]");
  EXPECT_TRUE(connection.WaitForClose());
}

TEST_F(ListenerTest, AStreamComesInChunksAndEnds) {
  Begin();
  RawConnection connection(port());
  EXPECT_EQ(connection.Exchange(Get("/stream"))->body, "piece1;piece2;piece3;");
  EXPECT_EQ(connection.Exchange(Get("/target"))->body, "[target]");
}

TEST_F(ListenerTest, ALargeSharedBodyArrivesWhole) {
  Begin();
  EXPECT_EQ(RawExchange(port(), Get("/big"))->body, std::string(1'000'000, 'x'));
}

TEST_F(ListenerTest, ContinueIsSaidBeforeTheBody) {
  Begin();
  RawConnection connection(port());
  ASSERT_TRUE(
      connection.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
                      "Expect: 100-continue\r\n\r\n"));
  EXPECT_EQ(connection.Receive()->status, 100);
  EXPECT_EQ(connection.Exchange("ok")->body, "ok");
}

TEST_F(ListenerTest, WhoForgetsToAnswerIsAnsweredFor) {
  Begin();
  EXPECT_EQ(RawExchange(port(), Get("/never"))->status, 500);
  EXPECT_EQ(RawExchange(port(), Get("/throw"))->status, 500);
  EXPECT_EQ(RawExchange(port(), Get("/odd"))->status, 500);
}

TEST_F(ListenerTest, AGivenRequestIdIsKeptIfItIsOne) {
  Begin();
  EXPECT_EQ(RawExchange(port(), "GET /target HTTP/1.1\r\nHost: h\r\nx-request-id: my-1\r\n\r\n")
                ->headers.at("x-request-id"),
            "my-1");
  EXPECT_NE(RawExchange(port(), "GET /target HTTP/1.1\r\nHost: h\r\nX-Request-Id: my 1\r\n\r\n")
                ->headers.at("x-request-id"),
            "my 1");
}

TEST_F(ListenerTest, ARequestThatWaitsHoldsNoWorker) {
  Begin({}, /*workers=*/1);
  RawConnection waiting(port());
  ASSERT_TRUE(waiting.Send(Get("/keep")));
  while (handler_.KeptCount() == 0) std::this_thread::yield();
  EXPECT_EQ(RawExchange(port(), Get("/target"))->status, 200);
  handler_.kept.front()(Response{.status = 202});
  handler_.kept.clear();
  EXPECT_EQ(waiting.Receive()->status, 202);
}

TEST_F(ListenerTest, ManyIdleConnectionsDoNotDelayAnother) {
  Begin();
  std::vector<std::unique_ptr<RawConnection>> idle;
  for (int i = 0; i < 400; ++i) idle.push_back(std::make_unique<RawConnection>(port()));
  EXPECT_EQ(RawExchange(port(), Get("/target"))->status, 200);
}

TEST_F(ListenerTest, StopLetsWhatIsInFlightEnd) {
  Begin();
  RawConnection idle(port());
  RawConnection busy(port());
  ASSERT_TRUE(busy.Send(Get("/slow")));
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  listener_->Stop(std::chrono::seconds(5));
  EXPECT_EQ(busy.Receive()->body, "slow");
  EXPECT_TRUE(idle.WaitForClose());
  EXPECT_FALSE(RawConnection(port()).connected());
}

TEST_F(ListenerTest, StopDoesNotWaitForeverForAnAnswer) {
  Begin();
  RawConnection waiting(port());
  ASSERT_TRUE(waiting.Send(Get("/keep")));
  while (handler_.KeptCount() == 0) std::this_thread::yield();
  listener_->Stop(std::chrono::milliseconds(50));
  EXPECT_TRUE(waiting.WaitForClose());
  handler_.kept.front()(Response{.status = 202});  // too late, and harmless
  listener_.reset();
  handler_.kept.clear();
}

TEST_F(ListenerTest, TrailersAreNoHeaders) {
  Begin();
  RawConnection connection(port());
  const auto response = connection.Exchange(
      "POST /header HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "0\r\nAuthorization: Bearer evil\r\nX-Request-Id: spoof\r\n\r\n");
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body, "none");
  EXPECT_NE(response->headers.at("x-request-id"), "spoof");
  EXPECT_EQ(connection.Exchange(Get("/target"))->body, "[target]");
}

TEST_F(ListenerTest, ABodyWhereNoneMayBeIsNotSent) {
  Begin();
  RawConnection connection(port());
  EXPECT_EQ(connection.Exchange(Get("/empty"))->status, 204);
  EXPECT_EQ(connection.Exchange(Get("/target"))->body, "[target]");
}

TEST_F(ListenerTest, ARefusalAfterHeadHasItsBody) {
  Begin();
  RawConnection connection(port());
  ASSERT_TRUE(connection.Send("HEAD /target HTTP/1.1\r\nHost: h\r\n\r\n"));
  ASSERT_TRUE(connection.Receive(std::chrono::seconds(10), /*head=*/true).has_value());
  const auto refused = connection.Exchange("BAD\r\n\r\n");
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 400);
  EXPECT_FALSE(refused->body.empty());
}

TEST_F(ListenerTest, WhoLeavesAQuietStreamIsNoticed) {
  Begin();
  {
    RawConnection leaving(port());
    ASSERT_TRUE(leaving.Send(Get("/quiet")));
    ASSERT_FALSE(leaving.ReceiveSome().empty());
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (listener_->Statistics().connections_open > 0 &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(listener_->Statistics().connections_open, 0U);
}

TEST_F(ListenerTest, StopEndsStreams) {
  Begin();
  RawConnection connection(port());
  ASSERT_TRUE(connection.Send(Get("/quiet")));
  std::string received;
  while (received.find("piece;") == std::string::npos) received += connection.ReceiveSome();
  const auto begin = std::chrono::steady_clock::now();
  listener_->Stop(std::chrono::seconds(20));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  while (true) {
    const std::string more = connection.ReceiveSome();
    if (more.empty()) break;
    received += more;
  }
  EXPECT_TRUE(received.ends_with("0\r\n\r\n"));
}

TEST_F(ListenerTest, WorkRunsNowOrLater) {
  Begin();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> order;
  const auto note = [&](int what) {
    const std::lock_guard lock(mutex);
    order.push_back(what);
    changed.notify_all();
  };
  listener_->PostAfter(std::chrono::milliseconds(50), [&] { note(2); });
  listener_->Post([&] { note(1); });
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(10), [&] { return order.size() == 2; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST_F(ListenerTest, AnAddressInUseIsNamed) {
  Begin();
  const auto second = Listener::Start({.port = port()}, handler_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace tidemark::http
