// Opening a store: identity, guard, entities, liveness, and the replay of what is newer than the
// last fold.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "db/internal/store_state.h"
#include "format/status.h"

namespace tidemark::internal {

/// Fills `state`, whose directory, options and runtime are set. Every step may be cut by a crash
/// and repeated. Errors as `Store::Open` says.
Status Recover(StoreState& state);

/// Begins a new epoch: identity, head and guard. Requires commit_mutex and an idle committer.
/// `guard` is the one that was found, when it may know of epochs and commits that are lost: the new
/// one begins above all of them.
Status BeginEpoch(StoreState& state,
                  std::string_view reason,
                  const std::optional<GuardState>& guard = {});

std::string GuardPath(const StoreState& state);

}  // namespace tidemark::internal
