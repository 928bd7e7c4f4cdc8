#include "replication/id_lease.h"

#include <algorithm>
#include <cassert>

namespace tidemark {

uint64_t CountIds(const std::vector<IdRange>& ranges) {
  uint64_t count = 0;
  for (const IdRange& range : ranges) count += range.size();
  return count;
}

uint64_t IdAt(const std::vector<IdRange>& ranges, uint64_t index) {
  for (const IdRange& range : ranges) {
    if (index < range.size()) return range.from + index;
    index -= range.size();
  }
  assert(false && "an id beyond the lease");
  return 0;
}

std::vector<IdRange> SliceIds(const std::vector<IdRange>& ranges, uint64_t first, uint64_t last) {
  std::vector<IdRange> slice;
  uint64_t at = 0;  // position of the range's first id
  for (const IdRange& range : ranges) {
    const uint64_t begin = std::max(first, at);
    const uint64_t end = std::min(last, at + range.size());
    if (begin < end) slice.push_back({range.from + (begin - at), range.from + (end - at)});
    at += range.size();
  }
  return slice;
}

RecordId FormatLeasedId(uint64_t number, uint32_t digits) {
  if (digits == 0) return {static_cast<int64_t>(number)};
  std::string text = std::to_string(number);
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return {text};
}

}  // namespace tidemark
