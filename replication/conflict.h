// What decides about a device's write whose record was changed by somebody else meanwhile, where
// the entity leaves that to the application (`ConflictPolicy::kCallback`; contract 36).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "format/record.h"
#include "format/sequence.h"

namespace tidemark {

/// A value as one side has it.
struct ConflictValue {
  ValueKind kind = ValueKind::kJson;
  std::string_view bytes;
};

/// Two writes of one record, neither of which knew of the other. The views are valid during the
/// call.
struct Conflict {
  std::string_view device;
  std::string_view entity;
  RecordId id{""};
  SequenceNumber base;     ///< the version that the device had seen; zero: there was none
  SequenceNumber version;  ///< that of `current`; zero: somebody deleted the record
  std::optional<ConflictValue> current;  ///< as the source has it; nullopt: it is deleted
  std::optional<ConflictValue> pushed;   ///< as the device wrote it; nullopt: it deleted it
};

enum class ConflictChoice : uint8_t {
  kKeepCurrent,  ///< the operation is refused as a conflict, and kept at the device
  kTakePushed,   ///< it goes; what it replaces is kept in `_conflicts`
  kTakeMerged,   ///< the record becomes `value`; what that replaces is kept in `_conflicts`
};

struct ConflictResolution {
  ConflictChoice choice = ConflictChoice::kKeepCurrent;
  ValueKind kind = ValueKind::kJson;  ///< of `value`; JSON is checked and minified
  std::string value = {};             ///< merged: up to `kValueBytesMax` bytes
};

/// Called by the thread that pushes, under the lock of its device, and by several threads at once
/// for several devices. It may read the store and must not call the source. For one operation it
/// may be called again when the record changes before its answer is committed, and the last answer
/// counts. What it throws, or a value that the entity does not take, refuses that operation.
using ConflictResolver = std::function<ConflictResolution(const Conflict&)>;

}  // namespace tidemark
