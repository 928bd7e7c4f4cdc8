// What a user of a store chooses. What we chose, and why, is in db/tuning.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "format/status.h"

namespace tidemark {

/// Whether a commit is on stable storage when it returns.
enum class Durability : uint8_t {
  kSync,   ///< yes: a power cut after the return loses nothing (contract 21)
  kOrder,  ///< no: a crash of the machine may lose the newest commits, never reorder them
};

/// How a store is opened.
struct StoreOptions {
  bool create_if_missing = true;
  /// Opens beside a running owner, sees the store as of the opening, refuses writes.
  bool read_only = false;
  /// Store-wide default and upper bound: a store opened with `kOrder` never syncs (contract 5).
  Durability durability = Durability::kSync;
  /// Goes on although acknowledged writes are missing, with a new epoch (`recover --accept-loss`).
  bool accept_loss = false;
  /// Records of the recent window held in memory, about 150 bytes each.
  size_t window_records = 128 * 1024;
  /// Followers of the change log are shown deletions for this long (contract 19).
  int64_t follower_retention_ms = 24 * 3600 * 1000;
  /// Told about background work and its failures; never about values. May be called from any
  /// thread.
  std::function<void(const std::string& line)> log = {};
};

}  // namespace tidemark
