#include "server/site.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "server/config_check.h"

namespace tidemark::server {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

// `host[:port]` without the port; an IPv6 address without its brackets.
std::string HostWithoutPort(std::string_view host) {
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    return end == std::string_view::npos ? std::string() : std::string(host.substr(1, end - 1));
  }
  return std::string(host.substr(0, host.find(':')));
}

}  // namespace

bool IsForThisMachine(const http::Request& request) {
  const auto header = request.headers.Find("Host");
  if (!header) return true;
  const std::string host = Lower(HostWithoutPort(*header));
  return host == "localhost" || IsLoopbackAddress(host);
}

bool IsFromAnotherSite(const http::Request& request) {
  if (request.method == http::Method::kGet || request.method == http::Method::kHead) return false;
  const auto site = request.headers.Find("Sec-Fetch-Site");
  if (site && *site != "same-origin" && *site != "none") return true;
  const auto origin = request.headers.Find("Origin");
  if (!origin) return false;
  const std::string own = Lower(request.headers.Find("Host").value_or(""));
  const std::string named = Lower(*origin);
  return named != "http://" + own && named != "https://" + own;
}

}  // namespace tidemark::server
