#include "replication/id_pool.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "format/coding.h"
#include "replication/internal/id_pools_impl.h"

namespace tidemark {
namespace {

using internal::FreeIds;
using internal::IdHolderRow;
using internal::IdLeaseRow;
using internal::IdPoolRow;

// A history that was lost can have made fewer leases of a pool than this.
constexpr int kLeasesOfAnEpochBits = 32;
constexpr uint64_t kLowShare = 10;
constexpr uint64_t kExpirySecondsMax = 100ULL * 366 * 24 * 3600;

uint64_t PowerOfTen(uint32_t exponent) {
  uint64_t power = 1;
  for (uint32_t i = 0; i < exponent; ++i) power *= 10;
  return power;
}

Status Wrong(std::string_view field, std::string_view what) {
  return {ErrorCode::kInvalidArgument, "field \"" + std::string(field) + "\" " + std::string(what)};
}

Status CheckDefinition(const IdPoolDefinition& definition) {
  const IdRange& range = definition.range;
  if (range.from >= range.to) return Wrong("to", "must be above \"from\"");
  if (range.to > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return Wrong("to", "must be below 2^63");
  }
  if (definition.digits > kIdDigitsMax) {
    return Wrong("digits", "must be from 0 to " + std::to_string(kIdDigitsMax));
  }
  if (definition.digits > 0 && range.to > PowerOfTen(definition.digits)) {
    return Wrong("digits", "are too few for the range");
  }
  if (definition.block_max < 1 || definition.block_max > kIdLeaseMax) {
    return Wrong("block_max", "must be from 1 to " + std::to_string(kIdLeaseMax));
  }
  if (definition.expires_after_s > kExpirySecondsMax) {
    return Wrong("expires_after_s", "must be at most " + std::to_string(kExpirySecondsMax));
  }
  return {};
}

Status NoPool(std::string_view name) {
  return {ErrorCode::kNotFound, "there is no id pool \"" + std::string(name) + "\""};
}

}  // namespace

// --- What all changes share ---

Status IdPools::Impl::Load() {
  Status damaged;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(internal::kIdPoolPrefix, [&](std::string_view key, std::string_view value) {
        Result<IdPoolRow> row = internal::DecodeIdPool(value);
        if (!row.ok()) {
          damaged = row.status();
          return false;
        }
        const std::string name(key.substr(internal::kIdPoolPrefix.size()));
        pools_[name].row = *std::move(row);
        return true;
      }));
  TIDEMARK_RETURN_IF_ERROR(damaged);
  TIDEMARK_RETURN_IF_ERROR(LoadFree(internal::kFreeIdsPrefix, &Pool::free));
  return LoadFree(internal::kReclaimedIdsPrefix, &Pool::reclaimed);
}

Status IdPools::Impl::LoadFree(std::string_view prefix, FreeIds Pool::*ids) {
  bool damaged = false;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(prefix, [&](std::string_view key, std::string_view value) {
        const auto parts = internal::ParseFreeIdsKey(key);
        ByteReader reader(value);
        const uint64_t size = reader.Varint();
        const auto pool = parts ? pools_.find(parts->pool) : pools_.end();
        damaged = !reader.Finished() || pool == pools_.end();
        if (!damaged) (pool->second.*ids).Add({parts->from, parts->from + size});
        return !damaged;
      }));
  if (damaged) return {ErrorCode::kCorruption, "a row of free ids is damaged"};
  for (auto& [name, pool] : pools_) (pool.*ids).TakeChanges();
  return {};
}

Status IdPools::Impl::Change(const std::function<Status(CommitContext& rows)>& step) {
  {
    const std::lock_guard lock(mutex_);
    TIDEMARK_RETURN_IF_ERROR(broken_);
  }
  bool stepped = false;
  CommitOptions options;
  options.precondition = [&](CommitContext& rows) {
    const std::lock_guard lock(mutex_);
    Status status = step(rows);
    stepped = status.ok();
    return status;
  };
  const auto committed = store_.Commit(WriteBatch(), options);
  if (committed.ok()) return {};
  if (stepped) {
    const std::lock_guard lock(mutex_);
    broken_ = committed.status();
  }
  return committed.status();
}

Result<IdPools::Impl::Pool*> IdPools::Impl::FindPool(std::string_view name) {
  const auto pool = pools_.find(name);
  if (pool == pools_.end()) return NoPool(name);
  return &pool->second;
}

Result<IdHolderRow> IdPools::Impl::ReadHolder(const CommitContext& rows,
                                              std::string_view pool,
                                              const IdHolder& holder) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, rows.GetRow(internal::IdHolderKey(pool, holder)));
  if (!row) return IdHolderRow();
  return internal::DecodeIdHolder(*row);
}

Result<std::optional<IdLeaseRow>> IdPools::Impl::ReadLease(const CommitContext& rows,
                                                           std::string_view pool,
                                                           const IdHolder& holder,
                                                           uint64_t lease) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto row, rows.GetRow(internal::IdLeaseKey(pool, holder, lease)));
  if (!row) return std::optional<IdLeaseRow>();
  TIDEMARK_ASSIGN_OR_RETURN(IdLeaseRow decoded, internal::DecodeIdLease(*row));
  return std::optional(std::move(decoded));
}

void IdPools::Impl::SavePool(CommitContext& rows, const std::string& name, Pool* pool) {
  const auto save = [&](std::string_view prefix, FreeIds* ids) {
    for (const auto& [from, to] : ids->TakeChanges()) {
      const std::string key = internal::FreeIdsKey(prefix, name, from);
      if (!to) {
        rows.DeleteRow(key);
        continue;
      }
      std::string size;
      AppendVarint(&size, *to - from);
      rows.SetRow(key, size);
    }
  };
  save(internal::kFreeIdsPrefix, &pool->free);
  save(internal::kReclaimedIdsPrefix, &pool->reclaimed);
  rows.SetRow(internal::IdPoolKey(name), internal::EncodeIdPool(pool->row));
}

std::string IdPools::Impl::EpochNow() const {
  return store_.identity().epochs.back().id;
}

uint64_t IdPools::Impl::FirstLeaseOfEpoch() const {
  return (store_.identity().epochs.back().ordinal << kLeasesOfAnEpochBits) + 1;
}

size_t IdPools::Impl::FreePieces() const {
  size_t pieces = 0;
  for (const auto& [name, pool] : pools_) pieces += pool.free.pieces() + pool.reclaimed.pieces();
  return pieces;
}

// --- Pools ---

Result<IdPoolInfo> IdPools::Impl::Define(std::string_view name, const IdPoolDefinition& given) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(name));
  TIDEMARK_RETURN_IF_ERROR(CheckDefinition(given));
  IdPoolDefinition definition = given;
  if (!definition.low_mark) definition.low_mark = given.range.size() / kLowShare;
  const std::string epoch = EpochNow();
  const uint64_t first_lease = FirstLeaseOfEpoch();
  TIDEMARK_RETURN_IF_ERROR(Change([&](CommitContext& rows) -> Status {
    const auto known = pools_.find(name);
    if (known == pools_.end()) {
      if (pools_.size() >= kIdPoolsMax) {
        return {ErrorCode::kTooLarge, "there are " + std::to_string(kIdPoolsMax) + " id pools"};
      }
      Pool& pool = pools_[std::string(name)];
      pool.row = {.definition = definition, .epoch = epoch, .next_lease = first_lease};
      pool.free.Add(definition.range);
      SavePool(rows, std::string(name), &pool);
      return {};
    }
    Pool& pool = known->second;
    const IdRange old = pool.row.definition.range;
    if (definition.range.from > old.from || definition.range.to < old.to) {
      return {ErrorCode::kConflict,
              "the pool has the ids from " + std::to_string(old.from) + " to " +
                  std::to_string(old.to) + ", and can only grow"};
    }
    if (definition.digits != pool.row.definition.digits) {
      return {ErrorCode::kConflict, "the digits of a pool do not change"};
    }
    pool.row.definition = definition;
    pool.free.Add({definition.range.from, old.from});
    pool.free.Add({old.to, definition.range.to});
    SavePool(rows, known->first, &pool);
    return {};
  }));
  return Find(name);
}

Result<IdPoolInfo> IdPools::Impl::Resume(std::string_view name, uint64_t from) {
  const std::string epoch = EpochNow();
  const uint64_t first_lease = FirstLeaseOfEpoch();
  TIDEMARK_RETURN_IF_ERROR(Change([&](CommitContext& rows) -> Status {
    TIDEMARK_ASSIGN_OR_RETURN(Pool* const pool, FindPool(name));
    const IdRange& range = pool->row.definition.range;
    if (pool->row.epoch == epoch) return {ErrorCode::kConflict, "the pool is not suspended"};
    if (from < range.from || from > range.to) {
      return Wrong(
          "from", "must be from " + std::to_string(range.from) + " to " + std::to_string(range.to));
    }
    for (FreeIds* ids : {&pool->free, &pool->reclaimed}) {
      pool->row.lost += CountIds(ids->Remove({range.from, from}));
    }
    pool->row.epoch = epoch;
    pool->row.next_lease = std::max(pool->row.next_lease, first_lease);
    SavePool(rows, std::string(name), pool);
    return {};
  }));
  return Find(name);
}

IdPoolInfo IdPools::Impl::InfoOf(const std::string& name,
                                 const Pool& pool,
                                 const std::string& epoch) {
  IdPoolInfo info;
  info.name = name;
  info.definition = pool.row.definition;
  info.free = FreeCount(pool);
  info.reclaimed = pool.reclaimed.count();
  info.held = pool.row.held;
  info.used = pool.row.used;
  info.lost = pool.row.lost;
  info.leases = pool.row.leases;
  info.low = IsLow(pool);
  info.suspended = pool.row.epoch != epoch;
  return info;
}

Result<IdPoolInfo> IdPools::Impl::Find(std::string_view name) const {
  const std::string epoch = EpochNow();
  const std::lock_guard lock(mutex_);
  const auto pool = pools_.find(name);
  if (pool == pools_.end()) return NoPool(name);
  return InfoOf(pool->first, pool->second, epoch);
}

std::vector<IdPoolInfo> IdPools::Impl::List() const {
  const std::string epoch = EpochNow();
  const std::lock_guard lock(mutex_);
  std::vector<IdPoolInfo> infos;
  for (const auto& [name, pool] : pools_) infos.push_back(InfoOf(name, pool, epoch));
  return infos;
}

Result<std::vector<IdHolderInfo>> IdPools::Impl::ListHolders(std::string_view name,
                                                             const std::optional<IdHolder>& after,
                                                             size_t limit) const {
  TIDEMARK_RETURN_IF_ERROR(Find(name).status());
  const std::string beyond = after ? internal::IdHolderKey(name, *after) : std::string();
  const uint64_t today = internal::DayOf(store_.runtime().clock().WallMilliseconds());
  std::vector<IdHolderInfo> holders;
  bool damaged = false;
  TIDEMARK_RETURN_IF_ERROR(store_.ScanRows(
      internal::IdHolderPrefix(name), [&](std::string_view key, std::string_view value) {
        if (key <= beyond) return true;
        if (holders.size() == limit) return false;
        const auto holder = internal::ParseIdHolderKey(key);
        const Result<IdHolderRow> row = internal::DecodeIdHolder(value);
        damaged = !holder || !row.ok();
        if (damaged) return false;
        const uint64_t leased_today = row->day == today ? row->leased_on_day : 0;
        holders.push_back({*holder, row->leases, row->held, row->used, leased_today});
        return true;
      }));
  if (damaged) return {ErrorCode::kCorruption, "a row of an id pool is damaged"};
  return holders;
}

Result<std::vector<IdLeaseInfo>> IdPools::Impl::ListLeases(std::string_view name,
                                                           const IdHolder& holder,
                                                           uint64_t after,
                                                           size_t limit) const {
  TIDEMARK_RETURN_IF_ERROR(Find(name).status());
  const std::string prefix = internal::IdLeasePrefix(name, holder);
  const std::string beyond = internal::IdLeaseKey(name, holder, after);
  std::vector<IdLeaseInfo> leases;
  Status damaged;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(prefix, [&](std::string_view key, std::string_view value) {
        if (key <= beyond) return true;
        if (leases.size() == limit) return false;
        Result<IdLeaseRow> row = internal::DecodeIdLease(value);
        if (!row.ok()) {
          damaged = row.status();
          return false;
        }
        IdLeaseInfo info;
        info.number = LoadBigEndian64(key.data() + prefix.size());
        info.ranges = row->ranges;
        info.used = row->used;
        info.leased_at = row->leased_at;
        if (row->expires_at != 0) info.expires_at = row->expires_at;
        info.voided = row->voided;
        leases.push_back(std::move(info));
        return true;
      }));
  TIDEMARK_RETURN_IF_ERROR(damaged);
  return leases;
}

// --- The public face ---

IdPools::IdPools(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
IdPools::~IdPools() = default;

Result<std::unique_ptr<IdPools>> IdPools::Open(Store& store) {
  auto impl = std::make_unique<Impl>(store);
  TIDEMARK_RETURN_IF_ERROR(impl->Load());
  return std::unique_ptr<IdPools>(new IdPools(std::move(impl)));
}

Result<IdPoolInfo> IdPools::Define(std::string_view name, const IdPoolDefinition& definition) {
  return impl_->Define(name, definition);
}
Result<IdPoolInfo> IdPools::Find(std::string_view name) const {
  return impl_->Find(name);
}
std::vector<IdPoolInfo> IdPools::List() const {
  return impl_->List();
}
Result<std::vector<IdHolderInfo>> IdPools::ListHolders(std::string_view name,
                                                       const std::optional<IdHolder>& after,
                                                       size_t limit) const {
  return impl_->ListHolders(name, after, limit);
}
Result<std::vector<IdLeaseInfo>> IdPools::ListLeases(std::string_view name,
                                                     const IdHolder& holder,
                                                     uint64_t after,
                                                     size_t limit) const {
  return impl_->ListLeases(name, holder, after, limit);
}
Result<IdLease> IdPools::Lease(const IdLeaseRequest& request) {
  return impl_->Lease(request);
}
Result<std::vector<VoidLease>> IdPools::Report(const IdReport& report) {
  return impl_->Report(report);
}
Result<uint64_t> IdPools::Reclaim(const Source& source, const IdReclaim& reclaim) {
  return impl_->Reclaim(source, reclaim);
}
Result<IdPoolInfo> IdPools::Resume(std::string_view name, uint64_t from) {
  return impl_->Resume(name, from);
}

}  // namespace tidemark
