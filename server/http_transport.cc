#include "server/http_transport.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>

#include "format/batch.h"
#include "server/answers.h"
#include "server/push_json.h"
#include "server/sell_wire.h"

namespace tidemark::server {
namespace {

constexpr int kAttempts = 5;
constexpr int64_t kRetryAfterMost = 366 * 86'400;  // so that no time overflows

int64_t ReadCount(const http::Headers& headers, std::string_view name, int64_t fallback) {
  const auto text = headers.Find(name);
  int64_t number = 0;
  if (!text) return fallback;
  const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  return error == std::errc() && number >= 0 ? number : fallback;
}

/// After how many seconds the answer asks to be asked again; 0: it does not.
std::chrono::seconds RetryAfterOf(const http::ClientResponse& response) {
  if (response.status != 429 && response.status != 503) return std::chrono::seconds(0);
  const int64_t unsaid = response.status == 429 ? 1 : 0;
  const int64_t seconds = ReadCount(response.headers, "Retry-After", unsaid);
  return std::chrono::seconds(std::min(seconds, kRetryAfterMost));
}

}  // namespace

HttpTransport::HttpTransport(HttpTransportOptions options, std::string_view device)
    : options_(std::move(options)), device_(device), client_(options_.client) {}

Result<http::ClientResponse> HttpTransport::Send(http::Method method,
                                                 const std::string& path,
                                                 std::string_view device,
                                                 std::string body,
                                                 std::string_view content_type) {
  http::ClientRequest request;
  request.method = method;
  request.url = AddressOf(options_.url, path);
  request.headers.Add(kDeviceHeader, device);
  request.headers.Add("Accept", method == http::Method::kGet ? kBatchType : "application/json");
  if (!options_.token.empty()) request.headers.Add("Authorization", "Bearer " + options_.token);
  request.body = std::move(body);
  if (!request.body.empty()) request.content_type = content_type;
  for (int attempt = 1;; ++attempt) {
    TIDEMARK_RETURN_IF_ERROR(WaitAsTold());
    TIDEMARK_ASSIGN_OR_RETURN(http::ClientResponse response, client_.Send(request));
    const std::chrono::seconds after = RetryAfterOf(response);
    if (after == std::chrono::seconds(0)) return response;
    not_before_ = std::chrono::steady_clock::now() + after;
    if (attempt == kAttempts || after > options_.retry_after_max) return response;
  }
}

Status HttpTransport::WaitAsTold() {
  const auto now = std::chrono::steady_clock::now();
  if (now >= not_before_) return {};
  const auto left = std::chrono::ceil<std::chrono::seconds>(not_before_ - now);
  if (left > options_.retry_after_max) {
    return {ErrorCode::kUnavailable,
            "the server asked not to be asked for another " + std::to_string(left.count()) + " s"};
  }
  if (options_.wait) {
    options_.wait(left);
  } else {
    std::this_thread::sleep_for(left);
  }
  not_before_ = {};
  return {};
}

Result<std::optional<SessionInfo>> HttpTransport::Start(const Hello& hello) {
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto response,
      Send(http::Method::kPost, "/v2/sync/start", hello.device, WriteStartBody(hello)));
  if (response.status == 204) return std::optional<SessionInfo>();
  if (response.status != 201) return StatusOfAnswer(response);
  TIDEMARK_ASSIGN_OR_RETURN(SessionInfo session, SessionFromJson(response.body));
  return std::optional<SessionInfo>(std::move(session));
}

Result<std::optional<Page>> HttpTransport::Next(std::string_view session,
                                                const PageOptions& options) {
  const std::string path = "/v2/sync/" + std::string(session) + "/queues/" + options.queue +
                           "?limit=" + std::to_string(options.records_max) +
                           "&bytes=" + std::to_string(options.bytes_max);
  TIDEMARK_ASSIGN_OR_RETURN(auto response, Send(http::Method::kGet, path, device_, ""));
  if (response.status == 204) return std::optional<Page>();
  if (response.status != 200) return StatusOfAnswer(response);
  const auto token = response.headers.Find(kPageHeader);
  if (!token) return Status(ErrorCode::kUnavailable, "what answered is no Tidemark server");
  Page page;
  page.token = *token;
  page.records = static_cast<uint64_t>(ReadCount(response.headers, kRecordsHeader, 0));
  page.left = static_cast<uint64_t>(ReadCount(response.headers, kLeftHeader, 0));
  page.bytes = std::move(response.body);
  return std::optional<Page>(std::move(page));
}

Result<AckResult> HttpTransport::Acknowledge(std::string_view device,
                                             const std::vector<std::string>& keys) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto response,
                            Send(http::Method::kPost, "/v2/sync/ack", device, WriteAckBody(keys)));
  if (response.status != 202) return StatusOfAnswer(response);
  AckResult result;
  result.applied = static_cast<uint64_t>(ReadCount(response.headers, kAppliedHeader, 0));
  result.repeated = static_cast<uint64_t>(ReadCount(response.headers, kRepeatedHeader, 0));
  result.ignored = static_cast<uint64_t>(ReadCount(response.headers, kIgnoredHeader, 0));
  return result;
}

Result<PushResult> HttpTransport::Push(std::string_view batch) {
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto response,
      Send(http::Method::kPost, "/v1/push", device_, std::string(batch), kBatchType));
  if (response.status != 200) return StatusOfAnswer(response);
  return PushFromJson(response.body);
}

}  // namespace tidemark::server
