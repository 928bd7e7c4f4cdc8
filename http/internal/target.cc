#include "http/internal/target.h"

#include "http/internal/ascii.h"

namespace tidemark::http::internal {
namespace {

constexpr size_t kQueryParametersMax = 100;

bool ParsePath(std::string_view path, Request* request) {
  if (path.starts_with("//")) path.remove_prefix(1);
  request->path = std::string(path);
  path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    auto segment = PercentDecode(path.substr(0, slash), false);
    if (!segment.has_value()) return false;
    request->segments.push_back(*std::move(segment));
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool ParseQuery(std::string_view query, Request* request) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view parameter = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (parameter.empty()) continue;
    if (request->query.size() == kQueryParametersMax) return false;
    const size_t equals = parameter.find('=');
    const std::string_view raw =
        equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1);
    auto name = PercentDecode(parameter.substr(0, equals), true);
    auto value = PercentDecode(raw, true);
    if (!name.has_value() || !value.has_value()) return false;
    request->query.emplace_back(*std::move(name), *std::move(value));
  }
  return true;
}

}  // namespace

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c == '%') {
      if (at + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[at + 1]);
      const int low = HexDigit(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      at += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return std::nullopt;
    decoded.push_back(c);
  }
  return decoded;
}

bool ParseTarget(std::string_view target, Request* request) {
  const size_t fragment = target.find('#');
  if (fragment != std::string_view::npos) return false;
  const size_t question = target.find('?');
  if (!ParsePath(target.substr(0, question), request)) return false;
  return question == std::string_view::npos || ParseQuery(target.substr(question + 1), request);
}

}  // namespace tidemark::http::internal
