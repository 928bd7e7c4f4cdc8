// Why a device was, or was not, sent a record: what a support engineer asks (contract 40).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/sequence.h"

namespace tidemark {

/// How a device stands with one record.
enum class DeliveryState : uint8_t {
  kUpToDate,      ///< it acknowledged the newest version
  kOwed,          ///< the next session sends it
  kInSession,     ///< the open session has yet to hand it out
  kUnconfirmed,   ///< handed out and not acknowledged; a new session sends it again
  kNotSelected,   ///< the device may not see it, and does not hold it
  kNothingToTell  ///< not there, and the device holds nothing of it
};
/// `up_to_date`, `owed`, `in_session`, `unconfirmed`, `not_selected`, `nothing_to_tell`.
std::string_view ToString(DeliveryState state);

/// An instruction that was handed out and not acknowledged.
struct UnconfirmedInstruction {
  uint64_t session = 0;
  uint64_t page = 0;
  std::string label;       ///< `created`, `updated` or `deleted`
  SequenceNumber version;  ///< of the record, at which it was handed out
};

/// The answer, as facts and in words. It is made from what is kept: marks, the open session, pages
/// not acknowledged. Older history is not kept.
struct DeliveryExplanation {
  std::string device;
  std::string entity;
  std::string id;
  DeliveryState state = DeliveryState::kNothingToTell;
  bool live = false;          ///< the record is there now
  SequenceNumber version;     ///< of the record or of its tombstone; zero: neither is there
  SequenceNumber birth;       ///< of the life that lasts; zero without one
  bool selected = false;      ///< the device's selection has it
  bool held = false;          ///< the device may have some life of it
  bool acknowledged = false;  ///< the device surely has some version of the life that lasts
  std::string next;           ///< what the next session says: a label, or empty
  std::vector<UnconfirmedInstruction> unconfirmed;  ///< oldest first
  std::vector<std::string> reasons;                 ///< sentences, in the order of the argument
};

}  // namespace tidemark
