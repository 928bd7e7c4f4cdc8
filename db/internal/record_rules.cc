#include "db/internal/record_rules.h"

#include <algorithm>

#include "db/tuning.h"
#include "format/record.h"

namespace tidemark::internal {
namespace {

constexpr char kMadeIdMark = '~';

}  // namespace

std::vector<EndedLife> EndedLivesAfter(const IndexEntry& before,
                                       bool deleted,
                                       SequenceNumber sequence,
                                       SequenceNumber exposed,
                                       EntityNumber entity,
                                       const LifeFilter& filter) {
  if (IsLocal(entity)) return {};
  std::vector<EndedLife> ended = before.ended();
  if (deleted && before.birth <= exposed) ended.push_back({before.birth, sequence});
  if (ended.size() > tuning::kEndedLivesSoftMax && filter) {
    std::erase_if(ended, [&](const EndedLife& life) { return !filter(entity, life); });
  }
  return ended;
}

bool LooksMade(std::string_view id) {
  return id.find(kMadeIdMark) != std::string_view::npos;
}

std::string MadeEventId(std::string_view id, SequenceNumber sequence) {
  const std::string mark = kMadeIdMark + std::to_string(sequence.value());
  return id.size() + mark.size() > kIdBytesMax ? mark : std::string(id) + mark;
}

}  // namespace tidemark::internal
