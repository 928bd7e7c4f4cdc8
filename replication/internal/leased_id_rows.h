// The rows in which a device remembers what ids it was leased (docs/storage_format.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "replication/id_lease.h"

namespace tidemark::internal {

/// What a device and user know of a pool.
struct LeasedPoolRow {
  std::string epoch;           ///< of the device's store, in which its leases were made
  uint64_t newest_lease = 0;   ///< highest number ever installed
  std::string request_id;      ///< asked, and not yet answered; or empty
  uint64_t request_count = 0;  ///< what was asked for
  uint64_t pool_free = 0;
  bool pool_low = false;
};

struct LeasedBlockRow {
  std::vector<IdRange> ranges;
  uint32_t digits = 0;
  uint32_t base = 0;         ///< every id before this position is used
  bool giving_back = false;  ///< no more are taken; what is left goes back to the source
};

std::string LeasedPoolPrefix(const IdHolder& holder);
std::string LeasedPoolKey(const IdHolder& holder, std::string_view pool);
/// Of the keys of all blocks of a pool, and of the ids taken of one.
std::string LeasedBlockPrefix(const IdHolder& holder, std::string_view pool);
std::string LeasedBlockKey(const IdHolder& holder, std::string_view pool, uint64_t lease);
std::string TakenIdPrefix(const IdHolder& holder, std::string_view pool, uint64_t lease);
std::string TakenIdKey(const IdHolder& holder,
                       std::string_view pool,
                       uint64_t lease,
                       uint32_t index);

std::string EncodeLeasedPool(const LeasedPoolRow& row);
Result<LeasedPoolRow> DecodeLeasedPool(std::string_view bytes);
std::string EncodeLeasedBlock(const LeasedBlockRow& row);
Result<LeasedBlockRow> DecodeLeasedBlock(std::string_view bytes);

}  // namespace tidemark::internal
