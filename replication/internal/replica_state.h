// The row in which a replica remembers where it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

inline constexpr std::string_view kReplicaStateKey = "R/state";

/// Tokens of pages that came in bundles and were not acknowledged yet, in the order of the pages.
inline constexpr std::string_view kCarriedKeysPrefix = "R/k/";
std::string CarriedKeyRow(uint64_t session, uint64_t page);

struct ReplicaState {
  std::string device;
  std::string incarnation;  ///< 16 random bytes, made with the replica
  std::string source;       ///< identity of the store that it replicates; empty before a page
  std::string position;     ///< token of the last page of those applied; empty before one
  std::string epoch;        ///< of `session`; empty if the wire did not say
  uint64_t session = 0;     ///< pages of any other session are refused
  uint64_t page = 0;        ///< highest one applied of it
  /// A reset is under way: records not written again since this local sequence are dropped at its
  /// end.
  std::optional<SequenceNumber> sweep_through;
  /// Cut of the newest session that was a reset: what the source did at or below it, pages told.
  SequenceNumber reset_cut;
  /// Id of the bundle that `session` came in; empty if it came otherwise.
  std::string bundle;
};

std::string EncodeReplicaState(const ReplicaState& state);
Result<ReplicaState> DecodeReplicaState(std::string_view bytes);

}  // namespace tidemark
