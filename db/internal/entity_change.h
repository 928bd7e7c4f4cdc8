// What a finish does to one entity: found by a merge, made visible by the flip.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "db/internal/sorted_file.h"
#include "db/internal/store_state.h"
#include "db/replacement.h"

namespace tidemark::internal {

/// Liveness of one entity, as of the instant by which a merge goes.
struct LivenessCopy {
  SequenceSet live;
  SequenceSet tombstones;

  /// As `Validated`, by these sets.
  bool IsValid(const IndexEntry& entry) const {
    return entry.state == IndexState::kLive
               ? live.Contains(entry.head)
               : entry.state == IndexState::kTombstone && tombstones.Contains(entry.head);
  }
};

/// What a merge goes by: the store as of one instant. The indexes hold everything up to `sequence`,
/// and stay as they are as long as fold_mutex is held.
struct MergeBase {
  SequenceNumber sequence;
  SequenceNumber numbered_after;  ///< changes are numbered above it
  SequenceNumber exposed;
  StayFilter stay_filter;  ///< only if commits wait
  std::shared_ptr<const Catalog> catalog;
  std::map<EntityNumber, LivenessCopy> liveness;

  LivenessCopy LivenessOf(const EntityPtr& entity) const {
    const auto found = entity == nullptr ? liveness.end() : liveness.find(entity->number);
    return found == liveness.end() ? LivenessCopy() : found->second;
  }
};

/// The commit mutex, held or not.
class CommitHold {
 public:
  explicit CommitHold(StoreState& state)
      : state_(state), lock_(state.commit_mutex, std::defer_lock) {}
  void Take() {
    if (!lock_.owns_lock()) lock_.lock();
  }
  void Release() {
    if (lock_.owns_lock()) lock_.unlock();
  }
  /// RocksDB itself failed to write: nothing is safe to write after that. Takes the mutex.
  Status StopWrites(Status failed) {
    Take();
    if (state_.write_error.ok()) state_.write_error = failed;
    return failed;
  }

 private:
  StoreState& state_;
  std::unique_lock<std::mutex> lock_;
};

struct EntityChange {
  EntityPtr before;  ///< null: it does not exist, and this is a dry run
  ReplaceCounts counts;
  /// The lowest birth of a life that was ended without a tombstone because it was exposed to
  /// nobody.
  SequenceNumber lowest_unexposed = kSequenceLimit;

  // Liveness: 16 bytes for each row that replaced another.
  std::vector<std::pair<SequenceNumber, SequenceNumber>> superseded;  ///< head, and by what
  std::vector<SequenceRange> live;
  std::vector<SequenceNumber> tombstones;

  // Snapshots: the next generation's index; null when nothing differs.
  Family next_index;

  // Events: the entries of few rows go to the window, those of many into files.
  struct WindowEntry {
    std::string id;
    IndexEntry entry;
  };
  std::vector<WindowEntry> window;
  std::vector<std::unique_ptr<SortedFile>> files;

  void AddLive(SequenceNumber sequence) {
    if (!live.empty() && live.back().limit == sequence) {
      live.back().limit = sequence.Next();
    } else {
      live.push_back({sequence, sequence.Next()});
    }
  }
  bool changed() const { return !live.empty() || !superseded.empty(); }
};

/// Tells how far a finish is. Not thread-safe.
class ReplaceProgress {
 public:
  using Callback = std::function<void(uint64_t done, uint64_t total)>;
  explicit ReplaceProgress(const Callback& callback) : callback_(callback) {}
  void AddTotal(uint64_t rows) { total_ += rows; }
  void Step() {
    if (++done_ % kInterval == 0) Tell();
  }
  /// What was merged is merged again.
  void Restart() { done_ = 0; }
  void Tell() const {
    if (callback_) callback_(done_, total_);
  }

 private:
  static constexpr uint64_t kInterval = 8192;
  const Callback& callback_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace tidemark::internal
