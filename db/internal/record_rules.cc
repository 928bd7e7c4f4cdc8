#include "db/internal/record_rules.h"

#include <algorithm>

#include "db/tuning.h"
#include "format/record.h"

namespace tidemark::internal {
namespace {

constexpr char kMadeIdMark = '~';

}  // namespace

StaysAfter StaysAfterChange(const RecordChange& change,
                            const EntityState& entity,
                            const StayFilter& filter) {
  if (IsLocal(entity.number)) return {};
  const IndexEntry& before = change.before;
  StaysAfter after{.open = {}, .ended = before.ended()};
  if (!change.deleted) {
    for (const KeyValue& value : change.values) after.open.push_back({value, change.sequence});
  }
  for (const OpenStay& stay : change.stays_before) {
    const auto goes_on = std::find_if(after.open.begin(),
                                      after.open.end(),
                                      [&](const OpenStay& now) { return now.in == stay.in; });
    if (goes_on != after.open.end()) {
      goes_on->from = stay.from;
    } else if (stay.from <= change.exposed) {
      after.ended.push_back({before.birth, change.sequence, stay.from, stay.in});
    } else {
      after.lowest_unexposed = std::min(after.lowest_unexposed, stay.from);
    }
  }
  if (change.deleted && (change.keeps_life || before.birth <= change.exposed)) {
    after.ended.push_back({before.birth, change.sequence});
  } else if (change.deleted) {
    after.lowest_unexposed = std::min(after.lowest_unexposed, before.birth);
  }
  const size_t soft_max = tuning::kEndedStaysSoftMax * (1 + entity.keys.size());
  if (after.ended.size() > soft_max && filter) {
    std::erase_if(after.ended, [&](const EndedStay& stay) { return !filter(entity.number, stay); });
  }
  return after;
}

bool LooksMade(std::string_view id) {
  return id.find(kMadeIdMark) != std::string_view::npos;
}

std::string MadeEventId(std::string_view id, SequenceNumber sequence) {
  const std::string mark = kMadeIdMark + std::to_string(sequence.value());
  return id.size() + mark.size() > kIdBytesMax ? mark : std::string(id) + mark;
}

}  // namespace tidemark::internal
