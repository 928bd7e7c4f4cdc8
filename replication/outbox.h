// The outbox of a replica: its own writes that its source has not taken yet (contract 34, 35). It
// is the local entity `_commandQueue`, readable and watchable like any other, in the order in which
// the writes were made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "db/write_batch.h"
#include "format/record.h"

namespace tidemark {

inline constexpr std::string_view kOutboxEntity = "_commandQueue";
/// Operations that wait or failed; a write beyond is `kTooLarge`.
inline constexpr uint64_t kOutboxOperationsMax = 1'000'000;

/// Operations, and records that refer to it, which the replacement of one id changes; beyond it is
/// refused as `kTooLarge`.
inline constexpr uint64_t kIdReplacementsMax = 10'000;
/// Pushes that an operation waits for something through, such as its parent, before it has failed.
inline constexpr uint64_t kOperationWaitsMax = 10;

enum class OperationState : uint8_t {
  kPending,  ///< to be sent
  kFailed,   ///< refused by the source; stays until it is retried or dropped
};

/// Why an operation failed, or what it waits for.
struct OperationError {
  std::string code;  ///< an error's name, or that of a row's fault; empty: nothing is wrong
  std::string field;
  std::string message;
  uint64_t version = 0;                ///< conflict: of the record at the source; zero: it is gone
  std::optional<std::string> current;  ///< conflict: its JSON value, where the answer had it
};

/// One operation. Its row's id is the number, in twenty digits.
struct OutboxOperation {
  uint64_t number = 0;
  WriteOp op = WriteOp::kPut;
  std::string entity;
  RecordId id{""};
  ValueKind value_kind = ValueKind::kBytes;
  std::string value;
  std::optional<int64_t> if_newer;  ///< the writer's timestamp, if it goes by that
  /// Put: the members of the value that differ from what was here before, as a JSON array of names;
  /// absent when one of the two was no JSON object, or the names take more than `kChangedBytesMax`.
  std::optional<std::string> changed = {};
  OperationState state = OperationState::kPending;
  uint64_t attempts = 0;   ///< times that it was answered without being applied
  int64_t created_at = 0;  ///< milliseconds since 1970
  OperationError error;
};

/// A record gets the id that somebody else made for it, such as the application's own service.
struct IdReplacement {
  std::string entity;
  RecordId temporary{""};
  RecordId real{""};
  /// Members at the top of JSON objects that may hold the id, of records of this entity and of
  /// others: `{"household_id", "member"}`.
  std::vector<EntityReference> references = {};
};

struct OutboxStatus {
  uint64_t pending = 0;
  uint64_t failed = 0;
  uint64_t sent = 0;     ///< of the pending ones: sent, and not answered
  uint64_t records = 0;  ///< with pending operations
};

}  // namespace tidemark
