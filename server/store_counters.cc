#include "server/store_counters.h"

#include <utility>

namespace tidemark::server {

StoreCounts CountsOf(const StoreStatistics& statistics) {
  return {.commits = statistics.commits,
          .commit_groups = statistics.commit_groups,
          .wal_syncs = statistics.wal_syncs,
          .wal_sync_micros = statistics.wal_sync_micros,
          .folds = statistics.folds};
}

StoreCounts StoreCounters::Total(const std::vector<std::shared_ptr<Instance>>& open) {
  const std::lock_guard lock(mutex_);
  std::map<std::string, Seen> seen;
  for (const auto& instance : open) {
    const StoreCounts now = CountsOf(instance->store().Statistics());
    const auto at = seen_.find(instance->name());
    const bool known = at != seen_.end() && at->second.instance.lock() == instance;
    const StoreCounts before = known ? at->second.counts : StoreCounts();
    total_.commits += now.commits - before.commits;
    total_.commit_groups += now.commit_groups - before.commit_groups;
    total_.wal_syncs += now.wal_syncs - before.wal_syncs;
    total_.wal_sync_micros += now.wal_sync_micros - before.wal_sync_micros;
    total_.folds += now.folds - before.folds;
    seen.insert_or_assign(instance->name(), Seen{instance, now});
  }
  // One that is being opened or closed at this moment is not among `open`, and may come back.
  for (auto& [name, one] : seen_) {
    if (!one.instance.expired()) seen.emplace(name, std::move(one));
  }
  seen_ = std::move(seen);
  return total_;
}

}  // namespace tidemark::server
