#include "replication/internal/conflict_decision.h"

#include <exception>
#include <utility>

#include "format/json.h"
#include "replication/internal/field_merge.h"

namespace tidemark::internal {
namespace {

ConflictDecision RefuseAsConflict(const Conflict& conflict, std::string_view why = {}) {
  std::string message = conflict.current.has_value()
                            ? "the record is at version " +
                                  std::to_string(conflict.version.value()) + ", not " +
                                  std::to_string(conflict.base.value())
                            : "the record was deleted by somebody else";
  if (!why.empty()) message.append("; ").append(why);
  return {.outcome = PushOutcome::kConflict,
          .code = std::string(kRefusedAsConflict),
          .message = std::move(message)};
}

/// Of somebody else's making, and on its way into an answer.
std::string ShownText(std::string_view text) {
  constexpr size_t kShownMax = 200;
  std::string shown(text.substr(0, kShownMax));
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return shown;
}

ConflictDecision RefuseResolver(std::string_view why) {
  return {.outcome = PushOutcome::kConflict,
          .code = std::string(kResolverFailed),
          .message = "the callback that decides about conflicts " + std::string(why)};
}

/// What was made may be what was pushed after all.
ConflictDecision Make(const Conflict& conflict, TypedValue made) {
  if (conflict.pushed.has_value() && conflict.pushed->kind == made.kind &&
      conflict.pushed->bytes == made.bytes) {
    return {};
  }
  return {.made = std::move(made)};
}

bool IsObject(const std::optional<ConflictValue>& value) {
  return value.has_value() && value->kind == ValueKind::kJson && value->bytes.starts_with('{');
}

ConflictDecision DecideByField(const Conflict& conflict, const ConflictGround& ground) {
  if (!conflict.pushed.has_value()) {
    return RefuseAsConflict(conflict, "a deletion is none of its fields");
  }
  if (!conflict.current.has_value()) return RefuseAsConflict(conflict);
  if (!IsObject(conflict.pushed) || !IsObject(conflict.current)) {
    return RefuseAsConflict(conflict, "only JSON objects are merged by field");
  }
  // What the device changed it changed in another life of the id.
  const bool is_reborn = conflict.base != kSequenceZero && ground.birth > conflict.base;
  if (is_reborn) return RefuseAsConflict(conflict, "it was deleted and created again");
  if (ground.changed.empty() && conflict.base != kSequenceZero) {
    return RefuseAsConflict(conflict, "the device does not say which fields it changed");
  }
  auto merged = ground.changed.empty()
                    ? MergeMembers(conflict.current->bytes, conflict.pushed->bytes)
                    : MergeMembers(conflict.current->bytes, conflict.pushed->bytes, ground.changed);
  if (merged.ok()) return Make(conflict, {ValueKind::kJson, *std::move(merged)});
  return {.outcome = PushOutcome::kInvalid,
          .code = std::string(GetErrorInfo(merged.status().code()).name),
          .message = merged.status().message()};
}

Result<TypedValue> ReadResolved(ConflictResolution resolution) {
  TypedValue made{resolution.kind, std::move(resolution.value)};
  if (made.kind == ValueKind::kJson) {
    TIDEMARK_ASSIGN_OR_RETURN(made.bytes, MinifyJson(made.bytes));
  } else if (made.kind != ValueKind::kBytes) {
    return {ErrorCode::kUnsupported, "values are JSON or bytes"};
  }
  if (made.bytes.size() > kValueBytesMax) {
    return {ErrorCode::kTooLarge,
            "it has " + std::to_string(made.bytes.size()) + " bytes, the limit is " +
                std::to_string(kValueBytesMax)};
  }
  return made;
}

ConflictDecision FollowResolution(const Conflict& conflict, ConflictResolution resolution) {
  switch (resolution.choice) {
    case ConflictChoice::kKeepCurrent:
      return RefuseAsConflict(conflict);
    case ConflictChoice::kTakePushed:
      return {};
    case ConflictChoice::kTakeMerged: {
      auto made = ReadResolved(std::move(resolution));
      if (made.ok()) return Make(conflict, *std::move(made));
      return RefuseResolver("made a value that is none: " + made.status().message());
    }
  }
  return RefuseResolver("made a choice that is none");
}

ConflictDecision DecideByResolver(const Conflict& conflict, const ConflictResolver& resolver) {
  if (!resolver) {
    return RefuseAsConflict(conflict,
                            "the entity leaves conflicts to a callback, and this source has none");
  }
  try {
    return FollowResolution(conflict, resolver(conflict));
  } catch (const std::exception& thrown) {
    return RefuseResolver("threw: " + ShownText(thrown.what()));
  } catch (...) {
    return RefuseResolver("threw what is no std::exception");
  }
}

}  // namespace

ConflictDecision DecideConflict(const Conflict& conflict, const ConflictGround& ground) {
  switch (ground.policy) {
    case ConflictPolicy::kReject:
      return RefuseAsConflict(conflict);
    case ConflictPolicy::kLastWriter:
      return {};
    case ConflictPolicy::kByField:
      return DecideByField(conflict, ground);
    case ConflictPolicy::kCallback:
      return DecideByResolver(conflict, ground.resolver);
  }
  return RefuseAsConflict(conflict);
}

}  // namespace tidemark::internal
