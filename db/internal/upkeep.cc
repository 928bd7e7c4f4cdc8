#include "db/internal/upkeep.h"

#include "db/internal/fold.h"
#include "db/internal/part_index.h"

namespace tidemark::internal {

Upkeep::Upkeep(StoreState& state) : state_(state), thread_([this] { Run(); }) {}

Upkeep::~Upkeep() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wanted_.notify_all();
  worked_.notify_all();
  thread_.join();
}

void Upkeep::Wake() {
  {
    const std::lock_guard lock(mutex_);
    if (wake_) return;
    wake_ = true;
  }
  wanted_.notify_all();
}

void Upkeep::WaitForRoom() {
  const auto has_room = [this] {
    const std::shared_lock lock(state_.state_mutex);
    return state_.window.size() < 2 * state_.options.window_records || !state_.fold_wanted;
  };
  if (has_room()) return;
  std::unique_lock lock(mutex_);
  worked_.wait(lock, [&] { return stop_ || has_room(); });
}

void Upkeep::Run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    wanted_.wait(lock, [this] { return wake_ || stop_; });
    if (stop_) return;
    wake_ = false;
    lock.unlock();
    Work();
    lock.lock();
    worked_.notify_all();
    while (!stop_ && !wake_) {
      lock.unlock();
      const bool more = IndexSome();
      lock.lock();
      if (!more) break;
    }
  }
}

void Upkeep::Work() {
  const std::lock_guard fold_lock(state_.fold_mutex);
  Status status;
  if (state_.fold_wanted) status = FoldBesideCommits(state_);
  if (status.ok()) status = CompactLogs(state_, /*force=*/false);
  if (status.ok()) return;
  state_.Log("background work failed: " + status.ToString());
  const std::lock_guard commit_lock(state_.commit_mutex);
  if (state_.write_error.ok()) state_.write_error = status;
}

// What fails here stops nobody: the log has what the index lacks.
bool Upkeep::IndexSome() {
  const auto more = IndexParts(state_);
  if (!more.ok()) state_.Log("indexing of parts failed: " + more.status().ToString());
  return more.ok() && *more;
}

}  // namespace tidemark::internal
