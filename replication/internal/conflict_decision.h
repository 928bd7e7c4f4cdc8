// What becomes of two writes of one record of which neither knew of the other, by the policy of the
// entity.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "db/entity.h"
#include "format/record_json.h"
#include "replication/conflict.h"
#include "replication/push.h"

namespace tidemark::internal {

/// The codes of what no policy lets go.
inline constexpr std::string_view kRefusedAsConflict = "conflict";
inline constexpr std::string_view kResolverFailed = "resolver_failed";

struct ConflictDecision {
  PushOutcome outcome = PushOutcome::kApplied;
  std::string code = {};  ///< unless it is applied, with the message
  std::string message = {};
  /// Applied: what the record becomes; nullopt: what was pushed.
  std::optional<TypedValue> made = {};
};

/// What else a decision goes by.
struct ConflictGround {
  ConflictPolicy policy = ConflictPolicy::kReject;
  std::string_view changed = {};  ///< the members that the device changed; empty: it does not say
  SequenceNumber birth;           ///< of the life that `current` is of; zero: of this push
  const ConflictResolver& resolver;
};

/// Changes nothing, and throws nothing.
ConflictDecision DecideConflict(const Conflict& conflict, const ConflictGround& ground);

}  // namespace tidemark::internal
