#include "http/client.h"

#include "tests/http/listener_fixture.h"

namespace tidemark::http {
namespace {

class ClientTest : public ListenerTest {
 protected:
  std::string Url(const std::string& target) const {
    return "http://127.0.0.1:" + std::to_string(port()) + target;
  }
};

TEST_F(ClientTest, SendsAndReceives) {
  Begin();
  Client client;
  for (int i = 0; i < 3; ++i) {
    ClientRequest request{.method = Method::kPost, .url = Url("/echo")};
    request.body = std::string("with a \0 byte", 13);
    request.content_type = "application/octet-stream";
    const auto response = client.Send(request);
    ASSERT_TRUE(response.ok()) << response.status().ToString();
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, request.body);
    EXPECT_TRUE(response->headers.Find("x-request-id").has_value());
  }
  EXPECT_EQ(listener_->Statistics().connections_total, 1U);
}

TEST_F(ClientTest, StatusesAreNoErrors) {
  Begin();
  Client client;
  EXPECT_EQ(client.Send({.url = Url("/nowhere")})->status, 404);
  EXPECT_EQ(client.Send({.url = Url("/empty")})->status, 204);
}

TEST_F(ClientTest, WhoCannotBeAskedIsUnavailable) {
  Begin();
  const std::string url = Url("/echo");
  listener_->Stop(std::chrono::milliseconds(0));
  Client client;
  const auto response = client.Send({.url = url});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.status().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(client.Send({.url = "nonsense://x"}).status().code(), ErrorCode::kInvalidArgument);
}

TEST_F(ClientTest, AnAnswerBeyondTheLimitIsRefused) {
  Begin();
  Client client({.body_bytes = 1'000});
  EXPECT_EQ(client.Send({.url = Url("/big")}).status().code(), ErrorCode::kTooLarge);
}

TEST_F(ClientTest, AServerThatIsSilentIsGivenUp) {
  Begin();
  Client client({.timeout = std::chrono::milliseconds(200)});
  EXPECT_EQ(client.Send({.url = Url("/keep")}).status().code(), ErrorCode::kUnavailable);
  listener_->Stop(std::chrono::milliseconds(0));
  handler_.kept.clear();
}

}  // namespace
}  // namespace tidemark::http
