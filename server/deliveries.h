// Messages to others that must arrive: durable, in order, tried until they are taken.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "db/store.h"
#include "format/status.h"

namespace tidemark::server {

inline constexpr size_t kDeliveriesMax = 1000;  ///< waiting; beyond it the oldest is dropped

struct Delivery {
  std::string id;  ///< the same for every attempt
  std::string body;
  int64_t made_at_ms = 0;
};

struct DeliveryOptions {
  std::chrono::milliseconds first_pause{1000};  ///< doubles with each failure
  std::chrono::milliseconds longest_pause{5 * 60 * 1000};
  std::chrono::milliseconds age_max{3 * 24 * 3600 * 1000};  ///< then it is dropped
  /// Told of failures and of what is dropped; from the thread of the deliveries.
  std::function<void(const std::string& line)> log;
};

/// One way out, such as a webhook. Thread-safe. Destroy it before its store; what waits goes on
/// when the store is served again.
class Deliveries {
 public:
  /// Blocks for a bounded time. An error is tried again.
  using Send = std::function<Status(const Delivery& delivery)>;

  /// `channel` tells the ways out of a store apart: one character.
  static Result<std::unique_ptr<Deliveries>> Open(Store& store,
                                                  char channel,
                                                  Send send,
                                                  DeliveryOptions options = {});
  ~Deliveries();
  Deliveries(const Deliveries&) = delete;
  Deliveries& operator=(const Deliveries&) = delete;

  /// Commits `delivery` together with the rows of `joined`. Durable on return.
  Status Add(const Delivery& delivery, WriteBatch joined = {});
  size_t waiting() const;

 private:
  Deliveries(Store& store, char channel, Send send, DeliveryOptions options);

  std::string KeyOf(uint64_t number) const;
  std::string Prefix() const;
  Status Recover();
  void Run();
  /// True when the delivery is over, whichever way.
  bool Attempt(const std::string& key);
  void Log(const std::string& line) const;

  Store& store_;
  const char channel_;
  const Send send_;
  const DeliveryOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t first_ = 0;  // the oldest that waits
  uint64_t next_ = 0;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all others
};

}  // namespace tidemark::server
