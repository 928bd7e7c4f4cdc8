// Who is told of the changes of a replica, and what is still to be told.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "replication/replica_changes.h"

namespace tidemark::internal {

/// Thread-safe. Changes are noted in their order, under the replica's lock, and told in that order
/// without it, by one thread at a time. Its own lock is a leaf, and not held over a listener.
class ChangeListeners {
 public:
  using Listener = std::function<void(const ReplicaChange&)>;

  uint64_t Listen(Listener listener);
  /// Returns when nobody is being told.
  void StopListening(uint64_t listener);
  /// Whether changes need to be found out.
  bool any() const { return any_; }

  /// What was committed; the oldest are lost beyond `kReplicaChangesMax`.
  void Note(std::vector<ReplicaChange> changes);
  /// Tells what was noted, unless somebody does already.
  void Deliver();

 private:
  std::mutex mutex_;
  std::atomic<bool> any_ = false;  // follows `listeners_`
  std::map<uint64_t, Listener> listeners_;
  uint64_t next_listener_ = 1;
  std::deque<ReplicaChange> undelivered_;
  uint64_t lost_ = 0;  // before the first of them
  bool delivering_ = false;
  std::condition_variable delivered_;
};

/// Tells what a step noted when the step is over and its lock is let go: made before the lock.
class DeliverAfter {
 public:
  explicit DeliverAfter(ChangeListeners& listeners) : listeners_(listeners) {}
  ~DeliverAfter() { listeners_.Deliver(); }
  DeliverAfter(const DeliverAfter&) = delete;
  DeliverAfter& operator=(const DeliverAfter&) = delete;

 private:
  ChangeListeners& listeners_;
};

}  // namespace tidemark::internal
