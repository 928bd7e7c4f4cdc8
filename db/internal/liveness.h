// Which rows of the log are current, and which were at a pinned cut.
//
// For each entity: `live` heads, and `tombstones` that a device may still need. While cuts are
// pinned, a head that stops being current is remembered with the sequence that replaced it, so a
// cut sees it as it was. Invariant: a head is in at most one of the sets; a remembered death is at
// or below the newest pin and its death is above the oldest.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <unordered_map>

#include "db/entity.h"
#include "format/sequence.h"
#include "format/sequence_set.h"

namespace tidemark::internal {

/// Guarded by the store's state mutex.
class Liveness {
 public:
  struct Sets {
    SequenceSet live;
    SequenceSet tombstones;
    SequenceSet died;
    struct End {
      uint64_t at = 0;        // the sequence that replaced it
      bool was_live = false;  // else it was a tombstone
    };
    std::unordered_map<uint64_t, End> died_at;  // by head
  };

  const Sets* Find(EntityNumber entity) const;
  Sets& Of(EntityNumber entity) { return sets_[entity]; }
  const std::map<EntityNumber, Sets>& all() const { return sets_; }

  void AddLive(EntityNumber entity, SequenceNumber head) { Of(entity).live.Add(head); }
  void AddTombstone(EntityNumber entity, SequenceNumber head) { Of(entity).tombstones.Add(head); }
  /// `head` was current and `by` replaced it.
  void Supersede(EntityNumber entity, SequenceNumber head, SequenceNumber by);
  /// The tombstone is needed by nobody.
  void ForgetTombstone(EntityNumber entity, SequenceNumber head) {
    Of(entity).tombstones.Remove(head);
  }
  void Erase(EntityNumber entity) { sets_.erase(entity); }
  /// Forgets live heads without a death: open pins still show their rows.
  void Trim(EntityNumber entity, SequenceNumber through) {
    Of(entity).live.RemoveThrough(through);
    if (pinned()) trimmed_pin_ = pins_.rbegin()->first;
  }

  bool IsLive(EntityNumber entity, SequenceNumber head) const;
  bool IsTombstone(EntityNumber entity, SequenceNumber head) const;

  void Pin(SequenceNumber cut) { ++pins_[cut.value()]; }
  void Unpin(SequenceNumber cut);
  size_t pin_count() const;
  size_t death_count() const { return deaths_.size(); }
  /// Requires: something is pinned.
  SequenceNumber oldest_pin() const { return SequenceNumber(pins_.begin()->first); }
  bool pinned() const { return !pins_.empty(); }
  /// True when no open pin shows a row that these sets, taken at `through`, leave out.
  bool MayDrop(SequenceNumber through) const {
    return !pinned() || (oldest_pin() >= through && oldest_pin().value() > trimmed_pin_);
  }

  /// The head is visible at `cut`, and of a kind that is wanted.
  bool IsVisibleAt(EntityNumber entity,
                   SequenceNumber head,
                   SequenceNumber cut,
                   bool live,
                   bool tombstones) const;
  /// Live heads above `after` that were live at `cut`.
  uint64_t CountLiveAt(EntityNumber entity, SequenceNumber cut, SequenceNumber after) const;

  /// Fills `out` with heads above `after` and at or below `cut` that are visible at `cut`, in
  /// order; fewer than asked means there are no more. `live` and `tombstones` choose what is wanted
  /// of the current ones; a head that died since may turn out to be either.
  size_t Read(EntityNumber entity,
              SequenceNumber cut,
              SequenceNumber after,
              bool live,
              bool tombstones,
              std::span<SequenceNumber> out) const;

 private:
  struct Death {
    uint64_t at;
    EntityNumber entity;
    uint64_t head;
  };

  std::map<EntityNumber, Sets> sets_;
  std::map<uint64_t, size_t> pins_;
  uint64_t trimmed_pin_ = 0;  // the newest pin there was at the last trim under pins
  std::deque<Death> deaths_;  // in order of `at`
};

}  // namespace tidemark::internal
