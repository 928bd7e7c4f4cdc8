#include "server/webhooks.h"

#include <array>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "format/json.h"
#include "http/client.h"
#include "server/hex.h"
#include "server/internal/sha256.h"
#include "server/upload_json.h"

namespace tidemark::server {
namespace {

constexpr char kWebhookChannel = 'h';
constexpr std::string_view kBegunKey = "n/b";
constexpr std::string_view kToldPrefix = "n/t";
constexpr size_t kHistoryMax = 1000;  // syncs that a store remembers
constexpr size_t kToldSlack = 100;    // marks of forgotten syncs that may pile up
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

bool IsOutcome(UploadState state) {
  return state != UploadState::kStarted && state != UploadState::kProcessing;
}

std::string ToldKey(const std::string& sync) {
  return std::string(kToldPrefix) + sync;
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
  return {ErrorCode::kUnavailable, options.url + " answered " + std::to_string(response.status)};
}

}  // namespace

std::string SignWebhook(std::string_view secret, int64_t unix_seconds, std::string_view body) {
  const std::string time = std::to_string(unix_seconds);
  const Sha256Digest digest = HmacSha256(secret, time + "." + std::string(body));
  return "t=" + time + ",v1=" + EncodeHex(BytesOf(digest));
}

class Webhooks::Impl {
 public:
  Impl(std::string instance, Store& store, WebhookOptions options)
      : instance_(std::move(instance)),
        store_(store),
        options_(std::move(options)),
        client_(http::ClientOptions{.connect_timeout = kSendTime, .timeout = kSendTime}) {}

  Status Open(const Uploads& uploads) {
    const auto send = [this](const Delivery& delivery) {
      const int64_t now_ms = store_.runtime().clock().WallMilliseconds();
      return PostWebhook(client_, options_, delivery, now_ms);
    };
    TIDEMARK_ASSIGN_OR_RETURN(deliveries_,
                              Deliveries::Open(store_, kWebhookChannel, send, options_.delivery));
    return CatchUp(uploads);
  }

  /// An outcome, once: a state that was told is not told again.
  void Tell(const UploadInfo& info) {
    if (!IsOutcome(info.state)) return;
    const std::lock_guard lock(mutex_);
    if (closed_ || Told(info)) return;
    const Status kept = Keep(info);
    if (!kept.ok() && options_.delivery.log) {
      options_.delivery.log("outcome of upload sync " + info.id +
                            " could not be kept for delivery: " + kept.ToString());
    }
  }

  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    deliveries_.reset();
  }

  size_t waiting() const { return deliveries_->waiting(); }

 private:
  bool Told(const UploadInfo& info) const {
    const auto row = store_.GetRow(ToldKey(info.id));
    return row.ok() && *row && **row == UploadStateName(info.state);
  }

  // The mark that it was told is in one commit with the delivery.
  Status Keep(const UploadInfo& info) {
    Delivery delivery;
    delivery.id = info.id + "-" + std::string(UploadStateName(info.state));
    delivery.body = BodyOf(instance_, info);
    delivery.made_at_ms = store_.runtime().clock().WallMilliseconds();
    WriteBatch told;
    told.SetRow(ToldKey(info.id), UploadStateName(info.state));
    return deliveries_->Add(delivery, std::move(told));
  }

  // What ended while nobody was there to tell it, oldest first.
  Status CatchUp(const Uploads& uploads) {
    const std::vector<UploadInfo> newest = uploads.List(kHistoryMax);
    TIDEMARK_ASSIGN_OR_RETURN(const auto begun, store_.GetRow(kBegunKey));
    WriteBatch marks;
    marks.SetRow(kBegunKey, "1");
    if (!begun) {
      for (const UploadInfo& info : newest) {
        if (IsOutcome(info.state)) marks.SetRow(ToldKey(info.id), UploadStateName(info.state));
      }
    }
    TIDEMARK_RETURN_IF_ERROR(ForgetOld(newest, &marks));
    TIDEMARK_RETURN_IF_ERROR(store_.Commit(marks).status());
    for (auto info = newest.rbegin(); info != newest.rend(); ++info) Tell(*info);
    return {};
  }

  // Marks of syncs that the store has forgotten.
  Status ForgetOld(const std::vector<UploadInfo>& known, WriteBatch* marks) const {
    std::set<std::string> keys;
    for (const UploadInfo& info : known) keys.insert(ToldKey(info.id));
    std::vector<std::string> old;
    TIDEMARK_RETURN_IF_ERROR(
        store_.ScanRows(kToldPrefix, [&](std::string_view key, std::string_view) {
          if (!keys.contains(std::string(key))) old.emplace_back(key);
          return true;
        }));
    if (old.size() < kToldSlack) return {};
    for (const std::string& key : old) marks->DeleteRow(key);
    return {};
  }

  const std::string instance_;
  Store& store_;
  const WebhookOptions options_;
  http::Client client_;  // used by the thread of the webhook alone
  std::unique_ptr<Deliveries> deliveries_;
  std::mutex mutex_;
  bool closed_ = false;
};

Webhooks::Webhooks(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Webhooks::~Webhooks() {
  impl_->Close();
}

size_t Webhooks::waiting() const {
  return impl_->waiting();
}

Result<std::unique_ptr<Webhooks>> Webhooks::Open(const std::string& instance,
                                                 Store& store,
                                                 Uploads& uploads,
                                                 const WebhookOptions& options) {
  auto impl = std::make_shared<Impl>(instance, store, options);
  std::unique_ptr<Webhooks> webhooks(new Webhooks(impl));
  TIDEMARK_RETURN_IF_ERROR(impl->Open(uploads));
  // A listener cannot be taken back; what it holds may outlive these webhooks.
  uploads.AddListener([weak = std::weak_ptr<Impl>(impl)](const UploadInfo& info) {
    if (const auto self = weak.lock()) self->Tell(info);
  });
  return webhooks;
}

}  // namespace tidemark::server
