// Ranges of ids in rows, at the source and on devices.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/coding.h"
#include "replication/id_lease.h"

namespace tidemark::internal {

inline void AppendIdRanges(std::string* out, const std::vector<IdRange>& ranges) {
  AppendVarint(out, ranges.size());
  for (const IdRange& range : ranges) {
    AppendVarint(out, range.from);
    AppendVarint(out, range.size());
  }
}

inline std::vector<IdRange> ReadIdRanges(ByteReader* reader) {
  std::vector<IdRange> ranges;
  const uint64_t count = reader->Varint();
  for (uint64_t i = 0; i < count && reader->ok(); ++i) {
    const uint64_t from = reader->Varint();
    ranges.push_back({from, from + reader->Varint()});
  }
  return ranges;
}

}  // namespace tidemark::internal
