// Id pools: the ids that a store makes, leased in blocks to devices that work without a network
// (contract 37). No id is given twice.
//
//   auto pools = *tidemark::IdPools::Open(store);
//   pools->Define("registration", {.range = {1, 1'000'000'000'000}, .digits = 12});
//   auto lease = *pools->Lease({.pool = "registration", .holder = {"tablet-7", "nurse"},
//                               .count = 500, .request_id = "a0c3"});
//
// An id is free, held by a lease, used as its holder reported, or lost. It becomes free again only
// by the word of its holder (`Report` with `release`), or by that of an operator that the holder
// is gone (`Reclaim`): see docs/decisions/0008-id-pools.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/status.h"
#include "replication/id_lease.h"
#include "replication/source.h"

namespace tidemark {

// Public limits (docs/limits.md).
inline constexpr size_t kIdPoolsMax = 256;
inline constexpr uint32_t kIdDigitsMax = 18;
inline constexpr size_t kIdFreeRangesMax = 65'536;  ///< pieces that free ids are in, of all pools
inline constexpr size_t kIdLeaseRangesMax = 64;     ///< pieces of one lease
inline constexpr size_t kIdRequestsKept = 32;       ///< newest request ids of a holder
inline constexpr uint64_t kIdBlockDefault = 1000;

struct IdPoolDefinition {
  IdRange range;                          ///< below 2^63
  uint32_t digits = 0;                    ///< 0: ids are integers; else text of so many digits
  uint64_t block_max = kIdBlockDefault;   ///< ids of one lease
  uint64_t expires_after_s = 0;           ///< 0: leases do not expire
  uint64_t per_day = 0;                   ///< ids for a device and user in a day, UTC; 0: any
  uint64_t per_holder = 0;                ///< and altogether, released ones aside; 0: any number
  std::optional<uint64_t> low_mark = {};  ///< few ids are left below it; a tenth by default
  bool operator==(const IdPoolDefinition&) const = default;
};

/// How a pool stands. `free + held + used + lost` is the size of its range.
struct IdPoolInfo {
  std::string name;
  IdPoolDefinition definition;
  uint64_t free = 0;
  uint64_t reclaimed = 0;  ///< of those free: taken back from devices that are gone; leased last
  uint64_t held = 0;       ///< leased, and not used as far as reported
  uint64_t used = 0;
  uint64_t lost = 0;    ///< given up when the pool was resumed
  uint64_t leases = 0;  ///< not yet over
  bool low = false;
  bool suspended = false;
};

/// What a device and user have of a pool.
struct IdHolderInfo {
  IdHolder holder;
  uint64_t leases = 0;
  uint64_t held = 0;
  uint64_t used = 0;
  uint64_t leased_today = 0;
};

struct IdLeaseInfo {
  uint64_t number = 0;
  std::vector<IdRange> ranges;
  uint64_t used = 0;
  int64_t leased_at = 0;
  std::optional<int64_t> expires_at;
  bool voided = false;
};

struct IdReclaim {
  std::string pool;
  IdHolder holder;
  std::optional<uint64_t> lease = {};  ///< only this one
};

/// The pools of one store. Thread-safe; calls of several threads share syncs. One at a time for a
/// store that is written to; destroy it before its store. `kNotFound`: there is no such pool.
class IdPools final : public IdTransport {
 public:
  static Result<std::unique_ptr<IdPools>> Open(Store& store);
  ~IdPools() override;
  IdPools(const IdPools&) = delete;
  IdPools& operator=(const IdPools&) = delete;

  /// Makes a pool, or widens one: its range may grow and its rules may change, its digits stay.
  /// `kConflict` otherwise. `kTooLarge` beyond 256 pools.
  Result<IdPoolInfo> Define(std::string_view name, const IdPoolDefinition& definition);
  Result<IdPoolInfo> Find(std::string_view name) const;
  std::vector<IdPoolInfo> List() const;  ///< by name
  /// By device and user, beyond `after`.
  Result<std::vector<IdHolderInfo>> ListHolders(std::string_view name,
                                                const std::optional<IdHolder>& after,
                                                size_t limit) const;
  /// Of one holder, by number, beyond `after`.
  Result<std::vector<IdLeaseInfo>> ListLeases(std::string_view name,
                                              const IdHolder& holder,
                                              uint64_t after,
                                              size_t limit) const;

  /// Leases up to `count` ids; durable on return. A request id of the holder's newest 32 answers
  /// what it did, and `kLeaseVoid` once that lease is over. `kIdsExhausted`, `kQuotaExceeded`,
  /// `kPoolSuspended`: nothing was leased. `kTooLarge` above 50,000.
  Result<IdLease> Lease(const IdLeaseRequest& request);
  /// Notes what was used, and takes back the rest if it is released. What is void is answered; a
  /// report of it tells exactly which ids were given twice over, and saves those that were not.
  Result<std::vector<VoidLease>> Report(const IdReport& report);

  /// The operator's word that the holder will not use what it holds: its leases are void, and what
  /// it did not report as used is free, to be leased last. `kConflict` unless `source` has
  /// forgotten the device, or never knew it, or the leases have expired. Returns how many ids.
  Result<uint64_t> Reclaim(const Source& source, const IdReclaim& reclaim);
  /// Ends the suspension of a pool whose store went on from another history: free ids below `from`
  /// are given up, since that history may have leased them.
  Result<IdPoolInfo> Resume(std::string_view name, uint64_t from);

  // For replicas in the same process.
  Result<IdLease> LeaseIds(const IdLeaseRequest& request) override { return Lease(request); }
  Result<std::vector<VoidLease>> ReportIds(const IdReport& report) override {
    return Report(report);
  }

  class Impl;

 private:
  explicit IdPools(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark
