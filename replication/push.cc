#include "replication/push.h"

#include <numeric>

#include "format/batch.h"
#include "format/coding.h"
#include "format/hex.h"

namespace tidemark {

std::string_view PushOutcomeName(PushOutcome outcome) {
  switch (outcome) {
    case PushOutcome::kApplied:
      return "applied";
    case PushOutcome::kDuplicate:
      return "duplicate";
    case PushOutcome::kConflict:
      return "conflict";
    case PushOutcome::kInvalid:
      return "invalid";
    case PushOutcome::kParentMissing:
      return "parent_missing";
    case PushOutcome::kSkipped:
      return "skipped";
  }
  return "";
}

std::string_view PushStateName(PushState state) {
  switch (state) {
    case PushState::kComplete:
      return "COMPLETE";
    case PushState::kPartiallyComplete:
      return "PARTIALLY_COMPLETE";
    case PushState::kFailed:
      return "FAILED";
  }
  return "";
}

uint64_t PushResult::total() const {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

uint64_t PushResult::succeeded() const {
  return count(PushOutcome::kApplied) + count(PushOutcome::kDuplicate);
}

PushState PushResult::state() const {
  if (succeeded() == total()) return PushState::kComplete;
  return succeeded() == 0 ? PushState::kFailed : PushState::kPartiallyComplete;
}

std::string PushId(std::string_view batch) {
  std::string bytes;
  AppendHash(&bytes, BatchChecksum(batch));
  return EncodeHex(bytes);
}

}  // namespace tidemark
