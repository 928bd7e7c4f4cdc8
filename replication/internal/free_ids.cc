#include "replication/internal/free_ids.h"

#include <algorithm>
#include <iterator>

namespace tidemark::internal {

void FreeIds::Set(uint64_t from, uint64_t to) {
  ranges_[from] = to;
  changes_[from] = to;
  count_ += to - from;
}

FreeIds::Ranges::iterator FreeIds::Erase(Ranges::iterator at) {
  count_ -= at->second - at->first;
  changes_[at->first] = std::nullopt;
  return ranges_.erase(at);
}

void FreeIds::Add(const IdRange& range) {
  if (range.from == range.to) return;
  IdRange whole = range;
  auto next = ranges_.lower_bound(range.from);
  if (next != ranges_.end() && next->first == range.to) {
    whole.to = next->second;
    next = Erase(next);
  }
  if (next != ranges_.begin() && std::prev(next)->second == range.from) {
    whole.from = std::prev(next)->first;
    Erase(std::prev(next));
  }
  Set(whole.from, whole.to);
}

int FreeIds::GrowthBy(const IdRange& range) const {
  if (range.from == range.to) return 0;
  const auto next = ranges_.lower_bound(range.from);
  int growth = 1;
  if (next != ranges_.end() && next->first == range.to) --growth;
  if (next != ranges_.begin() && std::prev(next)->second == range.from) --growth;
  return growth;
}

std::vector<IdRange> FreeIds::Take(uint64_t count, size_t pieces_max) {
  std::vector<IdRange> taken;
  while (count > 0 && !ranges_.empty() && taken.size() < pieces_max) {
    const IdRange first{ranges_.begin()->first, ranges_.begin()->second};
    const uint64_t some = std::min(count, first.size());
    Erase(ranges_.begin());
    if (some < first.size()) Set(first.from + some, first.to);
    taken.push_back({first.from, first.from + some});
    count -= some;
  }
  return taken;
}

std::vector<IdRange> FreeIds::Remove(const IdRange& range) {
  std::vector<IdRange> removed;
  auto at = ranges_.upper_bound(range.from);
  if (at != ranges_.begin() && std::prev(at)->second > range.from) --at;
  while (at != ranges_.end() && at->first < range.to) {
    const IdRange piece{at->first, at->second};
    const IdRange common{std::max(piece.from, range.from), std::min(piece.to, range.to)};
    at = Erase(at);
    if (piece.from < common.from) Set(piece.from, common.from);
    if (common.to < piece.to) Set(common.to, piece.to);
    if (common.from < common.to) removed.push_back(common);
  }
  return removed;
}

}  // namespace tidemark::internal
