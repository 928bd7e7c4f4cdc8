// The rows of id pools and their keys (docs/storage_format.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "replication/id_pool.h"

namespace tidemark::internal {

/// A pool, but for its free ids.
struct IdPoolRow {
  IdPoolDefinition definition;
  std::string epoch;  ///< of the store, in which its history is whole
  uint64_t next_lease = 0;
  uint64_t held = 0;
  uint64_t used = 0;
  uint64_t lost = 0;
  uint64_t leases = 0;
};

struct IdHolderRow {
  struct Request {
    std::string id;
    uint64_t lease = 0;
  };
  uint64_t leases = 0;
  uint64_t held = 0;
  uint64_t used = 0;
  uint64_t day = 0;  ///< since 1970; never goes back
  uint64_t leased_on_day = 0;
  std::vector<Request> requests;  ///< oldest first
};

struct IdLeaseRow {
  bool voided = false;
  uint64_t used = 0;
  int64_t leased_at = 0;
  int64_t expires_at = 0;  ///< 0: never
  std::vector<IdRange> ranges;
  std::vector<IdRange> conflicts;  ///< of a void lease

  uint64_t count() const { return CountIds(ranges); }
};

// Keys.
inline constexpr std::string_view kIdPoolPrefix = "I/p";
inline constexpr std::string_view kFreeIdsPrefix = "I/f";
inline constexpr std::string_view kReclaimedIdsPrefix = "I/r";
std::string IdPoolKey(std::string_view pool);
/// `prefix` is that of free or of reclaimed ids.
std::string FreeIdsKey(std::string_view prefix, std::string_view pool, uint64_t from);
std::string IdHolderKey(std::string_view pool, const IdHolder& holder);
std::string IdLeaseKey(std::string_view pool, const IdHolder& holder, uint64_t lease);
/// Of the keys of all holders of a pool, and of all leases of a holder.
std::string IdHolderPrefix(std::string_view pool);
std::string IdLeasePrefix(std::string_view pool, const IdHolder& holder);

/// What stands in a key of free ids.
struct FreeIdsKeyParts {
  std::string pool;
  uint64_t from = 0;
};
std::optional<FreeIdsKeyParts> ParseFreeIdsKey(std::string_view key);
std::optional<IdHolder> ParseIdHolderKey(std::string_view key);

std::string EncodeIdPool(const IdPoolRow& row);
Result<IdPoolRow> DecodeIdPool(std::string_view bytes);
std::string EncodeIdHolder(const IdHolderRow& row);
Result<IdHolderRow> DecodeIdHolder(std::string_view bytes);
std::string EncodeIdLease(const IdLeaseRow& row);
Result<IdLeaseRow> DecodeIdLease(std::string_view bytes);

}  // namespace tidemark::internal
