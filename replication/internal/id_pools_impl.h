// The inside of the id pools: free ids in memory, everything else in rows.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/id_pool.h"
#include "replication/internal/free_ids.h"
#include "replication/internal/id_pool_rows.h"

namespace tidemark {
namespace internal {

/// Days since 1970, UTC.
inline uint64_t DayOf(int64_t wall_ms) {
  constexpr int64_t kDayMs = 24 * 3600 * 1000;
  return wall_ms <= 0 ? 0 : static_cast<uint64_t>(wall_ms / kDayMs);
}

}  // namespace internal

/// Changes run in the committer one after the other, each on what the one before it left, and are
/// written in that order; so threads share syncs, and no id is taken by two.
class IdPools::Impl {
 public:
  explicit Impl(Store& store) : store_(store) {}

  Status Load();

  Result<IdPoolInfo> Define(std::string_view name, const IdPoolDefinition& definition);
  Result<IdPoolInfo> Find(std::string_view name) const;
  std::vector<IdPoolInfo> List() const;
  Result<std::vector<IdHolderInfo>> ListHolders(std::string_view name,
                                                const std::optional<IdHolder>& after,
                                                size_t limit) const;
  Result<std::vector<IdLeaseInfo>> ListLeases(std::string_view name,
                                              const IdHolder& holder,
                                              uint64_t after,
                                              size_t limit) const;
  Result<IdLease> Lease(const IdLeaseRequest& request);
  Result<std::vector<VoidLease>> Report(const IdReport& report);
  Result<uint64_t> Reclaim(const Source& source, const IdReclaim& reclaim);
  Result<IdPoolInfo> Resume(std::string_view name, uint64_t from);

 private:
  struct Pool {
    internal::IdPoolRow row;
    internal::FreeIds free;
    internal::FreeIds reclaimed;
  };
  using Pools = std::map<std::string, Pool, std::less<>>;

  /// A lease that someone reports on, as its row stands.
  struct Reported {
    HeldLease word;
    std::optional<internal::IdLeaseRow> row;  // nullopt: unknown
  };
  /// The world outside at the time of a change.
  struct Moment {
    std::string epoch;
    int64_t now = 0;
  };

  /// What `step` adds to the rows, in one synced commit. An error that it returns must come before
  /// it changes anything in memory.
  Status Change(const std::function<Status(CommitContext& rows)>& step);
  Result<Pool*> FindPool(std::string_view name);
  Status LoadFree(std::string_view prefix, internal::FreeIds Pool::*ids);
  static IdPoolInfo InfoOf(const std::string& name, const Pool& pool, const std::string& epoch);
  std::string EpochNow() const;
  uint64_t FirstLeaseOfEpoch() const;
  size_t FreePieces() const;
  static uint64_t FreeCount(const Pool& pool) { return pool.free.count() + pool.reclaimed.count(); }
  static bool IsLow(const Pool& pool) {
    return FreeCount(pool) < pool.row.definition.low_mark.value_or(0);
  }

  static Result<internal::IdHolderRow> ReadHolder(const CommitContext& rows,
                                                  std::string_view pool,
                                                  const IdHolder& holder);
  static Result<std::optional<internal::IdLeaseRow>> ReadLease(const CommitContext& rows,
                                                               std::string_view pool,
                                                               const IdHolder& holder,
                                                               uint64_t lease);
  static void SavePool(CommitContext& rows, const std::string& name, Pool* pool);

  static Result<uint64_t> Grantable(const Pool& pool,
                                    const internal::IdHolderRow& holder,
                                    uint64_t wanted);
  static IdLease Answer(const Pool& pool, uint64_t number, const internal::IdLeaseRow& row);
  Result<IdLease> LeaseNow(CommitContext& rows,
                           const IdLeaseRequest& request,
                           const Moment& moment);
  static void NoteUsed(Pool* pool,
                       internal::IdHolderRow* holder,
                       uint64_t used,
                       internal::IdLeaseRow* lease);
  static void End(Pool* pool, internal::IdHolderRow* holder, const internal::IdLeaseRow& lease);
  static void NoteUsedOfVoid(Pool* pool,
                             internal::IdHolderRow* holder,
                             uint64_t used,
                             internal::IdLeaseRow* lease);
  Result<std::vector<VoidLease>> ReportNow(CommitContext& rows, const IdReport& report);
  Status CheckRoom(const Pool& pool, const std::vector<Reported>& released) const;
  Result<uint64_t> ReclaimNow(CommitContext& rows,
                              const IdReclaim& reclaim,
                              const std::vector<uint64_t>& leases,
                              bool is_gone,
                              int64_t now);

  Store& store_;
  mutable std::mutex mutex_;  // taken under the store's, in the committer; nothing is under it
  Pools pools_;
  Status broken_;  // memory may be ahead of the rows: not before the store is opened anew
};

}  // namespace tidemark
