// Which route a request means.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "http/message.h"
#include "server/call.h"

namespace tidemark::server {

/// What a path and a method lead to.
struct RouteMatch {
  const Route* route = nullptr;       ///< null: no route
  std::vector<std::string> captures;  ///< of `route`
  std::string allow;                  ///< methods that the path has, when only the method is wrong
};

/// A table of routes. Words of a pattern match themselves and win over captures. Immutable after
/// the last `Add`, so thread-safe.
class Router {
 public:
  explicit Router(std::vector<Route> routes);

  RouteMatch Find(http::Method method, const std::vector<std::string>& segments) const;
  /// In the order in which they were given.
  const std::vector<Route>& routes() const { return routes_; }
  /// Position of the capture `{name}` among the captures of `route`.
  static std::optional<size_t> CaptureIndex(const Route& route, std::string_view name);

 private:
  struct Pattern {
    std::vector<std::string> words;  // empty: a capture
    size_t captures = 0;
    size_t route = 0;
  };

  static bool Matches(const Pattern& pattern, const std::vector<std::string>& segments);

  std::vector<Route> routes_;
  std::vector<std::vector<Pattern>> by_length_;  // fewest captures first
};

}  // namespace tidemark::server
