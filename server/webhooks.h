// Outcomes of upload syncs, told to others by a signed webhook.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/upload.h"
#include "server/deliveries.h"

namespace tidemark::server {

struct WebhookOptions {
  std::string url;  ///< empty: nobody is told
  std::string secret;
  DeliveryOptions delivery;
};

/// `t=UNIX,v1=HEX`, where HEX is HMAC-SHA256 of the secret over "UNIX.BODY".
std::string SignWebhook(std::string_view secret, int64_t unix_seconds, std::string_view body);

/// Tells each outcome once it is durable; also the ones that a crash came between. Thread-safe.
/// Destroy it before its store and before `uploads`, when no call works on them any more.
class Webhooks {
 public:
  /// What was over before the first opening is not told.
  static Result<std::unique_ptr<Webhooks>> Open(const std::string& instance,
                                                Store& store,
                                                Uploads& uploads,
                                                const WebhookOptions& options);
  ~Webhooks();
  Webhooks(const Webhooks&) = delete;
  Webhooks& operator=(const Webhooks&) = delete;

  /// Outcomes that wait to be taken.
  size_t waiting() const;

 private:
  class Impl;
  explicit Webhooks(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace tidemark::server
