#include "server/router.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace tidemark::server {
namespace {

std::vector<std::string_view> SplitPattern(std::string_view pattern) {
  std::vector<std::string_view> words;
  if (pattern.starts_with('/')) pattern.remove_prefix(1);
  while (!pattern.empty()) {
    const size_t end = std::min(pattern.find('/'), pattern.size());
    words.push_back(pattern.substr(0, end));
    pattern.remove_prefix(std::min(end + 1, pattern.size()));
  }
  return words;
}

bool IsCapture(std::string_view word) {
  return word.starts_with('{');
}

}  // namespace

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (size_t i = 0; i < routes_.size(); ++i) {
    Pattern pattern{.route = i};
    for (const std::string_view word : SplitPattern(routes_[i].pattern)) {
      const bool capture = IsCapture(word);
      pattern.words.emplace_back(capture ? "" : word);
      if (capture) ++pattern.captures;
    }
    const size_t length = pattern.words.size();
    if (by_length_.size() <= length) by_length_.resize(length + 1);
    by_length_[length].push_back(std::move(pattern));
  }
  for (std::vector<Pattern>& patterns : by_length_) {
    std::stable_sort(patterns.begin(), patterns.end(), [](const Pattern& a, const Pattern& b) {
      return a.captures < b.captures;
    });
  }
}

bool Router::Matches(const Pattern& pattern, const std::vector<std::string>& segments) {
  for (size_t i = 0; i < segments.size(); ++i) {
    const std::string& word = pattern.words[i];
    if (word.empty() ? segments[i].empty() : word != segments[i]) return false;
  }
  return true;
}

RouteMatch Router::Find(http::Method method, const std::vector<std::string>& segments) const {
  static const std::vector<std::string> kRoot;
  const bool is_root = segments.size() == 1 && segments[0].empty();
  const std::vector<std::string>& path = is_root ? kRoot : segments;
  RouteMatch match;
  if (path.size() >= by_length_.size()) return match;
  for (const Pattern& pattern : by_length_[path.size()]) {
    if (!Matches(pattern, path)) continue;
    const Route& route = routes_[pattern.route];
    if (route.method != method) {
      const std::string name(http::MethodName(route.method));
      if (match.allow.find(name) == std::string::npos) {
        match.allow += (match.allow.empty() ? "" : ", ") + name;
      }
      continue;
    }
    match.route = &route;
    for (size_t i = 0; i < path.size(); ++i) {
      if (pattern.words[i].empty()) match.captures.push_back(path[i]);
    }
    match.allow.clear();
    return match;
  }
  return match;
}

std::optional<size_t> Router::CaptureIndex(const Route& route, std::string_view name) {
  size_t index = 0;
  for (const std::string_view word : SplitPattern(route.pattern)) {
    if (!IsCapture(word)) continue;
    if (word.substr(1, word.size() - 2) == name) return index;
    ++index;
  }
  return std::nullopt;
}

}  // namespace tidemark::server
