#include "replication/internal/session_queues.h"

#include <algorithm>
#include <utility>

namespace tidemark {

SessionQueues::SessionQueues(std::shared_ptr<const ResolvedQueues> declared)
    : declared_(std::move(declared)), progress_(declared_ == nullptr ? 1 : declared_->size() + 1) {}

std::optional<size_t> SessionQueues::Find(std::string_view name) const {
  if (name == kMainQueue) return main();
  for (size_t queue = 0; queue < main(); ++queue) {
    if (declared(queue).name == name) return queue;
  }
  return std::nullopt;
}

std::optional<size_t> SessionQueues::OfAll(EntityNumber entity) const {
  for (size_t queue = 0; queue < main(); ++queue) {
    if (declared(queue).parts.Contains(entity)) return queue;
    if (declared(queue).parts.NamesValuesOf(entity)) return std::nullopt;
  }
  return main();
}

size_t SessionQueues::OfRest(EntityNumber entity) const {
  for (size_t queue = 0; queue < main(); ++queue) {
    if (declared(queue).parts.Contains(entity)) return queue;
  }
  return main();
}

size_t SessionQueues::Of(const EntryState& entry, bool shown) const {
  for (size_t queue = 0; queue < main(); ++queue) {
    const Selection& parts = declared(queue).parts;
    if (parts.Contains(entry.entity) || (shown && Shows(parts, entry))) return queue;
  }
  return main();
}

std::vector<KeyValue> SessionQueues::DecidingValues(EntityNumber entity) const {
  std::vector<KeyValue> values;
  for (size_t queue = 0; queue < main(); ++queue) {
    if (declared(queue).parts.Contains(entity)) break;
    for (const Part& part : declared(queue).parts.ValuesOf(entity)) values.push_back(part.in);
  }
  return values;
}

bool SessionQueues::Touches(size_t queue, EntityNumber entity, bool* only_values) const {
  *only_values = false;
  if (queue == main()) return true;
  const Selection& parts = declared(queue).parts;
  *only_values = !parts.Contains(entity);
  return parts.Touches(entity);
}

void SessionQueues::Owe(size_t queue, uint64_t count) {
  progress_[main()].left += count;
  if (queue != main()) progress_[queue].left += count;
}

SequenceNumber SessionQueues::position(size_t queue) const {
  return std::max(progress_[queue].position, progress_[main()].position);
}

void SessionQueues::NoteHandedOut(size_t queue, uint64_t count) {
  Progress& all = progress_[main()];
  all.left -= std::min(all.left, count);
  if (queue == main()) return;
  Progress& own = progress_[queue];
  own.left -= std::min(own.left, count);
}

void SessionQueues::NoteRead(size_t queue, SequenceNumber position) {
  progress_[queue].position = std::max(progress_[queue].position, position);
}

void SessionQueues::NoteDrained(size_t queue) {
  if (queue == main()) {
    for (Progress& progress : progress_) progress.left = 0;
  } else {
    NoteHandedOut(queue, progress_[queue].left);
  }
  progress_[queue].drained = true;
}

bool SessionQueues::IsDone() const {
  // Acknowledgements take off what is owed and never add to it. So when as many were handed out as
  // were owed at the start, there is nothing more, although `main` was not read to its end.
  return progress_[main()].drained || progress_[main()].left == 0;
}

}  // namespace tidemark
