#include "http/client.h"

#include <cstdlib>

#include "tests/http/listener_fixture.h"
#include "tests/support/temp_directory.h"

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

// A certificate for 127.0.0.1, made by the program that everyone makes theirs with.
bool MakeCertificate(const std::string& certificate, const std::string& key) {
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
      "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout " +
      key + " -out " + certificate + " >/dev/null 2>&1";
  return std::system(command.c_str()) == 0;  // NOLINT(cert-env33-c): no input from outside
}

TEST_F(ClientTest, TlsIsSpokenAndTheCertificateChecked) {
  const test::TempDirectory directory;
  const std::string certificate = directory / "certificate.pem";
  const std::string key = directory / "key.pem";
  ASSERT_TRUE(MakeCertificate(certificate, key));
  auto started = Listener::Start({.tls_certificate = certificate, .tls_key = key}, handler_);
  ASSERT_TRUE(started.ok()) << started.status().ToString();
  listener_ = *std::move(started);
  const std::string url = "https://127.0.0.1:" + std::to_string(port()) + "/echo";

  Client trusting({.certificate_authority = certificate});
  for (int i = 0; i < 3; ++i) {
    ClientRequest request{.method = Method::kPost, .url = url};
    request.body = "over TLS";
    const auto response = trusting.Send(request);
    ASSERT_TRUE(response.ok()) << response.status().ToString();
    EXPECT_EQ(response->body, "over TLS");
  }
  Client suspicious;
  EXPECT_EQ(suspicious.Send({.url = url}).status().code(), ErrorCode::kUnavailable);
  // Who does not speak TLS is not answered, and holds nobody up.
  EXPECT_FALSE(test::RawExchange(port(), Get("/target")).has_value());
  EXPECT_TRUE(trusting.Send({.url = url}).ok());
}

// What a URL holds besides may be a password, and errors go to logs.
TEST(OriginOfTest, IsAllThatErrorsNameOfAUrl) {
  EXPECT_EQ(OriginOf("http://user:PASSW@127.0.0.1:1/hook?token=T#x"), "http://127.0.0.1:1");
  EXPECT_EQ(OriginOf("https://host"), "https://host");
  EXPECT_EQ(OriginOf("smtp://a@b:c@mail.example:587"), "smtp://mail.example:587");
  EXPECT_EQ(OriginOf("http://[::1]:80?q"), "http://[::1]:80");
  EXPECT_EQ(OriginOf("user:PASSW@host"), "(no URL)");
  Client client;
  for (const char* url :
       {"http://user:PASSW@127.0.0.1:1/PASSW?token=PASSW", "ftp://user:PASSW@h/"}) {
    const auto failed = client.Send({.url = url});
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.status().ToString().find("PASSW"), std::string::npos);
  }
}

TEST_F(ClientTest, ACertificateThatCannotBeReadIsNamed) {
  const auto started =
      Listener::Start({.tls_certificate = "/nowhere.pem", .tls_key = "/nowhere.pem"}, handler_);
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.status().message().find("/nowhere.pem"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::http
