#include "db/internal/liveness.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>

namespace tidemark::internal {
namespace {

/// Reads one set in blocks, one member at a time.
class SetReader {
 public:
  SetReader(const SequenceSet* set, SequenceNumber after) : set_(set), after_(after) { Fill(); }

  /// The next member, or the largest number when there are no more.
  uint64_t head() const {
    return at_ < size_ ? block_[at_].value() : std::numeric_limits<uint64_t>::max();
  }
  void Advance() {
    if (++at_ == size_ && size_ == block_.size()) {
      after_ = block_[size_ - 1];
      Fill();
    }
  }

 private:
  void Fill() {
    at_ = 0;
    size_ = set_ == nullptr ? 0 : set_->Read(after_, kSequenceLimit, block_);
  }

  const SequenceSet* set_;
  SequenceNumber after_;
  std::array<SequenceNumber, 128> block_;
  size_t at_ = 0;
  size_t size_ = 0;
};

}  // namespace

const Liveness::Sets* Liveness::Find(EntityNumber entity) const {
  const auto found = sets_.find(entity);
  return found == sets_.end() ? nullptr : &found->second;
}

void Liveness::Supersede(EntityNumber entity, SequenceNumber head, SequenceNumber by) {
  Sets& sets = Of(entity);
  const bool was_live = sets.live.Remove(head);
  const bool was_current = was_live || sets.tombstones.Remove(head);
  if (!was_current || pins_.empty() || head.value() > pins_.rbegin()->first) return;
  sets.died.Add(head);
  sets.died_at[head.value()] = {by.value(), was_live};
  deaths_.push_back({by.value(), entity, head.value()});
}

bool Liveness::IsLive(EntityNumber entity, SequenceNumber head) const {
  const Sets* sets = Find(entity);
  return sets != nullptr && sets->live.Contains(head);
}

bool Liveness::IsTombstone(EntityNumber entity, SequenceNumber head) const {
  const Sets* sets = Find(entity);
  return sets != nullptr && sets->tombstones.Contains(head);
}

void Liveness::Unpin(SequenceNumber cut) {
  const auto found = pins_.find(cut.value());
  assert(found != pins_.end() && "every pin is released once");
  if (--found->second > 0) return;
  pins_.erase(found);
  const uint64_t oldest =
      pins_.empty() ? std::numeric_limits<uint64_t>::max() : pins_.begin()->first;
  while (!deaths_.empty() && deaths_.front().at <= oldest) {
    const Death& death = deaths_.front();
    if (const auto sets = sets_.find(death.entity); sets != sets_.end()) {
      sets->second.died.Remove(SequenceNumber(death.head));
      sets->second.died_at.erase(death.head);
    }
    deaths_.pop_front();
  }
}

size_t Liveness::pin_count() const {
  size_t count = 0;
  for (const auto& [cut, pins] : pins_) count += pins;
  return count;
}

uint64_t Liveness::CountLiveAt(EntityNumber entity,
                               SequenceNumber cut,
                               SequenceNumber after) const {
  const Sets* sets = Find(entity);
  if (sets == nullptr) return 0;
  uint64_t count = sets->live.CountRange({after.Next(), cut.Next()});
  for (auto head = sets->died.NextAfter(after); head.has_value() && *head <= cut;
       head = sets->died.NextAfter(*head)) {
    const Sets::End& end = sets->died_at.at(head->value());
    if (end.at > cut.value() && end.was_live) ++count;
  }
  return count;
}

bool Liveness::IsVisibleAt(EntityNumber entity,
                           SequenceNumber head,
                           SequenceNumber cut,
                           bool live,
                           bool tombstones) const {
  const Sets* sets = Find(entity);
  if (sets == nullptr || head > cut) return false;
  if (live && sets->live.Contains(head)) return true;
  if (tombstones && sets->tombstones.Contains(head)) return true;
  const auto died = sets->died_at.find(head.value());
  if (died == sets->died_at.end() || died->second.at <= cut.value()) return false;
  return died->second.was_live ? live : tombstones;
}

size_t Liveness::Read(EntityNumber entity,
                      SequenceNumber cut,
                      SequenceNumber after,
                      bool live,
                      bool tombstones,
                      std::span<SequenceNumber> out) const {
  const Sets* sets = Find(entity);
  if (sets == nullptr) return 0;
  if (live && !tombstones && sets->died.empty()) {
    return sets->live.Read(after, cut.Next(), out);
  }
  SetReader readers[] = {
      SetReader(live ? &sets->live : nullptr, after),
      SetReader(tombstones ? &sets->tombstones : nullptr, after),
      SetReader(&sets->died, after),
  };
  size_t size = 0;
  while (size < out.size()) {
    SetReader* next = std::min_element(
        std::begin(readers), std::end(readers), [](const SetReader& a, const SetReader& b) {
          return a.head() < b.head();
        });
    const uint64_t head = next->head();
    if (head > cut.value()) break;
    bool visible = true;
    if (next == &readers[2]) {
      const Sets::End& end = sets->died_at.at(head);
      visible = end.at > cut.value() && (end.was_live ? live : tombstones);
    }
    if (visible) out[size++] = SequenceNumber(head);
    next->Advance();
  }
  return size;
}

}  // namespace tidemark::internal
