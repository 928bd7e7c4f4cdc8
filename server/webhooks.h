// Outcomes of upload syncs, told by a signed webhook.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "db/runtime.h"
#include "server/outcomes.h"

namespace tidemark::server {

struct WebhookOptions {
  std::string url;  ///< empty: nobody is told
  std::string secret;
};

/// `t=UNIX,v1=HEX`, where HEX is HMAC-SHA256 of the secret over "UNIX.BODY".
std::string SignWebhook(std::string_view secret, int64_t unix_seconds, std::string_view body);

/// Posts each outcome as JSON. `clock` must outlive the channel.
OutcomeChannel WebhookChannel(const std::string& instance,
                              const WebhookOptions& options,
                              Clock& clock);

}  // namespace tidemark::server
