// How far the declared retention of incremental entities lets their events be trimmed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "db/store.h"

namespace tidemark::internal {

/// Finds the bounds; trims nothing. Remembers the size of entities with a bound on bytes, so that
/// one look at all of their events is enough for a process. Thread-compatible.
class RetentionBounds {
 public:
  /// The events of `entity` at or below the result are beyond a declared bound at `cut`; zero: none
  /// are. Events go oldest first: one that may stay keeps those behind it. An event's time is the
  /// declared field, as milliseconds or as an ISO-8601 text; one without goes with those before it.
  /// Costs the events that go, and with a bound on bytes those since the last call.
  Result<SequenceNumber> Find(const Store& store,
                              const std::shared_ptr<const Cut>& cut,
                              const EntityInfo& entity,
                              int64_t now_ms);

 private:
  /// Events at or below `through`, with the bytes of their ids and values.
  struct Size {
    SequenceNumber through;
    uint64_t events = 0;
    uint64_t bytes = 0;
  };
  Result<Size> Measure(const Store& store,
                       const std::shared_ptr<const Cut>& cut,
                       EntityNumber entity);

  std::map<EntityNumber, Size> sizes_;
};

}  // namespace tidemark::internal
