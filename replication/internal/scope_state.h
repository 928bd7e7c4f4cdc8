// What becomes of a sync scope when it starts, when a member begins or ends, and when it is
// interrupted. Pure: no clock, no locks, no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replication/sync_tracker.h"

namespace tidemark::internal {

/// The outcome of a member with these entities: syncing while one is; else interrupted, failed or
/// synced, the worst one counts.
SyncState MemberState(const std::vector<SyncStatus>& entities);

/// Counts the members, and sets the scope's state and the time of its outcome (seed 001): syncing
/// until all members are complete; a member that failed early does not end it.
void RollUp(SyncScope* scope, int64_t now);

/// A new run of `scope`, which may be new itself; times of earlier outcomes stay.
void Start(SyncScope* scope, const std::vector<std::string>& members, int64_t now);

/// nullptr when there is none.
SyncMember* FindMember(SyncScope* scope, std::string_view member);

/// Requires: the scope is syncing.
void BeginMember(SyncScope* scope,
                 SyncMember* member,
                 const std::vector<SyncStatus>& entities,
                 int64_t now);

/// Takes the present state of the member's entities; `complete` when the member has its outcome.
/// Requires: the scope is syncing.
void UpdateMember(SyncScope* scope,
                  SyncMember* member,
                  const std::vector<SyncStatus>& entities,
                  const Status& outcome,
                  bool complete,
                  int64_t now);

/// Its owner died or said so. Nothing changes unless the scope is syncing.
void Interrupt(SyncScope* scope, int64_t now);

}  // namespace tidemark::internal
