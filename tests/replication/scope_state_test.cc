// The roll-up of a sync scope, over every combination of its members' states (seed 001).
#include "replication/internal/scope_state.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace tidemark::internal {
namespace {

constexpr std::array kStates = {
    SyncState::kNotStarted, SyncState::kSyncing, SyncState::kSynced, SyncState::kFailed};

uint64_t CountOf(const std::vector<SyncState>& states, SyncState state) {
  return static_cast<uint64_t>(std::count(states.begin(), states.end(), state));
}

// The seed's table, said in its own words.
SyncState ExpectedState(const std::vector<SyncState>& states) {
  for (const SyncState state : states) {
    if (state == SyncState::kNotStarted || state == SyncState::kSyncing) return SyncState::kSyncing;
  }
  return CountOf(states, SyncState::kFailed) > 0 ? SyncState::kFailed : SyncState::kSynced;
}

void CheckCombination(const std::vector<SyncState>& states) {
  SyncScope scope;
  scope.state = SyncState::kSyncing;
  scope.timestamp = 1;
  for (const SyncState state : states) {
    scope.members.emplace_back();
    scope.members.back().state = state;
  }
  RollUp(&scope, 2);
  const SyncState expected = ExpectedState(states);
  EXPECT_EQ(scope.state, expected);
  EXPECT_EQ(scope.not_started, CountOf(states, SyncState::kNotStarted));
  EXPECT_EQ(scope.syncing, CountOf(states, SyncState::kSyncing));
  EXPECT_EQ(scope.synced, CountOf(states, SyncState::kSynced));
  EXPECT_EQ(scope.failed, CountOf(states, SyncState::kFailed));
  EXPECT_EQ(scope.last_failed_at.has_value(), expected == SyncState::kFailed);
  EXPECT_EQ(scope.last_synced_at.has_value(), expected == SyncState::kSynced);
  EXPECT_EQ(scope.timestamp, expected == SyncState::kSyncing ? 1 : 2);

  Interrupt(&scope, 3);
  const bool was_syncing = expected == SyncState::kSyncing;
  EXPECT_EQ(scope.state, was_syncing ? SyncState::kInterrupted : expected);
  EXPECT_EQ(scope.syncing, 0U);
  EXPECT_EQ(scope.not_started, CountOf(states, SyncState::kNotStarted));
  EXPECT_EQ(scope.interrupted, CountOf(states, SyncState::kSyncing));
  EXPECT_EQ(scope.not_started + scope.syncing + scope.failed + scope.synced + scope.interrupted,
            states.size());
}

TEST(ScopeStateTest, EveryCombinationOfUpToFourMembers) {
  for (size_t members = 0; members <= 4; ++members) {
    size_t combinations = 1;
    for (size_t i = 0; i < members; ++i) combinations *= kStates.size();
    for (size_t combination = 0; combination < combinations; ++combination) {
      std::vector<SyncState> states;
      for (size_t i = 0, rest = combination; i < members; ++i, rest /= kStates.size()) {
        states.push_back(kStates.at(rest % kStates.size()));
      }
      CheckCombination(states);
    }
  }
}

TEST(ScopeStateTest, AMemberIsAsItsEntitiesAre) {
  const auto state_of = [](const std::vector<SyncState>& states) {
    std::vector<SyncStatus> entities(states.size());
    for (size_t i = 0; i < states.size(); ++i) entities[i].state = states[i];
    return MemberState(entities);
  };
  EXPECT_EQ(state_of({}), SyncState::kSynced);
  EXPECT_EQ(state_of({SyncState::kSynced, SyncState::kSyncing}), SyncState::kSyncing);
  EXPECT_EQ(state_of({SyncState::kFailed, SyncState::kSyncing}), SyncState::kSyncing);
  EXPECT_EQ(state_of({SyncState::kFailed, SyncState::kSynced}), SyncState::kFailed);
  EXPECT_EQ(state_of({SyncState::kFailed, SyncState::kInterrupted}), SyncState::kInterrupted);
  EXPECT_EQ(state_of({SyncState::kSynced, SyncState::kSynced}), SyncState::kSynced);
}

}  // namespace
}  // namespace tidemark::internal
