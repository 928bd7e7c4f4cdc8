// The configuration of a server: every key, and what is wrong with it.
#include "server/config.h"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace tidemark::server {
namespace {

using ::testing::HasSubstr;

class ConfigTest : public ::testing::Test {
 protected:
  Result<ServerConfig> Read(const std::string& text) {
    const auto path = directory_.path() / "server.toml";
    std::ofstream(path) << text;
    return ReadServerConfig(path);
  }
  std::string Wrong(const std::string& text) {
    const auto config = Read(text);
    EXPECT_EQ(config.status().code(), ErrorCode::kInvalidArgument) << text;
    return config.status().message();
  }

  test::TempDirectory directory_;
};

TEST_F(ConfigTest, Webhook) {
  const auto config = Read("webhook_url = \"https://x/hook\"\nwebhook_secret = \"s\"\n");
  ASSERT_OK(config);
  const WebhookOptions& webhook = config->options.application.instances.tell.webhook;
  EXPECT_EQ(webhook.url, "https://x/hook");
  EXPECT_EQ(webhook.secret, "s");
  EXPECT_THAT(Wrong("webhook_url = \"https://x/hook\"\n"), HasSubstr("come together"));
  EXPECT_THAT(Wrong("webhook_secret = \"s\"\n"), HasSubstr("come together"));
  EXPECT_THAT(Wrong("webhook_url = \"ftp://x\"\nwebhook_secret = \"s\"\n"), HasSubstr("http://"));
  EXPECT_THAT(Wrong("webhook_url = 1\n"), HasSubstr("line 1: webhook_url must be a string"));
}

TEST_F(ConfigTest, Mail) {
  const std::string needed =
      "mail_url = \"smtp://mail:587\"\nmail_from = \"t@x.org\"\nmail_to = [\"a@x.org\"]\n";
  const auto config = Read(needed +
                           "mail_user = \"u\"\nmail_password = \"p\"\n"
                           "mail_certificate_authority = \"ca.pem\"\n"
                           "public_url = \"https://sync.x.org\"\n");
  ASSERT_OK(config);
  const MailOptions& mail = config->options.application.instances.tell.mail;
  EXPECT_EQ(mail.server.url, "smtp://mail:587");
  EXPECT_TRUE(mail.server.require_tls) << "unless it is said otherwise";
  EXPECT_EQ(mail.server.user, "u");
  EXPECT_EQ(mail.server.password, "p");
  EXPECT_EQ(mail.server.certificate_authority, "ca.pem");
  EXPECT_EQ(mail.from, "t@x.org");
  EXPECT_THAT(mail.to, ::testing::ElementsAre("a@x.org"));
  EXPECT_EQ(mail.public_url, "https://sync.x.org");
  EXPECT_FALSE(Read(needed + "mail_tls = false\n")
                   ->options.application.instances.tell.mail.server.require_tls);
  EXPECT_THAT(Wrong("mail_url = \"smtp://mail\"\n"), HasSubstr("come together"));
  EXPECT_THAT(Wrong("mail_to = [\"a@x.org\"]\n"), HasSubstr("come together"));
  EXPECT_THAT(Wrong("mail_to = \"a@x.org\"\n"), HasSubstr("must be a list"));
  EXPECT_THAT(Wrong("mail_to = [\"a@x.org\\r\\nBcc: b\"]\n"), HasSubstr("must be a list"));
  EXPECT_THAT(Wrong(needed + "mail_user = \"u\"\n"), HasSubstr("come together"));
  EXPECT_THAT(Wrong(needed + "mail_tls = false\nmail_user = \"u\"\nmail_password = \"p\"\n"),
              HasSubstr("in the open"));
  EXPECT_THAT(Wrong(needed + "public_url = \"sync.x.org\"\n"), HasSubstr("public_url"));
}

TEST_F(ConfigTest, HowOften) {
  const auto config = Read(
      "requests_per_second = 7\nrequest_burst = 8\nstrangers_per_second = 9\n"
      "stranger_burst = 10\nmetrics_without_token = true\nupkeep_seconds = 5\n");
  ASSERT_OK(config);
  const ApplicationOptions& application = config->options.application;
  EXPECT_EQ(application.admission.requests_per_second, 7);
  EXPECT_EQ(application.admission.request_burst, 8);
  EXPECT_EQ(application.admission.strangers_per_second, 9);
  EXPECT_EQ(application.admission.stranger_burst, 10);
  EXPECT_TRUE(application.metrics_without_token);
  EXPECT_EQ(config->options.upkeep_period, std::chrono::seconds(5));
  EXPECT_FALSE(ApplicationOptions().metrics_without_token);
}

TEST_F(ConfigTest, ValuesOutOfTheirRange) {
  for (const char* line : {"workers = 0",
                           "workers = 513",
                           "io_threads = 65",
                           "connections = 0",
                           "requests_per_second = -1",
                           "request_burst = 0",
                           "upkeep_seconds = 0",
                           "background_threads = 65"}) {
    EXPECT_THAT(Wrong(std::string("\n") + line), HasSubstr("line 2: ")) << line;
  }
  EXPECT_OK(Read("workers = 512\nio_threads = 64\nrequests_per_second = 0\n"));
}

}  // namespace
}  // namespace tidemark::server
