// Rules that every writer of records keeps: how contents are compared, and what becomes of lives.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "db/internal/index_entry.h"
#include "db/store.h"
#include "format/batch.h"
#include "format/checksum.h"

namespace tidemark::internal {

/// What two contents are compared by.
inline Hash128 ValueHash(const HashSecret& secret, ValueKind kind, std::string_view value) {
  return KeyedHash128(secret, static_cast<uint8_t>(kind), value);
}

/// The ended lives of an id after a change at `sequence`; `before` is its valid entry. A life that
/// was born above `exposed` was seen by nobody and leaves nothing behind.
std::vector<EndedLife> EndedLivesAfter(const IndexEntry& before,
                                       bool deleted,
                                       SequenceNumber sequence,
                                       SequenceNumber exposed,
                                       EntityNumber entity,
                                       const LifeFilter& filter);

/// False if `MadeEventId` never answers `id`.
bool LooksMade(std::string_view id);

/// The record id of an event that has none, or whose id belongs to other content.
std::string MadeEventId(std::string_view id, SequenceNumber sequence);

}  // namespace tidemark::internal
