#include "server/waiters.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace tidemark::server {
namespace {

using Time = std::chrono::steady_clock::time_point;

// How long the thread sleeps in the store, where a new waiter that is due cannot reach it.
constexpr std::chrono::milliseconds kSliceMax{20};

struct Waiter {
  SequenceNumber after;
  Time deadline;
  std::function<void()> wake;
  uint64_t changes = 0;
};

}  // namespace

// Outlives the waiters if the thread is the one that destroys them: what a call held last may be
// the instance itself.
struct Waiters::State {
  State(const Store& its_store, Executor its_executor)
      : store(&its_store), executor(std::move(its_executor)) {}

  // Takes out what is due. `last` was read before the lock was taken.
  std::vector<Waiter> TakeDue(SequenceNumber last) {
    const Time now = std::chrono::steady_clock::now();
    const auto due = std::stable_partition(waiting.begin(), waiting.end(), [&](const Waiter& one) {
      return !stopped && one.changes == changes && one.after >= last && one.deadline > now;
    });
    std::vector<Waiter> taken(std::make_move_iterator(due), std::make_move_iterator(waiting.end()));
    waiting.erase(due, waiting.end());
    return taken;
  }

  void Wake(Waiter& waiter) const {
    if (executor) {
      executor(std::move(waiter.wake));
    } else {
      waiter.wake();
    }
  }

  const Store* const store;
  const Executor executor;
  std::mutex mutex;
  std::condition_variable ended;
  std::vector<Waiter> waiting;
  bool running = false;    // there is a thread
  bool stopped = false;    // nothing waits any more
  uint64_t changes = 0;    // what waits since an older one shall wait no longer
  bool destroyed = false;  // the store is not to be asked any more
  std::thread::id thread;
};

Waiters::Waiters(const Store& store, Executor executor)
    : state_(std::make_shared<State>(store, std::move(executor))) {}

Waiters::~Waiters() {
  End();
}

void Waiters::End() {
  Stop();
  std::unique_lock lock(state_->mutex);
  state_->destroyed = true;
  if (state_->thread == std::this_thread::get_id()) return;
  state_->ended.wait(lock, [&] { return !state_->running; });
}

void Waiters::Wait(SequenceNumber after,
                   std::chrono::milliseconds timeout,
                   std::function<void()> wake,
                   std::optional<uint64_t> changes) {
  const std::lock_guard lock(state_->mutex);
  state_->waiting.push_back({after,
                             std::chrono::steady_clock::now() + timeout,
                             std::move(wake),
                             changes.value_or(state_->changes)});
  if (state_->running) return;
  state_->running = true;
  std::thread([state = state_] { Run(state); }).detach();
}

void Waiters::WakeAll() {
  const std::lock_guard lock(state_->mutex);
  ++state_->changes;
}

uint64_t Waiters::changes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->changes;
}

size_t Waiters::size() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waiting.size();
}

void Waiters::Stop() {
  const std::lock_guard lock(state_->mutex);
  state_->stopped = true;
}

void Waiters::Resume() {
  const std::lock_guard lock(state_->mutex);
  state_->stopped = false;
}

bool Waiters::stopped() const {
  const std::lock_guard lock(state_->mutex);
  return state_->stopped;
}

void Waiters::Run(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  state->thread = std::this_thread::get_id();
  while (!state->waiting.empty()) {
    // Then all are due.
    const bool destroyed = state->destroyed;
    lock.unlock();
    const SequenceNumber last = destroyed ? kSequenceZero : state->store->last_sequence();
    lock.lock();
    std::vector<Waiter> due = state->TakeDue(last);
    lock.unlock();
    if (due.empty()) {
      state->store->WaitForCommit(last, kSliceMax);
    } else {
      for (Waiter& one : due) state->Wake(one);
      due.clear();  // with it may go the last hold on the instance, and on its store
    }
    lock.lock();
  }
  state->running = false;
  state->thread = std::thread::id();
  state->ended.notify_all();
}

}  // namespace tidemark::server
