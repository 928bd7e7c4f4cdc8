// The ids of a pool that may be leased, as ranges that do not touch. Pure: no I/O, no locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "replication/id_lease.h"

namespace tidemark::internal {

/// Costs as many entries as there are ranges, and no call costs more for ids that stay.
class FreeIds {
 public:
  uint64_t count() const { return count_; }
  size_t pieces() const { return ranges_.size(); }

  /// Requires that none of them is there.
  void Add(const IdRange& range);
  /// How many pieces more there would be.
  int GrowthBy(const IdRange& range) const;
  /// The lowest ones: at most `count`, in at most `pieces_max` pieces.
  std::vector<IdRange> Take(uint64_t count, size_t pieces_max);
  /// Takes out what of `range` is there, and says what that was.
  std::vector<IdRange> Remove(const IdRange& range);

  /// What became of the ranges since the last call: by their first id, the end, or nullopt where
  /// there is none any more.
  std::map<uint64_t, std::optional<uint64_t>> TakeChanges() { return std::exchange(changes_, {}); }

 private:
  using Ranges = std::map<uint64_t, uint64_t>;

  void Set(uint64_t from, uint64_t to);
  Ranges::iterator Erase(Ranges::iterator at);

  Ranges ranges_;  // end by beginning
  uint64_t count_ = 0;
  std::map<uint64_t, std::optional<uint64_t>> changes_;
};

}  // namespace tidemark::internal
