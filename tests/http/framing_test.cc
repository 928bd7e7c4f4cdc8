// What is refused before it becomes a request: attacks on framing, and every limit at n and n+1.
#include "tests/http/listener_fixture.h"

namespace tidemark::http {
namespace {

using test::RawConnection;
using test::RawExchange;

struct Attack {
  const char* name;
  const char* bytes;
  int status;
};

class FramingAttackTest : public ListenerTest, public testing::WithParamInterface<Attack> {};

TEST_P(FramingAttackTest, IsRefusedAndTheConnectionClosed) {
  Begin({.header_time = std::chrono::milliseconds(2'000)});
  RawConnection connection(port());
  // What follows must never be taken for a request.
  ASSERT_TRUE(connection.Send(std::string(GetParam().bytes) + Get("/target/smuggled")));
  const auto response = connection.Receive();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, GetParam().status) << response->body;
  EXPECT_TRUE(response->closed);
  EXPECT_FALSE(response->body.empty());
  EXPECT_FALSE(connection.Receive(std::chrono::milliseconds(300)).has_value());
}

#define TARGET_LINE "POST /echo HTTP/1.1\r\nHost: h\r\n"
INSTANTIATE_TEST_SUITE_P(
    All,
    FramingAttackTest,
    testing::Values(
        Attack{"LengthAndChunked",
               TARGET_LINE "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
               400},
        Attack{"ChunkedAndLength",
               TARGET_LINE "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
               400},
        Attack{"TwoLengths", TARGET_LINE "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
        Attack{
            "TwoEqualLengths", TARGET_LINE "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
        Attack{"LengthList", TARGET_LINE "Content-Length: 1, 1\r\n\r\na", 400},
        Attack{"SignedLength", TARGET_LINE "Content-Length: +1\r\n\r\na", 400},
        Attack{"NegativeLength", TARGET_LINE "Content-Length: -1\r\n\r\n", 400},
        Attack{"HexLength", TARGET_LINE "Content-Length: 0x1\r\n\r\na", 400},
        Attack{"EmptyLength", TARGET_LINE "Content-Length:\r\n\r\n", 400},
        Attack{"HugeLength", TARGET_LINE "Content-Length: 99999999999999999999\r\n\r\n", 400},
        Attack{"UnknownEncoding", TARGET_LINE "Transfer-Encoding: gzip\r\n\r\n", 400},
        Attack{"EncodingList", TARGET_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n", 400},
        Attack{"EncodingTwice",
               TARGET_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
               400},
        Attack{"EncodingObscured",
               TARGET_LINE "Transfer-Encoding: \x0b"
                           "chunked\r\n\r\n",
               400},
        Attack{
            "EncodingInHttp10", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        Attack{"BareLineFeed", "GET /target HTTP/1.1\nHost: h\n\n", 400},
        Attack{"BareLineFeedInFields", "GET /target HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400},
        Attack{"BareCarriageReturn", "GET /target HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400},
        Attack{"FoldedField", "GET /target HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400},
        Attack{"SpaceBeforeColon", "GET /target HTTP/1.1\r\nHost : h\r\n\r\n", 400},
        Attack{"NoColon", "GET /target HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", 400},
        Attack{"EmptyName", "GET /target HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
        Attack{"ControlInField", "GET /target HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n", 400},
        Attack{"DeleteInField", "GET /target HTTP/1.1\r\nHost: h\r\nX: a\x7f\r\n\r\n", 400},
        Attack{"NoHost", "GET /target HTTP/1.1\r\n\r\n", 400},
        Attack{"TwoHosts", "GET /target HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        Attack{"NoVersion", "GET /target\r\n\r\n", 400},
        Attack{"OddVersion", "GET /target HTTP/11\r\n\r\n", 400},
        Attack{"LaterVersion", "GET /target HTTP/2.0\r\nHost: h\r\n\r\n", 505},
        Attack{"TwoSpaces", "GET  /target HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"OtherScheme", "GET ftp://h/target HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"UserInTarget", "GET http://u@h/target HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"TargetWithoutHost", "GET http:///target HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"TwoHostsAndATarget",
               "GET http://h/target HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
               400},
        Attack{"TargetInsteadOfHost", "GET http://h/target HTTP/1.1\r\n\r\n", 400},
        Attack{"FragmentInTarget", "GET http://h/target#x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"AuthorityTarget", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"AsteriskTarget", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"RawByteInTarget", "GET /t\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"BadEncoding", "GET /target/%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"CutEncoding", "GET /target/%4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"EncodedNul", "GET /target/%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"EncodedLineFeed", "GET /target/%0a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"OddMethod", "GE(T /target HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{"LeadingBlankLine", "\r\nGET /target HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Attack{
            "UnknownExpectation", TARGET_LINE "Content-Length: 1\r\nExpect: magic\r\n\r\na", 417},
        Attack{"BadChunkSize",
               TARGET_LINE "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
               400},
        Attack{"SignedChunkSize",
               TARGET_LINE "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
               400},
        Attack{"HugeChunkSize",
               TARGET_LINE "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
               400},
        Attack{"ControlInChunkExtension",
               TARGET_LINE "Transfer-Encoding: chunked\r\n\r\n5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
               400},
        Attack{"BlankAfterChunkSize",
               TARGET_LINE "Transfer-Encoding: chunked\r\n\r\n5\t;x\r\nhello\r\n0\r\n\r\n",
               400},
        Attack{"EndlessChunkSize",
               TARGET_LINE "Transfer-Encoding: chunked\r\n\r\n0000000000000000000000005\r\n",
               400},
        Attack{"ControlInTrailer",
               TARGET_LINE "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\x01\r\n\r\n",
               400},
        Attack{"Http09", "GET /target\r\n", 400},
        Attack{"ChunkWithoutLineBreak",
               TARGET_LINE "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
               400}),
    [](const auto& tested) { return tested.param.name; });
#undef TARGET_LINE

class TargetTest : public ListenerTest {};

// RFC 9112, 3.2.2: a server must take it, and its host counts instead of the field's.
TEST_F(TargetTest, TheAbsoluteFormLeadsToItsPath) {
  Begin();
  const auto ask = [&](const std::string& target) {
    return RawExchange(port(), "GET " + target + " HTTP/1.1\r\nHost: field\r\n\r\n")->body;
  };
  EXPECT_EQ(ask("http://h/target/a%20b?x=1"), "[target][a b]x=1;");
  EXPECT_EQ(ask("HTTPS://h:8787/target"), "[target]");
  EXPECT_EQ(ask("http://h/host"), "h");
  EXPECT_EQ(ask("http://[::1]:80/host"), "[::1]:80");
  EXPECT_EQ(ask("/host"), "field");
  EXPECT_EQ(RawExchange(port(), "GET http://h?x=1 HTTP/1.1\r\nHost: h\r\n\r\n")->status, 404)
      << "the root, which this handler has not";
}

class LimitTest : public ListenerTest {};

TEST_F(LimitTest, QueryParameters) {
  Begin();
  const auto ask = [&](int parameters) {
    std::string target = "/target?a";
    for (int i = 1; i < parameters; ++i) target += "&a";
    return RawExchange(port(), Get(target))->status;
  };
  EXPECT_EQ(ask(100), 200);
  EXPECT_EQ(ask(101), 400);
}

// Never quiet for long, and never done.
TEST_F(LimitTest, BodiesThatTrickle) {
  using std::chrono::milliseconds;
  Begin({.body_stall = milliseconds(2'000),
         .body_bytes_per_second = 1'000,
         .body_window = milliseconds(200)});
  const auto send = [&](size_t bytes_at_once, int times) {
    RawConnection connection(port());
    const size_t all = bytes_at_once * static_cast<size_t>(times);
    connection.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(all) +
                    "\r\n\r\n");
    for (int i = 0; i < times; ++i) {
      if (!connection.Send(std::string(bytes_at_once, 'x'))) break;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return connection.Receive()->status;
  };
  EXPECT_EQ(send(200, 40), 200) << "ten times as fast as it must be";
  EXPECT_EQ(send(1, 40), 408);
}

TEST_F(LimitTest, ChunkExtensionsAndTrailers) {
  Begin();
  const auto request = [](size_t extension, size_t trailer) {
    return "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;" +
           std::string(extension, 'x') + "\r\nhello\r\n0\r\nX:" + std::string(trailer, 'y') +
           "\r\n\r\n";
  };
  EXPECT_EQ(RawExchange(port(), request(4'096, 4'000))->body, "hello");
  EXPECT_EQ(RawExchange(port(), request(9'000, 1))->status, 400);
  EXPECT_EQ(RawExchange(port(), request(1, 70'000))->status, 400);
}

TEST_F(LimitTest, BodiesTogether) {
  Begin({.bodies_bytes = 1'000});
  EXPECT_EQ(RawExchange(port(), Post("/echo", std::string(1'000, 'x')))->status, 200);
  EXPECT_EQ(RawExchange(port(), Post("/echo", std::string(1'001, 'x')))->status, 503);
  EXPECT_EQ(RawExchange(port(), Post("/echo", std::string(1'000, 'x')))->status, 200);
}

TEST_F(LimitTest, RequestLine) {
  Begin({.request_line_bytes = 100});
  const auto line = [](size_t bytes) {
    return Get("/target/" + std::string(bytes - std::string("GET /target/ HTTP/1.1").size(), 'a'));
  };
  EXPECT_EQ(RawExchange(port(), line(100))->status, 200);
  EXPECT_EQ(RawExchange(port(), line(101))->status, 431);
}

TEST_F(LimitTest, HeaderFields) {
  Begin({.header_fields = 10});
  const auto request = [](int fields) {
    std::string text = "GET /target HTTP/1.1\r\nHost: h\r\n";
    for (int i = 1; i < fields; ++i) text += "X-" + std::to_string(i) + ": y\r\n";
    return text + "\r\n";
  };
  EXPECT_EQ(RawExchange(port(), request(10))->status, 200);
  EXPECT_EQ(RawExchange(port(), request(11))->status, 431);
}

TEST_F(LimitTest, HeaderBytes) {
  Begin({.header_bytes = 1'000});
  const auto request = [](size_t bytes) {
    const std::string around = "Host: h\r\nX: \r\n\r\n";
    return "GET /target HTTP/1.1\r\nHost: h\r\nX: " + std::string(bytes - around.size(), 'x') +
           "\r\n\r\n";
  };
  EXPECT_EQ(RawExchange(port(), request(1'000))->status, 200);
  EXPECT_EQ(RawExchange(port(), request(1'100))->status, 431);
}

TEST_F(LimitTest, Body) {
  Begin({.body_bytes = 1'000});
  EXPECT_EQ(RawExchange(port(), Post("/echo", std::string(1'000, 'x')))->status, 200);
  EXPECT_EQ(RawExchange(port(), Post("/echo", std::string(1'001, 'x')))->status, 413);
  const auto chunked = [](size_t bytes) {
    return "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n" +
           std::string(500, 'x') + "\r\n" + (bytes == 1'000 ? "1f4\r\n" : "1f5\r\n") +
           std::string(bytes - 500, 'x') + "\r\n0\r\n\r\n";
  };
  EXPECT_EQ(RawExchange(port(), chunked(1'000))->status, 200);
  EXPECT_EQ(RawExchange(port(), chunked(1'001))->status, 413);
}

TEST_F(LimitTest, Connections) {
  Begin({.connections = 2});
  RawConnection first(port());
  RawConnection second(port());
  EXPECT_EQ(first.Exchange(Get("/target"))->status, 200);
  EXPECT_EQ(second.Exchange(Get("/target"))->status, 200);
  RawConnection third(port());
  const auto refused = third.Receive();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 503);
  EXPECT_TRUE(refused->headers.contains("retry-after"));
}

TEST_F(LimitTest, RequestsInFlight) {
  Begin({.requests_in_flight = 1}, /*workers=*/1);
  RawConnection first(port());
  ASSERT_TRUE(first.Send(Get("/slow")));
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  const auto refused = RawExchange(port(), Get("/target"));
  EXPECT_EQ(refused->status, 503);
  EXPECT_TRUE(refused->headers.contains("retry-after"));
  EXPECT_EQ(first.Receive()->status, 200);
  EXPECT_EQ(first.Exchange(Get("/target"))->status, 200);
}

TEST_F(LimitTest, TimeToTheHeaders) {
  Begin({.header_time = std::chrono::milliseconds(100)});
  RawConnection connection(port());
  ASSERT_TRUE(connection.Send("GET /target HT"));
  EXPECT_EQ(connection.Receive()->status, 408);
}

TEST_F(LimitTest, StalledBody) {
  Begin({.body_stall = std::chrono::milliseconds(100)});
  RawConnection connection(port());
  ASSERT_TRUE(connection.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"));
  EXPECT_EQ(connection.Receive()->status, 408);
}

TEST_F(LimitTest, IdleConnectionsAreClosed) {
  Begin({.idle_time = std::chrono::milliseconds(100)});
  RawConnection connection(port());
  EXPECT_EQ(connection.Exchange(Get("/target"))->status, 200);
  EXPECT_TRUE(connection.WaitForClose());
}

TEST_F(LimitTest, AClientThatTakesNothingIsDropped) {
  Begin({.write_stall = std::chrono::milliseconds(200)});
  RawConnection connection(port());
  for (int i = 0; i < 20; ++i) {
    if (!connection.Send(Get("/big"))) break;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  EXPECT_EQ(listener_->Statistics().connections_open, 0U);
}

}  // namespace
}  // namespace tidemark::http
