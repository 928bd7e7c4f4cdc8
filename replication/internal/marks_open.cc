// Filling the sets of a device that is not at rest.
#include "replication/internal/marks_open.h"

#include <algorithm>
#include <utility>

namespace tidemark {
namespace {

// Births of instructions in the order of their places. Those that never changed since increase,
// which makes adding them to a set cheap.
class LifeList {
 public:
  explicit LifeList(size_t size) { unchanged_.reserve(size); }
  void Add(const Instruction& instruction) {
    const SequenceNumber birth = instruction.birth;
    // Pages of several queues are each in order, but not together.
    const bool increases = unchanged_.empty() || birth > unchanged_.back();
    (birth == instruction.place && increases ? unchanged_ : changed_).push_back(birth);
  }
  void AddTo(SequenceSet* set) const {
    set->AddAll(unchanged_);
    set->AddUnordered(changed_);
  }

 private:
  std::vector<SequenceNumber> unchanged_;
  std::vector<SequenceNumber> changed_;
};

}  // namespace

void DeviceMarks::Open::AddServed(std::span<const Instruction> rows) {
  LifeList lives(rows.size());
  LifeList updated(rows.size());
  for (const Instruction& row : rows) {
    if (row.deleted()) continue;
    lives.Add(row);
    if (row.op == RowOp::kUpdated) updated.Add(row);
  }
  // From here on the floor is silent about these lives, so what it said is copied.
  lives.AddTo(&served);
  updated.AddTo(&acknowledged);
}

void DeviceMarks::Open::AddAcknowledged(std::span<const Instruction> rows,
                                        SequenceNumber drained_through) {
  LifeList lives(rows.size());
  std::vector<SequenceNumber> places;
  places.reserve(rows.size());
  for (const Instruction& row : rows) {
    if (row.deleted()) continue;
    // What is in no set any more: a newer life of the id was acknowledged.
    if (served_misses && !served.Contains(row.birth)) continue;
    lives.Add(row);
    asked_births = std::max(asked_births, row.birth);
    if (row.place > drained_through) places.push_back(row.place);
  }
  lives.AddTo(&acknowledged);
  heads.AddAll(places);
  if (!places.empty()) asked_heads = std::max(asked_heads, places.back());
}

void DeviceMarks::Open::NoteAsked() {
  asked_births = acknowledged.Last().value_or(kSequenceZero);
  asked_heads = heads.Last().value_or(kSequenceZero);
}

// Births of many pages are scattered over the same chunks: they are collected first, and then each
// chunk is touched once.
void DeviceMarks::Open::MergeBacklog(uint64_t session, SequenceNumber drained_through) {
  if (backlog.empty()) return;
  LifeList done_lives(backlog.size() * kBatchRecordsMax);
  std::vector<SequenceNumber> places;
  for (const PendingPage& pending : std::exchange(backlog, {})) {
    if (pending.rows.empty()) {
      AddServed(pages.FindPage(session, pending.page));
      continue;
    }
    places.clear();
    for (const Instruction& row : OutstandingPages::Unpacked(pending.rows)) {
      done_lives.Add(row);
      if (row.place > drained_through) places.push_back(row.place);
    }
    heads.AddAll(places);
  }
  SequenceSet done;
  done_lives.AddTo(&done);
  served.AddSet(done);
  acknowledged.AddSet(done);
}

DeviceMarks::Open::PendingPage* DeviceMarks::Open::FindPending(uint64_t page) {
  const auto at = std::find_if(
      backlog.begin(), backlog.end(), [page](const auto& pending) { return pending.page == page; });
  return at == backlog.end() ? nullptr : &*at;
}

size_t DeviceMarks::Open::BacklogBytes() const {
  size_t bytes = backlog.capacity() * sizeof(PendingPage);
  for (const PendingPage& pending : backlog) bytes += pending.rows.capacity();
  return bytes;
}

}  // namespace tidemark
