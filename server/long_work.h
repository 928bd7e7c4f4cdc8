// Work that may outlast the call that asked for it.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace tidemark::server {

inline constexpr size_t kLongWorkMax = 16;  ///< pieces that run at once

/// Runs each piece of work on a thread of its own. Thread-safe. Destroying it waits for what runs.
class LongWork {
 public:
  LongWork() = default;
  ~LongWork();
  LongWork(const LongWork&) = delete;
  LongWork& operator=(const LongWork&) = delete;

  /// False, and nothing runs, when too much runs already.
  bool Run(std::function<void()> work);

 private:
  struct Piece {
    std::thread thread;
    bool ended = false;
  };
  void Reap();  // requires the lock

  std::mutex mutex_;
  std::list<Piece> pieces_;
};

}  // namespace tidemark::server
