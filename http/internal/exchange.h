// One request and its answer, between the thread that reads and the one that answers.
#pragma once

#include <atomic>
#include <boost/asio.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "http/message.h"

namespace tidemark::http::internal {

namespace asio = boost::asio;

/// What answers a request is told through, however late: closed before the sockets go.
struct Gate {
  std::mutex mutex;
  bool open = true;
};

/// One request waiting for its answer.
class Exchange {
 public:
  Exchange(const asio::any_io_executor& executor, std::shared_ptr<Gate> gate)
      : executor_(executor), gate_(std::move(gate)) {}

  // From any thread; the first one counts.
  void Deliver(Response response) {
    DeliverMade([&] { return std::move(response); });
  }

  // Makes the answer only when there is none yet and someone waits for it.
  template <typename Make>
  void DeliverMade(const Make& make) {
    const std::lock_guard gate_lock(gate_->mutex);
    if (!gate_->open) return;
    std::function<void()> wake;
    {
      const std::lock_guard lock(mutex_);
      if (answered_) return;
      answered_ = true;
      response_ = make();
      wake = std::exchange(wake_, nullptr);
    }
    if (wake) asio::post(*executor_, std::move(wake));
  }

  asio::awaitable<Response> Wait() {
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [this](auto handler) {
          auto shared = std::make_shared<decltype(handler)>(std::move(handler));
          std::function<void()> wake = [shared] {
            std::move (*shared)();
          };
          const std::lock_guard lock(mutex_);
          if (answered_) {
            asio::post(*executor_, std::move(wake));
          } else {
            wake_ = std::move(wake);
          }
        },
        asio::use_awaitable);
    const std::lock_guard lock(mutex_);
    executor_.reset();  // whoever keeps the responder must not keep the sockets
    co_return std::move(response_);
  }

 private:
  std::optional<asio::any_io_executor> executor_;
  const std::shared_ptr<Gate> gate_;
  std::mutex mutex_;
  bool answered_ = false;
  Response response_;
  std::function<void()> wake_;
};

/// Answers for whoever forgets to.
struct ResponderGuard {
  std::shared_ptr<Exchange> exchange;
  std::function<Response()> forgotten;
  ResponderGuard(std::shared_ptr<Exchange> answered, std::function<Response()> otherwise)
      : exchange(std::move(answered)), forgotten(std::move(otherwise)) {}
  ~ResponderGuard() { exchange->DeliverMade(forgotten); }
  ResponderGuard(const ResponderGuard&) = delete;
  ResponderGuard& operator=(const ResponderGuard&) = delete;
};

/// A request's place among those in flight, given up once, by whoever comes first.
class PlaceInFlight {
 public:
  explicit PlaceInFlight(std::atomic<uint32_t>& taken) : taken_(taken) {}

  void Leave() {
    if (!left_.exchange(true)) --taken_;
  }

 private:
  std::atomic<uint32_t>& taken_;
  std::atomic<bool> left_{false};
};

}  // namespace tidemark::http::internal
