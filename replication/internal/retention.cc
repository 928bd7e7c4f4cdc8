#include "replication/internal/retention.h"

#include <algorithm>
#include <optional>

#include "format/json.h"
#include "replication/internal/timestamp.h"

namespace tidemark::internal {
namespace {

std::optional<int64_t> TimeOf(const LogEntry& event, const EntityDeclaration& declaration) {
  if (event.value_kind != ValueKind::kJson) return std::nullopt;
  const auto fields = ReadJsonFields(event.value, {declaration.time_field});
  if (!fields.ok() || !fields->front().has_value()) return std::nullopt;
  const JsonField& field = *fields->front();
  if (field.type == JsonType::kInteger) return field.integer;
  if (field.type == JsonType::kString) return ReadIsoTimestamp(field.text);
  return std::nullopt;
}

/// The highest sequence above which `keep` or more events are left; zero when there are not more.
SequenceNumber BeyondCount(const Store& store, const Cut& cut, EntityNumber entity, uint64_t keep) {
  if (store.CountLiveAt(cut, entity, kSequenceZero) <= keep) return kSequenceZero;
  uint64_t low = 0;  // more than `keep` events are above it
  uint64_t high = cut.sequence().value();
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (store.CountLiveAt(cut, entity, SequenceNumber(middle)) > keep) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return SequenceNumber(low);
}

uint64_t BytesOf(const LogEntry& event) {
  return event.id.size() + event.value.size();
}

}  // namespace

Result<RetentionBounds::Size> RetentionBounds::Measure(const Store& store,
                                                       const std::shared_ptr<const Cut>& cut,
                                                       EntityNumber entity) {
  const uint64_t live = store.CountLiveAt(*cut, entity, kSequenceZero);
  const auto known = sizes_.find(entity);
  Size size = known == sizes_.end() ? Size() : known->second;
  // Something else than appending happened: everything is read again.
  if (size.events + store.CountLiveAt(*cut, entity, size.through) != live) size = Size();
  LogCursor events =
      store.ReadLog(cut, {{.entity = entity, .after = size.through, .tombstones = false}});
  while (events.Next()) {
    ++size.events;
    size.bytes += BytesOf(events.entry());
  }
  TIDEMARK_RETURN_IF_ERROR(events.status());
  size.through = cut->sequence();
  return size;
}

Result<SequenceNumber> RetentionBounds::Find(const Store& store,
                                             const std::shared_ptr<const Cut>& cut,
                                             const EntityInfo& entity,
                                             int64_t now_ms) {
  const Retention& retention = entity.declaration.retention;
  SequenceNumber through;
  if (retention.count.has_value()) {
    through = BeyondCount(store, *cut, entity.number, *retention.count);
  }
  if (!retention.age_ms.has_value() && !retention.bytes.has_value()) return through;

  Size size;
  if (retention.bytes.has_value()) {
    TIDEMARK_ASSIGN_OR_RETURN(size, Measure(store, cut, entity.number));
  }
  LogCursor events = store.ReadLog(cut, {{.entity = entity.number, .tombstones = false}});
  bool too_old = false;
  while (events.Next()) {
    const LogEntry& event = events.entry();
    if (retention.age_ms.has_value()) {
      const auto time = TimeOf(event, entity.declaration);
      if (time.has_value()) too_old = *time < now_ms - *retention.age_ms;
    }
    const bool too_large = retention.bytes.has_value() && size.bytes > *retention.bytes;
    if (event.head > through && !too_large && !too_old) break;
    through = std::max(through, event.head);
    if (!retention.bytes.has_value()) continue;
    size.bytes -= BytesOf(event);
    --size.events;
  }
  TIDEMARK_RETURN_IF_ERROR(events.status());
  if (retention.bytes.has_value()) sizes_[entity.number] = size;
  return through;
}

}  // namespace tidemark::internal
