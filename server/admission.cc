#include "server/admission.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "server/reply.h"
#include "server/site.h"

namespace tidemark::server {
namespace {

http::Response TooOften(const http::Request& request,
                        std::string_view who,
                        std::chrono::milliseconds wait) {
  http::Response response = MakeError(
      {.status = 429, .code = "rate_limited", .message = std::string(who) + " asks too often"},
      request.id);
  response.headers.Add("Retry-After", std::to_string((wait.count() + 999) / 1000));
  return response;
}

http::Response TooSmallARole(const http::Request& request, Role has, Role needed) {
  return MakeError({.status = 403,
                    .code = "role",
                    .message = "this call needs the role " + std::string(RoleName(needed)) +
                               ", the token has " + std::string(RoleName(has))},
                   request.id);
}

http::Response BoundToADevice(const http::Request& request) {
  return MakeError({.status = 403,
                    .code = "device",
                    .message = "the token acts for devices alone, and this call shows more"},
                   request.id);
}

// Who is one peer: an address, of IPv6 its first half, which is what one customer has.
std::string PeerKey(const std::string& peer) {
  in6_addr address{};
  if (inet_pton(AF_INET6, peer.c_str(), &address) != 1 || IN6_IS_ADDR_V4MAPPED(&address)) {
    return peer;
  }
  return {reinterpret_cast<const char*>(&address), sizeof(address) / 2};  // NOLINT: as bytes
}

}  // namespace

Admission::Admission(const AdmissionOptions& options, Tokens& tokens, Clock& clock)
    : tokens_(tokens),
      by_token_(options.requests_per_second, options.request_burst, clock),
      by_peer_(options.strangers_per_second, options.stranger_burst, clock) {}

std::optional<http::Response> Admission::RefuseForeignSite(const http::Request& request) {
  if (tokens_.required()) return std::nullopt;  // no page of somebody else knows one
  if (!IsForThisMachine(request)) {
    return MakeError({.status = 421,
                      .code = "misdirected",
                      .message = "without tokens, Host must be a name or address of this machine"},
                     request.id);
  }
  if (IsFromAnotherSite(request)) {
    return MakeError({.status = 403,
                      .code = "cross_site",
                      .message = "without tokens, pages of other origins change nothing here"},
                     request.id);
  }
  return std::nullopt;
}

std::optional<http::Response> Admission::Identify(const http::Request& request, Caller* caller) {
  std::optional<Caller> known = tokens_.Identify(request);
  if (!known) {
    // Only what fails counts: whoever else is behind the same address is not to suffer from it.
    const auto wait = by_peer_.Take(PeerKey(request.peer));
    if (wait.count() > 0) return TooOften(request, "this peer", wait);
    return Unauthorized(request.id);
  }
  *caller = std::move(*known);
  const bool named = !caller->token.empty();  // else this machine, while there are no tokens
  const auto wait = by_token_.Take(named ? caller->token : PeerKey(request.peer));
  if (wait.count() > 0) return TooOften(request, named ? "this token" : "this peer", wait);
  return std::nullopt;
}

std::optional<http::Response> Admission::Admit(const http::Request& request,
                                               const RouteMatch& match,
                                               Caller* caller) {
  if (auto refusal = Identify(request, caller)) return refusal;
  const auto instance = Router::CaptureIndex(*match.route, "instance");
  if (instance && match.captures[*instance] != caller->instance) return NothingHere(request.id);
  if (caller->role < match.route->role) {
    return TooSmallARole(request, caller->role, match.route->role);
  }
  if (caller->is_for_devices() && !match.route->for_devices) return BoundToADevice(request);
  return std::nullopt;
}

std::optional<http::Response> Admission::AdmitToNothing(const http::Request& request) {
  if (!tokens_.required()) return std::nullopt;  // only this machine can ask
  const auto wait = by_peer_.Take(PeerKey(request.peer));
  if (wait.count() > 0) return TooOften(request, "this peer", wait);
  return std::nullopt;
}

std::optional<http::Response> Admission::AdmitAdministrator(const http::Request& request,
                                                            Caller* caller) {
  if (auto refusal = Identify(request, caller)) return refusal;
  if (caller->role < Role::kAdmin) return TooSmallARole(request, caller->role, Role::kAdmin);
  if (caller->is_for_devices()) return BoundToADevice(request);
  return std::nullopt;
}

}  // namespace tidemark::server
