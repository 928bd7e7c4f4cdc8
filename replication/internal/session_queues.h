// The queues of one session: which of them an entry belongs to, and how far each was handed out. A
// pure unit: no I/O, no locks.
//
// `main` is all of the session; the others are masks over it. Each has a position in the order of
// heads. An entry was handed out, or needs not be, if its head is at or below the position of its
// queue or that of `main`. So nothing has to be remembered of what was handed out by which queue,
// and nothing is handed out twice or left out, whichever queues are asked, in whatever order.
//
// What queue an entry belongs to must not change during a session. So it is decided by the entry as
// the cut shows it, by the queues as they were at the start, and by the cut's selection: never by
// marks, which acknowledgements move. A record that left the selection belongs to a queue by its
// entity alone: to tell by which value it is known elsewhere would tell why it left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "format/sequence.h"
#include "replication/internal/marks.h"
#include "replication/internal/queue_table.h"

namespace tidemark {

/// Thread-compatible. Queues are numbered in order of importance; `main` comes last.
class SessionQueues {
 public:
  /// `declared` may be null: there is only `main`.
  explicit SessionQueues(std::shared_ptr<const ResolvedQueues> declared = nullptr);

  size_t main() const { return progress_.size() - 1; }
  std::optional<size_t> Find(std::string_view name) const;
  /// Requires a queue other than `main`.
  const ResolvedQueue& declared(size_t queue) const { return (*declared_)[queue]; }

  // What belongs to which.

  /// The queue of every entry of the entity, if it is one: no value of a key decides.
  std::optional<size_t> OfAll(EntityNumber entity) const;
  /// The queue of those entries of the entity that are in none by a value.
  size_t OfRest(EntityNumber entity) const;
  /// `shown`: the entry is live in the cut's selection.
  size_t Of(const EntryState& entry, bool shown) const;
  /// Values of the entity's keys that decide.
  std::vector<KeyValue> DecidingValues(EntityNumber entity) const;
  /// The queue may have entries of the entity: all of them, or `*only_values`.
  bool Touches(size_t queue, EntityNumber entity, bool* only_values) const;

  // How far they are.

  /// Counts instructions of a queue that the session owes.
  void Owe(size_t queue, uint64_t count);
  /// Instructions of the queue that are still to be handed out; of `main`, of the session. What
  /// late acknowledgements made needless is taken off when the queue ends.
  uint64_t left(size_t queue) const { return progress_[queue].left; }
  /// Where to read on for a queue.
  SequenceNumber position(size_t queue) const;
  /// For an entry of `queue`: it was handed out, or needs not be.
  bool IsBehind(size_t queue, SequenceNumber head) const { return head <= position(queue); }
  /// Instructions of `queue` were handed out, by whichever queue.
  void NoteHandedOut(size_t queue, uint64_t count);
  /// `queue` was asked, and read up to here.
  void NoteRead(size_t queue, SequenceNumber position);
  /// `queue` was read to its end.
  void NoteDrained(size_t queue);
  bool IsDrained(size_t queue) const { return progress_[queue].drained; }
  /// Nothing is left to be handed out in the session.
  bool IsDone() const;

 private:
  struct Progress {
    SequenceNumber position;
    uint64_t left = 0;
    bool drained = false;
  };

  std::shared_ptr<const ResolvedQueues> declared_;
  std::vector<Progress> progress_;
};

}  // namespace tidemark
