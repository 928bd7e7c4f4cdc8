// Who may make which call, and how often.
#pragma once

#include <optional>

#include "db/runtime.h"
#include "http/message.h"
#include "server/call.h"
#include "server/rate_limiter.h"
#include "server/router.h"
#include "server/tokens.h"

namespace tidemark::server {

struct AdmissionOptions {
  double requests_per_second =
      10'000;  ///< of one token, or of a peer while there are none; 0: no limit
  double request_burst = 20'000;
  /// Calls of one peer that need a valid token and name none, or lead nowhere; 0: no limit. Others
  /// behind the same address are not refused for them.
  double strangers_per_second = 200;
  double stranger_burst = 5'000;
};

/// Thread-safe.
class Admission {
 public:
  Admission(const AdmissionOptions& options, Tokens& tokens, Clock& clock);

  /// Without tokens the loopback address is all that protects: the refusal of what a web page of
  /// somebody else makes a browser on this machine send.
  std::optional<http::Response> RefuseForeignSite(const http::Request& request);
  /// The caller's right to the route, which needs a token; the refusal when it has none.
  std::optional<http::Response> Admit(const http::Request& request,
                                      const RouteMatch& match,
                                      Caller* caller);
  /// For paths that lead nowhere: who tries many of them is slowed.
  std::optional<http::Response> AdmitToNothing(const http::Request& request);
  /// For what only an administrator of some instance may see; says which.
  std::optional<http::Response> AdmitAdministrator(const http::Request& request, Caller* caller);

 private:
  /// Finds out who calls; the refusal when nobody does, or too often.
  std::optional<http::Response> Identify(const http::Request& request, Caller* caller);

  Tokens& tokens_;
  RateLimiter by_token_;
  RateLimiter by_peer_;
};

}  // namespace tidemark::server
