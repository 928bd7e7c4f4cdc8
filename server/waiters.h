// Calls that wait until an instance has something new, without holding a worker.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "db/store.h"
#include "format/sequence.h"

namespace tidemark::server {

/// Runs work on another thread.
using Executor = std::function<void(std::function<void()> work)>;

/// Thread-safe. Has a thread of its own while anything waits. Destroy it before its store, after
/// `Stop`.
class Waiters {
 public:
  /// Without an executor, calls are woken on the thread of the waiters.
  explicit Waiters(const Store& store, Executor executor = {});
  ~Waiters();
  Waiters(const Waiters&) = delete;
  Waiters& operator=(const Waiters&) = delete;

  /// Calls `wake` once, on the thread of the waiters and never from within this call: as soon as
  /// the store's last sequence number is above `after`, or after `timeout`, whichever comes first;
  /// at once when that is so already. `wake` must be short. Timeouts are exact to 20 milliseconds.
  /// With `changes`, which was read before looking, no call of `WakeAll` since is missed either.
  void Wait(SequenceNumber after,
            std::chrono::milliseconds timeout,
            std::function<void()> wake,
            std::optional<uint64_t> changes = {});
  /// Wakes everything that waits, soon: for changes that are no commits, such as of selections.
  void WakeAll();
  /// How often `WakeAll` was called.
  uint64_t changes() const;
  size_t size() const;
  /// Wakes everything that waits, and from now on whatever comes. Does not wait for it.
  void Stop();
  /// Takes `Stop` back.
  void Resume();
  /// True after `Stop`: a call that was woken is to answer, not to wait again.
  bool stopped() const;
  /// Stops, and waits for the thread. Never from a `wake` function.
  void End();

 private:
  struct State;
  static void Run(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace tidemark::server
