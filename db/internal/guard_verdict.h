// What a guard says about a store that was recovered. Pure: no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "db/internal/guard.h"
#include "db/store.h"

namespace tidemark::internal {

enum class Past : uint8_t {
  kWhole,    ///< every write that was acknowledged is there, for all the guard knows
  kUnknown,  ///< nothing shows a loss, and nothing excludes one: a new epoch has to begin
  kLost,     ///< acknowledged writes are missing
};

struct GuardVerdict {
  Past past = Past::kWhole;
  std::string_view reason;  ///< of a new epoch; empty otherwise
};

/// Judges a store whose log ends with commit number `commit`. Loss comes first: whatever else is
/// odd about a guard of this store, the commits it counted were acknowledged, and an epoch that it
/// names had begun.
GuardVerdict JudgeGuard(const std::optional<GuardState>& guard,
                        const StoreIdentity& identity,
                        uint64_t commit);

/// Whether the guard was written for the store of this identity, in whichever epoch.
bool IsOf(const GuardState& guard, const StoreIdentity& identity);

}  // namespace tidemark::internal
