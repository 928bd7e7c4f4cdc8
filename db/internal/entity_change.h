// What a finish does to one entity: found by a merge, made visible by the flip.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "db/internal/sorted_file.h"
#include "db/internal/store_state.h"
#include "db/replacement.h"

namespace tidemark::internal {

/// Liveness of one entity, as of the instant in which commits and folds were stopped.
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

struct EntityChange {
  EntityPtr before;  ///< null: it does not exist, and this is a dry run
  ReplaceCounts counts;

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
