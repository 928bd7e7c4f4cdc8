#include "replication/internal/change_listeners.h"

#include <utility>

namespace tidemark::internal {

uint64_t ChangeListeners::Listen(Listener listener) {
  const std::lock_guard lock(mutex_);
  listeners_.emplace(next_listener_, std::move(listener));
  any_ = true;
  return next_listener_++;
}

void ChangeListeners::StopListening(uint64_t listener) {
  std::unique_lock lock(mutex_);
  listeners_.erase(listener);
  any_ = !listeners_.empty();
  delivered_.wait(lock, [this] { return !delivering_; });
}

void ChangeListeners::Note(std::vector<ReplicaChange> changes) {
  if (changes.empty()) return;
  const std::lock_guard lock(mutex_);
  for (ReplicaChange& change : changes) {
    undelivered_.push_back(std::move(change));
    if (undelivered_.size() <= kReplicaChangesMax) continue;
    undelivered_.pop_front();
    ++lost_;
  }
}

void ChangeListeners::Deliver() {
  std::unique_lock lock(mutex_);
  if (delivering_ || undelivered_.empty()) return;
  delivering_ = true;
  while (!undelivered_.empty()) {
    ReplicaChange change = std::move(undelivered_.front());
    undelivered_.pop_front();
    change.lost = std::exchange(lost_, 0);
    const std::map<uint64_t, Listener> listeners = listeners_;
    lock.unlock();
    for (const auto& [number, listener] : listeners) listener(change);
    lock.lock();
  }
  delivering_ = false;
  delivered_.notify_all();
}

}  // namespace tidemark::internal
