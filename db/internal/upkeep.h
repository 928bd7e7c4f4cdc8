// Background work of one store: folds when the window is full, compaction of logs, and the index of
// parts.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "db/internal/store_state.h"

namespace tidemark::internal {

/// One thread. Errors stop writing: what cannot be folded would grow without bound.
class Upkeep {
 public:
  explicit Upkeep(StoreState& state);
  /// Ends the thread after what it is doing.
  ~Upkeep();
  Upkeep(const Upkeep&) = delete;
  Upkeep& operator=(const Upkeep&) = delete;

  void Wake();
  /// Waits while the window is twice as large as it should be: writers may not outrun the fold.
  void WaitForRoom();

 private:
  void Run();
  void Work();
  bool IndexSome();

  StoreState& state_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::condition_variable worked_;
  bool wake_ = false;  // guarded by mutex_
  bool stop_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace tidemark::internal
