// From what is known about a device and a record to what is said about them. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "db/change_log.h"
#include "replication/internal/instruction.h"
#include "replication/internal/outstanding.h"
#include "replication/why.h"

namespace tidemark {

/// What is known. `next` is what a session that started now would say.
struct WhyFacts {
  bool local = false;  ///< the entity is one of the engine's own; nothing else but `history` counts
  bool forgotten = false;
  bool reset_pending = false;
  uint64_t sessions = 0;  ///< number of the device's newest one
  SequenceNumber floor;
  SequenceNumber session_cut;
  bool selected = false;
  std::optional<IdHistory> history;
  std::optional<Instruction> next;
  bool acknowledged = false;
  bool held = false;
  bool changed_after_cut = false;  ///< of the session that is being read
  bool to_be_read = false;         ///< the session that is being read hands it out later
  std::vector<OutstandingPages::Place> unconfirmed;
};

/// Everything but the names, which the caller knows.
DeliveryExplanation Argue(const WhyFacts& facts);

}  // namespace tidemark
