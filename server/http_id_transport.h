// A device's way to the id pools of a server.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/client.h"
#include "replication/id_lease.h"

namespace tidemark::server {

struct HttpIdTransportOptions {
  std::string url;    ///< "https://host:port"; a path is kept as a prefix
  std::string token;  ///< of a writer; empty: none is sent
  http::ClientOptions client;
};

/// Thread-compatible. Errors have the code that the server told; `kNotAllowed`: the token is not
/// good for this.
class HttpIdTransport final : public IdTransport {
 public:
  explicit HttpIdTransport(HttpIdTransportOptions options);

  Result<IdLease> LeaseIds(const IdLeaseRequest& request) override;
  Result<std::vector<VoidLease>> ReportIds(const IdReport& report) override;

 private:
  /// The member `data` of the answer.
  Result<std::string> Post(std::string_view pool, std::string_view what, std::string body);

  const HttpIdTransportOptions options_;
  http::Client client_;
};

}  // namespace tidemark::server
