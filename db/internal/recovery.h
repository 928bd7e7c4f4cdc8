// Opening a store: identity, guard, entities, liveness, and the replay of what is newer than the
// last fold.
#pragma once

#include <memory>

#include "db/internal/store_state.h"
#include "format/status.h"

namespace tidemark::internal {

/// Fills `state`, whose directory, options and runtime are set. Every step may be cut by a crash
/// and repeated. Errors as `Store::Open` says.
Status Recover(StoreState& state);

/// Begins a new epoch: identity, head and guard. Requires commit_mutex and an idle committer.
Status BeginEpoch(StoreState& state, std::string_view reason);

std::string GuardPath(const StoreState& state);

}  // namespace tidemark::internal
