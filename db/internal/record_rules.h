// Rules that every writer of records keeps: how contents are compared, and what becomes of lives.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "db/internal/catalog.h"
#include "db/internal/index_entry.h"
#include "db/store.h"
#include "format/batch.h"
#include "format/checksum.h"

namespace tidemark::internal {

/// What two contents are compared by.
inline Hash128 ValueHash(const HashSecret& secret, ValueKind kind, std::string_view value) {
  return KeyedHash128(secret, static_cast<uint8_t>(kind), value);
}

/// A change of a record: what its stays become is decided by it.
struct RecordChange {
  const IndexEntry& before;            ///< the valid entry
  std::vector<OpenStay> stays_before;  ///< of the live record, those that its row does not say too
  bool deleted = false;
  std::vector<KeyValue> values;  ///< what the record has of each key from now on
  SequenceNumber sequence;
  SequenceNumber exposed;  ///< what began above it was seen by nobody, and leaves nothing behind
  /// The life leaves a tombstone even so.
  bool keeps_life = false;
};

/// The stays of an id after a change. `ended` has those of one life together.
struct StaysAfter {
  std::vector<OpenStay> open;
  std::vector<EndedStay> ended;
  /// The lowest beginning of what left nothing behind because nobody saw it; kSequenceLimit if
  /// nothing did.
  SequenceNumber lowest_unexposed = kSequenceLimit;
};
StaysAfter StaysAfterChange(const RecordChange& change,
                            const EntityState& entity,
                            const StayFilter& filter);

/// False if `MadeEventId` never answers `id`.
bool LooksMade(std::string_view id);

/// The record id of an event that has none, or whose id belongs to other content.
std::string MadeEventId(std::string_view id, SequenceNumber sequence);

}  // namespace tidemark::internal
