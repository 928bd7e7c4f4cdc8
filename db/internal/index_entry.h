// What the index knows of an id: where its newest row is, and what it was.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/write_batch.h"
#include "format/batch.h"
#include "format/checksum.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark::internal {

enum class IndexState : uint8_t {
  kAbsent = 0,  ///< no row: the id never was, or nobody needs to know that it was
  kLive = 1,
  kTombstone = 2,  ///< deleted, and a device may still hold one of its lives
};

/// The rare parts of an entry.
struct IndexExtra {
  std::optional<int64_t> writer_time;
  std::optional<OriginVersion> origin;
  std::vector<EndedStay> ended;      ///< ended stays of the id that still matter
  std::vector<OpenStay> stays = {};  ///< live: values of declared keys
  bool operator==(const IndexExtra&) const = default;
};

/// Invariant: an entry is valid only while its head is in the entity's live or tombstone set;
/// otherwise it reads as absent (purged, or trimmed), and only its head is of use.
struct IndexEntry {
  SequenceNumber head;
  SequenceNumber birth;
  Hash128 hash;           ///< of kind and value, keyed by the store's secret; live only
  uint32_t distance = 0;  ///< head minus the key of its segment
  IndexState state = IndexState::kAbsent;
  std::shared_ptr<const IndexExtra> extra;

  bool live() const { return state == IndexState::kLive; }
  SequenceNumber segment() const { return SequenceNumber(head.value() - distance); }
  std::vector<EndedStay> ended() const {
    return extra == nullptr ? std::vector<EndedStay>{} : extra->ended;
  }
  std::vector<OpenStay> stays() const {
    return extra == nullptr ? std::vector<OpenStay>{} : extra->stays;
  }
  std::optional<int64_t> writer_time() const {
    return extra == nullptr ? std::nullopt : extra->writer_time;
  }
  std::optional<OriginVersion> origin() const {
    return extra == nullptr ? std::nullopt : extra->origin;
  }
};

/// nullptr when every part is at its default.
std::shared_ptr<const IndexExtra> MakeExtra(IndexExtra extra);

void EncodeIndexEntry(const IndexEntry& entry, std::string* out);
/// False when the bytes are damaged.
bool DecodeIndexEntry(std::string_view bytes, IndexEntry* entry);

}  // namespace tidemark::internal
