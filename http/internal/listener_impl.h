// What a listener is made of. Lock order: the gate's mutex, then an exchange's; `mutex_` alone.
#pragma once

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "http/internal/exchange.h"
#include "http/internal/fault.h"
#include "http/listener.h"

namespace tidemark::http {

namespace internal {

struct Counters {
  std::atomic<uint64_t> connections_open{0};
  std::atomic<uint64_t> connections_total{0};
  std::atomic<uint64_t> requests_total{0};
  std::atomic<uint64_t> refused_total{0};
  std::atomic<uint64_t> bytes_in{0};
  std::atomic<uint64_t> bytes_out{0};
};

/// A connection as the listener sees it.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Closes it at once; from any thread.
  virtual void Close() = 0;
  /// Ends it as soon as nothing is in flight, and streams at once; from any thread.
  virtual void CloseWhenIdle() = 0;
};

}  // namespace internal

class Listener::Impl {
 public:
  Impl(const ListenerOptions& options, Handler& handler)
      : options_(options),
        handler_(handler),
        io_(std::max(1, options.io_threads)),
        workers_(static_cast<size_t>(std::max(1, options.workers))),
        acceptor_(boost::asio::make_strand(io_)) {}

  Status Open();
  void Stop(std::chrono::milliseconds grace);

  // What connections use.

  /// Hands a request to a worker. False: too many are in flight.
  bool Dispatch(std::shared_ptr<const Request> request,
                const std::shared_ptr<internal::Exchange>& exchange);
  Response Refuse(const internal::Fault& fault, std::string_view request_id);
  /// False: too many bytes of bodies are held.
  bool HoldBody(uint64_t bytes);
  void ReleaseBody(uint64_t bytes) { body_bytes_ -= bytes; }
  bool stopping() const { return stopping_.load(std::memory_order_acquire); }
  const ListenerLimits& limits() const { return options_.limits; }
  const std::shared_ptr<internal::Gate>& gate() const { return gate_; }

  void Post(std::function<void()> work);
  void PostAfter(std::chrono::milliseconds delay, std::function<void()> work);

  uint16_t port = 0;
  internal::Counters counters;

 private:
  void Forget(const std::shared_ptr<internal::Connection>& connection);
  Status UseTls();
  boost::asio::awaitable<void> Accept();
  template <typename Stream>
  void Begin(Stream stream, const boost::asio::ip::tcp::endpoint& peer, bool refused);

  const ListenerOptions options_;
  Handler& handler_;
  boost::asio::io_context io_;
  boost::asio::thread_pool workers_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::optional<boost::asio::ssl::context> tls_;
  std::vector<std::thread> threads_;
  const std::shared_ptr<internal::Gate> gate_ = std::make_shared<internal::Gate>();
  std::atomic<bool> stopping_{false};
  std::atomic<uint32_t> in_flight_{0};
  std::atomic<uint64_t> body_bytes_{0};

  std::mutex mutex_;  // guards what follows
  std::condition_variable emptied_;
  std::unordered_set<std::shared_ptr<internal::Connection>> connections_;
  bool stopped_ = false;
};

}  // namespace tidemark::http
