#include "server/webhooks.h"

#include <array>
#include <chrono>
#include <memory>
#include <utility>

#include "format/hex.h"
#include "format/json.h"
#include "http/client.h"
#include "server/internal/sha256.h"
#include "server/upload_json.h"

namespace tidemark::server {
namespace {

constexpr char kWebhookChannel = 'h';
constexpr std::chrono::milliseconds kSendTime{10'000};

std::string_view BytesOf(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};  // NOLINT: bytes as text
}

// RFC 2104.
Sha256Digest HmacSha256(std::string_view secret, std::string_view message) {
  constexpr size_t kBlock = 64;
  const Sha256Digest hashed = Sha256(secret);
  std::string key(secret.size() > kBlock ? BytesOf(hashed) : secret);
  key.resize(kBlock, '\0');
  std::string inner = key;
  std::string outer = std::move(key);
  for (char& c : inner) c = static_cast<char>(c ^ 0x36);
  for (char& c : outer) c = static_cast<char>(c ^ 0x5C);
  return Sha256(outer.append(BytesOf(Sha256(inner.append(message)))));
}

std::string BodyOf(const std::string& instance, const UploadInfo& info) {
  JsonWriter body;
  body.BeginObject().Key("data").Raw(UploadToJson(info));
  body.Key("meta").BeginObject().Key("type").String("upload_sync");
  body.Key("instance").String(instance).EndObject().EndObject();
  return body.Take();
}

Status PostWebhook(http::Client& client,
                   const WebhookOptions& options,
                   const Delivery& delivery,
                   int64_t now_ms) {
  http::ClientRequest request;
  request.method = http::Method::kPost;
  request.url = options.url;
  request.content_type = "application/json";
  request.headers.Add("X-Tidemark-Signature",
                      SignWebhook(options.secret, now_ms / 1000, delivery.body));
  request.headers.Add("X-Tidemark-Delivery", delivery.id);
  request.body = delivery.body;
  TIDEMARK_ASSIGN_OR_RETURN(const http::ClientResponse response, client.Send(request));
  if (response.status >= 200 && response.status < 300) return {};
  return {ErrorCode::kUnavailable,
          http::OriginOf(options.url) + " answered " + std::to_string(response.status)};
}

}  // namespace

std::string SignWebhook(std::string_view secret, int64_t unix_seconds, std::string_view body) {
  const std::string time = std::to_string(unix_seconds);
  const Sha256Digest digest = HmacSha256(secret, time + "." + std::string(body));
  return "t=" + time + ",v1=" + EncodeHex(BytesOf(digest));
}

OutcomeChannel WebhookChannel(const std::string& instance,
                              const WebhookOptions& options,
                              Clock& clock) {
  OutcomeChannel channel;
  channel.name = kWebhookChannel;
  channel.compose = [instance](const UploadInfo& info) {
    return BodyOf(instance, info);
  };
  // Only the thread of the deliveries sends.
  const auto client = std::make_shared<http::Client>(
      http::ClientOptions{.connect_timeout = kSendTime, .timeout = kSendTime});
  channel.send = [client, options, &clock](const Delivery& delivery) {
    return PostWebhook(*client, options, delivery, clock.WallMilliseconds());
  };
  return channel;
}

}  // namespace tidemark::server
