// What people are told, and the form in which it goes out.
#include "server/mails.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tidemark::server {
namespace {

using test::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

UploadInfo Outcome() {
  UploadInfo info;
  info.id = std::string(32, 'a');
  info.state = UploadState::kFinishedWithWarnings;
  info.started_at_ms = 1'700'000'000'000;
  info.ended_at_ms = 1'700'000'061'000;
  info.entities["users"] = {
      .counts = {.created = 12, .updated = 3, .unchanged = 200}, .pages = 1, .rejected = 2};
  info.warnings = {"users: 2 rows were set aside"};
  return info;
}

TEST(WriteMailTest, SaysWhatHappened) {
  const MailText mail = WriteMail("acme", "https://sync.example.org", Outcome());
  EXPECT_EQ(mail.subject, "Tidemark acme: upload finished with warnings, 2 rows rejected");
  EXPECT_THAT(mail.text, HasSubstr("Started 2023-11-14T22:13:20.000Z\n"));
  EXPECT_THAT(
      mail.text,
      HasSubstr("entity    created    updated    deleted  unchanged   appended   rejected\n"
                "users          12          3          0        200          0          2\n"));
  EXPECT_THAT(mail.text,
              HasSubstr("https://sync.example.org/v2/integrations-sync/syncs/" +
                        std::string(32, 'a') + "/errors.csv\n"));
  EXPECT_THAT(mail.text, HasSubstr("- users: 2 rows were set aside\n"));
}

TEST(WriteMailTest, AFailureHasItsReasonAndNoReport) {
  UploadInfo info;
  info.id = "b";
  info.state = UploadState::kFailed;
  info.error = "io_error: the disk is gone";
  const MailText mail = WriteMail("default", "", info);
  EXPECT_EQ(mail.subject, "Tidemark default: upload failed");
  EXPECT_THAT(mail.text, HasSubstr("Reason: io_error: the disk is gone\n"));
  EXPECT_THAT(mail.text, Not(HasSubstr("errors.csv")));
  EXPECT_THAT(mail.text, HasSubstr("\n/v2/integrations-sync/syncs/b\n"));
}

TEST(WriteMailTest, OnlyTheFirstWarnings) {
  UploadInfo info = Outcome();
  info.warnings.assign(21, "w");
  EXPECT_THAT(WriteMail("default", "", info).text, HasSubstr("- w\n- and 1 more\n"));
}

TEST(FormatMailTest, AMessageAsItGoesOut) {
  const http::Mail mail = {.id = "sync-finished",
                           .from = "tidemark@example.org",
                           .to = {"a@example.org", "b@example.org"},
                           .subject = "Hello",
                           .text = "caf\xC3\xA9 = 1 \n.\n" + std::string(80, 'x') + "\n",
                           .date_ms = 1'700'000'000'000};
  EXPECT_EQ(http::FormatMail(mail),
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
            "From: <tidemark@example.org>\r\n"
            "To: <a@example.org>,\r\n <b@example.org>\r\n"
            "Subject: Hello\r\n"
            "Message-ID: <sync-finished@example.org>\r\n"
            "Auto-Submitted: auto-generated\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n"
            "\r\n"
            "caf=C3=A9 =3D 1=20\r\n"
            ".\r\n" +
                std::string(72, 'x') + "=\r\n" + std::string(8, 'x') + "\r\n");
}

TEST(IsMailAddressTest, NothingThatEndsAHeader) {
  EXPECT_TRUE(http::IsMailAddress("a@b"));
  EXPECT_TRUE(http::IsMailAddress("first.last+tag@mail.example.org"));
  EXPECT_TRUE(http::IsMailAddress(std::string(252, 'x') + "@b"));
  for (const std::string& bad : {std::string(),
                                 std::string("a"),
                                 std::string("@b"),
                                 std::string("a@"),
                                 std::string("a@b@c"),
                                 std::string("a b@c"),
                                 std::string("a@b\r\nBcc: c@d"),
                                 std::string("<a@b>"),
                                 std::string("a@b,c@d"),
                                 std::string(253, 'x') + "@b"}) {
    EXPECT_FALSE(http::IsMailAddress(bad)) << bad;
  }
}

TEST(SendMailTest, WhatIsNoMailIsRefusedBeforeAnyoneIsAsked) {
  const http::MailServer server = {.url = "smtp://127.0.0.1:1"};
  http::Mail mail = {.id = "x", .from = "a@b", .to = {"c@d"}, .subject = "s"};
  EXPECT_THAT(http::SendMail(server, mail), StatusIs(ErrorCode::kUnavailable));
  mail.subject = "s\r\nBcc: x@y";
  EXPECT_THAT(http::SendMail(server, mail), StatusIs(ErrorCode::kInvalidArgument));
  mail.subject = "s";
  mail.to.assign(http::kMailRecipientsMax + 1, "c@d");
  EXPECT_THAT(http::SendMail(server, mail), StatusIs(ErrorCode::kInvalidArgument));
  mail.to.clear();
  EXPECT_THAT(http::SendMail(server, mail), StatusIs(ErrorCode::kInvalidArgument));
}

}  // namespace
}  // namespace tidemark::server
