#include "replication/internal/holding.h"

#include <algorithm>
#include <span>
#include <unordered_map>
#include <utility>

namespace tidemark {
namespace {

/// Devices at rest of one selection: an ended stay tells of a life that those hold whose floor it
/// covers. Floors are sorted, so a stay adds one to a run of them, noted at the run's two ends.
class RestingGroup {
 public:
  void Add(SequenceNumber floor, size_t device) { members_.push_back({floor, device}); }
  void Seal() {
    std::sort(members_.begin(), members_.end(), [](const Member& a, const Member& b) {
      return a.floor < b.floor;
    });
    steps_.resize(members_.size() + 1);
  }
  // Once for each device, through however many of the stays it holds something.
  void Count(const Selection& selection, EntityNumber entity, std::span<const EndedStay> ended) {
    runs_.clear();
    for (const EndedStay& stay : ended) {
      if (!selection.Contains(Part(entity, stay.in))) continue;
      const size_t begin = FirstFrom(stay.begin());
      const size_t end = FirstFrom(stay.until);
      if (begin < end) runs_.emplace_back(begin, end);
    }
    std::sort(runs_.begin(), runs_.end());
    size_t counted = 0;
    for (const auto& [begin, end] : runs_) {
      const size_t from = std::max(begin, counted);
      if (from >= end) continue;
      ++steps_[from];
      --steps_[end];
      counted = end;
    }
  }
  void AddTo(std::vector<uint64_t>* holding) const {
    int64_t covering = 0;
    for (size_t i = 0; i < members_.size(); ++i) {
      covering += steps_[i];
      (*holding)[members_[i].device] = static_cast<uint64_t>(covering);
    }
  }

 private:
  struct Member {
    SequenceNumber floor;
    size_t device;
  };
  size_t FirstFrom(SequenceNumber sequence) const {
    const auto at = std::lower_bound(
        members_.begin(),
        members_.end(),
        sequence,
        [](const Member& member, SequenceNumber wanted) { return member.floor < wanted; });
    return static_cast<size_t>(at - members_.begin());
  }

  std::vector<Member> members_;
  std::vector<int64_t> steps_;
  std::vector<std::pair<size_t, size_t>> runs_;  // of members, while one entry is counted
};

}  // namespace

Result<std::vector<uint64_t>> CountHolding(Store& store, const std::vector<DeviceMarks>& marks) {
  std::vector<uint64_t> holding(marks.size());
  std::unordered_map<Selection, RestingGroup> resting;
  std::vector<size_t> restless;
  SequenceNumber after = kSequenceLimit;
  for (size_t i = 0; i < marks.size(); ++i) {
    if (!marks[i].AtRest()) {
      restless.push_back(i);
    } else if (!marks[i].floor_selection().nothing()) {
      resting[marks[i].floor_selection()].Add(marks[i].floor(), i);
    } else {
      continue;  // it has nothing
    }
    // What it holds and lacks the deletion of stands above: at or below nothing is owed.
    after = std::min(after, marks[i].drained_through());
  }
  for (auto& [selection, group] : resting) group.Seal();

  TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store.PinCut());
  if (after >= cut->sequence()) return holding;
  std::vector<LogRange> ranges;
  for (const EntityNumber entity : store.EntityNumbers()) {
    ranges.push_back({.entity = entity, .after = after, .live = false});
  }
  LogCursor cursor = store.ReadLog(cut, ranges);
  while (cursor.Next()) {
    const LogEntry& entry = cursor.entry();
    for (auto& [selection, group] : resting) {
      group.Count(selection, entry.entity, entry.ended);
    }
    for (const size_t i : restless) {
      if (marks[i].drained_through() >= entry.head) continue;
      holding[i] += std::any_of(entry.ended.begin(), entry.ended.end(), [&](const EndedStay& stay) {
        return marks[i].Keeps(entry.entity, stay);
      });
    }
  }
  TIDEMARK_RETURN_IF_ERROR(cursor.status());
  for (const auto& [selection, group] : resting) group.AddTo(&holding);
  return holding;
}

}  // namespace tidemark
