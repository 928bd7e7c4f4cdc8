// What travels when a device sends its own writes to its source, and what is answered (contract 34
// to 36). A device numbers its operations from 1; a push is a checksummed batch of them, in order.
// Every operation gets an answer of its own: one bad operation never fails the others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/record.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

// Public limits (docs/limits.md).
inline constexpr size_t kPushOperationsMax = 1000;     ///< operations of one push
inline constexpr size_t kPushAnswersKept = 10'000;     ///< of a device that did not take them yet
inline constexpr size_t kPushesKept = 100;             ///< of a device, to be asked for by name
inline constexpr size_t kPushValueBytesMax = 1 << 20;  ///< of all current values in one answer

// Codes of operations that were skipped, and are to be sent again.
inline constexpr std::string_view kWaitsForParent = "parent_missing";
inline constexpr std::string_view kWaitsForOthers = "busy";

/// What became of one operation.
enum class PushOutcome : uint8_t {
  kApplied,        ///< the record is as the operation says
  kDuplicate,      ///< it was applied before, by an earlier push
  kConflict,       ///< the record was changed by somebody else since the device last saw it
  kInvalid,        ///< it can never be applied: `code` and `field` say why
  kParentMissing,  ///< a record that its value refers to is not there yet; to be sent again
  kSkipped,        ///< an operation before it, on which it builds, was not applied
};
inline constexpr int kPushOutcomeCount = 6;
/// "applied", "duplicate", "conflict", "invalid", "parent_missing", "skipped".
std::string_view PushOutcomeName(PushOutcome outcome);

/// The record as the source has it.
struct PushCurrent {
  SequenceNumber version;
  ValueKind value_kind = ValueKind::kBytes;
  std::optional<std::string> value;  ///< absent when the answer has no room for it
};

struct PushAnswer {
  uint64_t operation = 0;  ///< its number at the device
  PushOutcome outcome = PushOutcome::kApplied;
  SequenceNumber version;  ///< applied: of the record now, or of its deletion
  SequenceNumber birth;    ///< applied: of its life
  /// Applied, and the record is none that the device may see: it drops its copy.
  bool outside = false;
  /// Applied, and the record is not as the device wrote it: what others changed meanwhile is in it,
  /// too. The device gets it as an update.
  bool merged = false;
  std::string code;   ///< why it was not applied: an error's name, or that of a row's fault
  std::string field;  ///< the field at fault, where there is one
  std::string message;
  std::optional<PushCurrent> current;  ///< conflict: nullopt when the record is gone
};

/// How a push went as a whole (decision D5).
enum class PushState : uint8_t { kComplete, kPartiallyComplete, kFailed };
/// "COMPLETE", "PARTIALLY_COMPLETE", "FAILED".
std::string_view PushStateName(PushState state);

struct PushResult {
  /// The checksum of its batch in hex: the device knows it without being told.
  std::string id;
  std::string device;
  int64_t time = 0;  ///< when it was handled; milliseconds since 1970
  std::array<uint64_t, kPushOutcomeCount> counts{};
  std::vector<PushAnswer> answers;  ///< one an operation, in order; kept ones: those not applied

  uint64_t total() const;
  uint64_t count(PushOutcome outcome) const { return counts[static_cast<size_t>(outcome)]; }
  /// Applied or known to be.
  uint64_t succeeded() const;
  PushState state() const;
};

/// The id of the push that these bytes are. Requires an encoded batch.
std::string PushId(std::string_view batch);

}  // namespace tidemark
