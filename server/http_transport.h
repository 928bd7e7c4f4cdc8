// A replica's way to a server.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/client.h"
#include "replication/transport.h"

namespace tidemark::server {

struct HttpTransportOptions {
  std::string url;    ///< "https://host:port"; a path is kept as a prefix
  std::string token;  ///< empty: none is sent
  http::ClientOptions client;
  /// A server that answers 429 or 503 may say, by `Retry-After`, after how many seconds it is to be
  /// asked again. It is waited for up to this long, four times a call. Until a time beyond it calls
  /// are `kUnavailable`, without the server being asked. A 429 that says nothing is asked again
  /// after a second; a 503 that says nothing is an answer.
  std::chrono::seconds retry_after_max = std::chrono::seconds(60);
  /// How to wait; by default the thread sleeps.
  std::function<void(std::chrono::seconds)> wait = {};
};

/// Thread-compatible. `kUnavailable`: the server could not be asked, or failed, or asked for more
/// time; `kNotAllowed`: the token is not good for this.
class HttpTransport final : public Transport {
 public:
  HttpTransport(HttpTransportOptions options, std::string_view device);

  Result<std::optional<SessionInfo>> Start(const Hello& hello) override;
  Result<std::optional<Page>> Next(std::string_view session, const PageOptions& options) override;
  /// Counts what became of the keys; the reasons stay with the server.
  Result<AckResult> Acknowledge(std::string_view device,
                                const std::vector<std::string>& keys) override;
  Result<PushResult> Push(std::string_view batch) override;

 private:
  /// Sends a call for `device`, again after a time if the server says so.
  Result<http::ClientResponse> Send(http::Method method,
                                    const std::string& path,
                                    std::string_view device,
                                    std::string body,
                                    std::string_view content_type = "application/json");
  /// Waits as the last answer asked for.
  Status WaitAsTold();

  const HttpTransportOptions options_;
  const std::string device_;
  http::Client client_;
  std::chrono::steady_clock::time_point not_before_;  // the server asked not to be asked earlier
};

}  // namespace tidemark::server
