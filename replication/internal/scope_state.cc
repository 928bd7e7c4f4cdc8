#include "replication/internal/scope_state.h"

#include <algorithm>

namespace tidemark::internal {
namespace {

bool Any(const std::vector<SyncStatus>& entities, SyncState state) {
  return std::any_of(entities.begin(), entities.end(), [state](const SyncStatus& entity) {
    return entity.state == state;
  });
}

void Count(SyncScope* scope) {
  const auto count = [scope](SyncState state) {
    return static_cast<uint64_t>(
        std::count_if(scope->members.begin(), scope->members.end(), [state](const auto& member) {
          return member.state == state;
        }));
  };
  scope->not_started = count(SyncState::kNotStarted);
  scope->syncing = count(SyncState::kSyncing);
  scope->failed = count(SyncState::kFailed);
  scope->synced = count(SyncState::kSynced);
  scope->interrupted = count(SyncState::kInterrupted);
}

void SetState(SyncScope* scope, SyncState state, int64_t now) {
  if (scope->state == state) return;
  scope->state = state;
  scope->timestamp = now;
  if (state == SyncState::kFailed) scope->last_failed_at = now;
  if (state == SyncState::kSynced) scope->last_synced_at = now;
}

}  // namespace

SyncState MemberState(const std::vector<SyncStatus>& entities) {
  for (const SyncState state : {SyncState::kSyncing, SyncState::kInterrupted, SyncState::kFailed}) {
    if (Any(entities, state)) return state;
  }
  return SyncState::kSynced;
}

void RollUp(SyncScope* scope, int64_t now) {
  Count(scope);
  if (scope->not_started + scope->syncing > 0) return SetState(scope, SyncState::kSyncing, now);
  if (scope->interrupted > 0) return SetState(scope, SyncState::kInterrupted, now);
  SetState(scope, scope->failed > 0 ? SyncState::kFailed : SyncState::kSynced, now);
}

void Start(SyncScope* scope, const std::vector<std::string>& members, int64_t now) {
  ++scope->run;
  scope->state = SyncState::kSyncing;
  scope->timestamp = now;
  scope->last_started_at = now;
  scope->members.clear();
  for (const std::string& member : members) {
    scope->members.emplace_back();
    scope->members.back().id = member;
  }
  RollUp(scope, now);
}

SyncMember* FindMember(SyncScope* scope, std::string_view member) {
  const auto found =
      std::find_if(scope->members.begin(), scope->members.end(), [member](const auto& candidate) {
        return candidate.id == member;
      });
  return found == scope->members.end() ? nullptr : &*found;
}

void BeginMember(SyncScope* scope,
                 SyncMember* member,
                 const std::vector<SyncStatus>& entities,
                 int64_t now) {
  member->state = SyncState::kSyncing;
  member->entities = entities;
  member->started_at = now;
  member->ended_at.reset();
  member->error.clear();
  ++member->attempts;
  RollUp(scope, now);
}

void UpdateMember(SyncScope* scope,
                  SyncMember* member,
                  const std::vector<SyncStatus>& entities,
                  const Status& outcome,
                  bool complete,
                  int64_t now) {
  member->entities = entities;
  for (const SyncStatus& entity : entities) {
    if (member->error.empty()) member->error = entity.error;
  }
  if (complete) {
    member->state = MemberState(entities);
    if (entities.empty() && !outcome.ok()) {
      const bool given_up = outcome.code() == ErrorCode::kClosed;
      member->state = given_up ? SyncState::kInterrupted : SyncState::kFailed;
      member->error = outcome.message();
    }
    member->ended_at = now;
  }
  RollUp(scope, now);
}

void Interrupt(SyncScope* scope, int64_t now) {
  if (scope->state != SyncState::kSyncing) return;
  for (SyncMember& member : scope->members) {
    if (member.state != SyncState::kSyncing) continue;
    member.state = SyncState::kInterrupted;
    member.ended_at = now;
    for (SyncStatus& entity : member.entities) {
      if (entity.state == SyncState::kSyncing) entity.state = SyncState::kInterrupted;
    }
  }
  Count(scope);
  SetState(scope, SyncState::kInterrupted, now);
}

}  // namespace tidemark::internal
