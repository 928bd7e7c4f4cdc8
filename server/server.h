// The server: an application behind a listener.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "format/status.h"
#include "http/listener.h"
#include "server/application.h"

namespace tidemark::server {

struct ServerOptions {
  ApplicationOptions application;
  http::ListenerOptions listener{.port = 8787};
  std::chrono::milliseconds upkeep_period = std::chrono::seconds(30);
  std::chrono::milliseconds stop_grace = std::chrono::seconds(10);
};

/// Thread-safe.
class Server {
 public:
  /// Listens, and serves until `Stop`. `kNotAllowed` for an address that others can reach while
  /// there is no token.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options);
  /// Stops.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;
  Application& application();
  /// Accepts no more, finishes what is in flight, closes every store. Once is enough.
  void Stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark::server
