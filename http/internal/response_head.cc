#include "http/internal/response_head.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <random>

namespace tidemark::http::internal {
namespace {

void AppendField(std::string* out, std::string_view name, std::string_view value) {
  out->append(name).append(": ").append(value).append("\r\n");
}

std::string HttpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 64> text{};
  const int size = std::snprintf(text.data(),
                                 text.size(),
                                 "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                 kDays[parts.tm_wday],
                                 parts.tm_mday,
                                 kMonths[parts.tm_mon],
                                 parts.tm_year + 1900,
                                 parts.tm_hour,
                                 parts.tm_min,
                                 parts.tm_sec);
  return {text.data(), static_cast<size_t>(std::max(size, 0))};
}

uint64_t FirstRequestNumber() {
  std::random_device random;
  return (uint64_t{random()} << 32) | random();
}

}  // namespace

std::string EncodeResponseHead(const Response& response, const ResponseFraming& framing) {
  std::string head;
  head.reserve(320);
  head.append(framing.http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ");
  head.append(std::to_string(response.status)).append(" ");
  head.append(ReasonPhrase(response.status)).append("\r\n");
  AppendField(&head, "Date", HttpDate());
  AppendField(&head, "X-Request-Id", framing.request_id);
  if (!response.content_type.empty()) AppendField(&head, "Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers.fields()) AppendField(&head, name, value);
  const bool never_a_body = response.status == 204 || response.status == 304;
  if (framing.chunked) {
    AppendField(&head, "Transfer-Encoding", "chunked");
  } else if (framing.body_bytes.has_value() && !never_a_body) {
    AppendField(&head, "Content-Length", std::to_string(*framing.body_bytes));
  }
  if (!framing.keep_alive) {
    AppendField(&head, "Connection", "close");
  } else if (framing.http_1_0) {
    AppendField(&head, "Connection", "keep-alive");
  }
  head.append("\r\n");
  return head;
}

std::string MakeRequestId() {
  static std::atomic<uint64_t> next{FirstRequestNumber()};
  std::array<char, 17> text{};
  // An odd multiplier maps distinct numbers to distinct ids that look unlike each other.
  const uint64_t id = next.fetch_add(1, std::memory_order_relaxed) * 0x9e3779b97f4a7c15ULL;
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(id));
  return {text.data(), 16};
}

bool IsRequestId(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  });
}

}  // namespace tidemark::http::internal
