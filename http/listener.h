// The HTTP/1.1 server: connections, framing and limits. What is asked and answered is the business
// of a handler.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "format/status.h"
#include "http/message.h"

namespace tidemark::http {

/// Limits of a listener: each has its own refusal, documented in docs/limits.md.
struct ListenerLimits {
  uint32_t request_line_bytes = 8 * 1024;
  uint32_t header_bytes = 32 * 1024;  ///< all fields together
  uint32_t header_fields = 100;
  uint64_t body_bytes = 16 * 1024 * 1024;
  uint64_t bodies_bytes = 256 * 1024 * 1024;  ///< of all requests that are arriving or in flight
  uint32_t connections = 20'000;
  uint32_t requests_in_flight = 1'000;  ///< given to the handler and not answered; waiting ones
                                        ///< count only while a worker holds them
  std::chrono::milliseconds header_time{10'000};  ///< from the first byte to the last header
  std::chrono::milliseconds idle_time{75'000};    ///< between requests of a connection
  std::chrono::milliseconds write_stall{30'000};  ///< without a byte taken by the client
  std::chrono::milliseconds body_stall{10'000};   ///< without a byte of the body
  uint32_t body_bytes_per_second = 1024;          ///< slower over a window is too slow
  std::chrono::milliseconds body_window{10'000};
};

struct ListenerOptions {
  std::string address = "127.0.0.1";  ///< IPv4 or IPv6
  uint16_t port = 0;                  ///< 0: any free one
  int io_threads = 1;
  int workers = 32;  ///< threads that run the handler. Commits of handlers that wait for the same
                     ///< sync share it, so more of them than processors write faster
  ListenerLimits limits;
  std::string tls_certificate;  ///< PEM file; empty: no TLS
  std::string tls_key;          ///< PEM file
};

struct ListenerStatistics {
  uint64_t connections_open = 0;
  uint64_t connections_total = 0;
  uint64_t requests_total = 0;
  uint64_t refused_total = 0;  ///< answered without the handler
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
};

/// Thread-safe.
class Listener {
 public:
  /// Whether certificate and key can be read and fit each other; ok without TLS. `kInvalidArgument`
  /// names the file.
  static Status CheckTls(const ListenerOptions& options);
  /// Listens, and serves until `Stop`. The handler must outlive it.
  static Result<std::unique_ptr<Listener>> Start(const ListenerOptions& options, Handler& handler);
  /// Stops, as with a grace of zero.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  uint16_t port() const;
  /// Runs `work` on a worker thread.
  void Post(std::function<void()> work);
  /// Runs `work` on a worker thread after `delay`. It is dropped, unrun, when the listener stops.
  void PostAfter(std::chrono::milliseconds delay, std::function<void()> work);
  /// Accepts no more, lets what is in flight end within `grace`, then closes. Returns when no
  /// handler runs any more.
  void Stop(std::chrono::milliseconds grace);
  ListenerStatistics Statistics() const;

  class Impl;

 private:
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark::http
