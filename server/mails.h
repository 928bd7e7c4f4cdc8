// Outcomes of upload syncs, told to people by mail.
#pragma once

#include <string>
#include <vector>

#include "db/runtime.h"
#include "http/mail.h"
#include "server/outcomes.h"

namespace tidemark::server {

struct MailOptions {
  http::MailServer server;  ///< without a URL nobody is told
  std::string from;
  std::vector<std::string> to;
  /// Where people reach this server, as "https://sync.example.org": links begin with it.
  std::string public_url;
};

struct MailText {
  std::string subject;
  std::string text;
};
/// What a person is told about an outcome: what happened, the counts of each entity, and where the
/// report of the rows lies that were set aside.
MailText WriteMail(const std::string& instance,
                   const std::string& public_url,
                   const UploadInfo& info);

/// Mails each outcome. `clock` must outlive the channel.
OutcomeChannel MailChannel(const std::string& instance, const MailOptions& options, Clock& clock);

}  // namespace tidemark::server
