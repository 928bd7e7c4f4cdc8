// Changes of a replica's records as applications see them, told as they happen: written here, or
// come from the source (rule J31).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "format/record.h"

namespace tidemark {

/// Changes that wait for listeners; beyond, the oldest are lost, and counted.
inline constexpr size_t kReplicaChangesMax = 10'000;

enum class ChangeOrigin : uint8_t {
  kLocal,   ///< written, renamed, retried or dropped here
  kRemote,  ///< told by the source: by a page, a reset, or the refusal of what was written here
};

enum class ChangeKind : uint8_t { kCreated, kUpdated, kDeleted };

/// A record that now reads differently here. What it reads is to be read from the store, where it
/// may have changed again.
struct ReplicaChange {
  std::string entity;
  RecordId id{""};
  ChangeKind kind = ChangeKind::kCreated;
  ChangeOrigin origin = ChangeOrigin::kLocal;
  /// Changes between the one before and this one that were lost, because listeners were too slow:
  /// whoever keeps a copy reads the store anew.
  uint64_t lost = 0;
};

}  // namespace tidemark
