// A replica's way to a server.
#pragma once

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
};

/// Thread-compatible. `kUnavailable`: the server could not be asked, or failed; `kNotAllowed`: the
/// token is not good for this.
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
  /// Sends a call for `device`; asks again, a few times, when the server says that it is too often.
  Result<http::ClientResponse> Send(http::Method method,
                                    const std::string& path,
                                    std::string_view device,
                                    std::string body,
                                    std::string_view content_type = "application/json");

  const HttpTransportOptions options_;
  const std::string device_;
  http::Client client_;
};

}  // namespace tidemark::server
