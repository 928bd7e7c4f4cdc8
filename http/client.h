// The HTTP client: one request at a time over kept connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "format/status.h"
#include "http/message.h"

namespace tidemark::http {

struct ClientOptions {
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{90'000};  ///< for a whole exchange
  uint64_t body_bytes = 64ULL << 20;          ///< a larger answer is `kTooLarge`
  std::string certificate_authority;          ///< PEM file; empty: the system's
};

struct ClientRequest {
  Method method = Method::kGet;
  std::string url;
  Headers headers;
  std::string body;
  std::string content_type;  ///< empty: none is sent
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;
};

/// `scheme://host:port` of a URL. The rest of it may hold secrets, so this is what errors and logs
/// name; "(no URL)" for what is none.
std::string OriginOf(std::string_view url);

/// Thread-compatible.
class Client {
 public:
  explicit Client(ClientOptions options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Any answer is a success here, whatever its status. `kUnavailable`: could not ask.
  Result<ClientResponse> Send(const ClientRequest& request);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark::http
