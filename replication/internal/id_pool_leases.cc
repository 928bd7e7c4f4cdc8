// Leases of id pools: giving them, noting what was used of them, taking them back.
#include <algorithm>
#include <set>
#include <utility>

#include "replication/internal/id_pools_impl.h"

namespace tidemark {
namespace {

using internal::FreeIds;
using internal::IdHolderRow;
using internal::IdLeaseRow;

constexpr size_t kReclaimStep = 256;  // leases of one commit

Status CheckText(std::string_view what, std::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) {
    return {ErrorCode::kTooLarge,
            std::string(what) + " has more than " + std::to_string(bytes_max) + " bytes"};
  }
  if (text.empty()) return {};
  return CheckRecordId(text).WithContext(what);
}

Status CheckHolder(const IdHolder& holder) {
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(holder.device));
  return CheckText("the user", holder.user, kIdUserBytesMax);
}

Status CheckRequest(const IdLeaseRequest& request) {
  TIDEMARK_RETURN_IF_ERROR(CheckHolder(request.holder));
  TIDEMARK_RETURN_IF_ERROR(CheckText("the request id", request.request_id, kIdRequestBytesMax));
  if (request.count == 0) {
    return {ErrorCode::kInvalidArgument, "field \"count\" must be at least 1"};
  }
  if (request.count > kIdLeaseMax) {
    return {ErrorCode::kTooLarge,
            "a lease has at most " + std::to_string(kIdLeaseMax) + " ids; ask several times"};
  }
  return {};
}

Status CheckReport(const IdReport& report) {
  TIDEMARK_RETURN_IF_ERROR(CheckHolder(report.holder));
  if (report.leases.size() > kIdLeasesInReportMax) {
    return {ErrorCode::kTooLarge,
            "a report has at most " + std::to_string(kIdLeasesInReportMax) + " leases"};
  }
  std::set<uint64_t> seen;
  for (const HeldLease& word : report.leases) {
    if (!seen.insert(word.lease).second) {
      return {ErrorCode::kInvalidArgument,
              "lease " + std::to_string(word.lease) + " is reported twice"};
    }
  }
  return {};
}

void SaveHolder(CommitContext& rows,
                std::string_view pool,
                const IdHolder& holder,
                const IdHolderRow& row) {
  rows.SetRow(internal::IdHolderKey(pool, holder), internal::EncodeIdHolder(row));
}

void SaveLease(CommitContext& rows,
               std::string_view pool,
               const IdHolder& holder,
               uint64_t number,
               const IdLeaseRow& row) {
  rows.SetRow(internal::IdLeaseKey(pool, holder, number), internal::EncodeIdLease(row));
}

}  // namespace

// --- Leasing ---

Result<uint64_t> IdPools::Impl::Grantable(const Pool& pool,
                                          const IdHolderRow& holder,
                                          uint64_t wanted) {
  const IdPoolDefinition& definition = pool.row.definition;
  uint64_t count = std::min(wanted, definition.block_max);
  const auto bound_by = [&](uint64_t most, uint64_t taken) {
    if (most > 0) count = std::min(count, most - std::min(most, taken));
  };
  bound_by(definition.per_day, holder.leased_on_day);
  if (count == 0) {
    return {ErrorCode::kQuotaExceeded,
            "this device and user were leased their " + std::to_string(definition.per_day) +
                " ids of today"};
  }
  bound_by(definition.per_holder, holder.held + holder.used);
  if (count == 0) {
    return {ErrorCode::kQuotaExceeded,
            "this device and user have the " + std::to_string(definition.per_holder) +
                " ids that they may have"};
  }
  count = std::min(count, FreeCount(pool));
  if (count == 0) return {ErrorCode::kIdsExhausted, "the pool has no id left"};
  return count;
}

IdLease IdPools::Impl::Answer(const Pool& pool, uint64_t number, const IdLeaseRow& row) {
  IdLease lease;
  lease.number = number;
  lease.ranges = row.ranges;
  lease.digits = pool.row.definition.digits;
  if (row.expires_at != 0) lease.expires_at = row.expires_at;
  lease.free = FreeCount(pool);
  lease.low = IsLow(pool);
  return lease;
}

Result<IdLease> IdPools::Impl::LeaseNow(CommitContext& rows,
                                        const IdLeaseRequest& request,
                                        const Moment& moment) {
  TIDEMARK_ASSIGN_OR_RETURN(Pool* const pool, FindPool(request.pool));
  TIDEMARK_ASSIGN_OR_RETURN(IdHolderRow holder, ReadHolder(rows, request.pool, request.holder));
  for (const IdHolderRow::Request& known : holder.requests) {
    if (request.request_id.empty() || known.id != request.request_id) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const auto row,
                              ReadLease(rows, request.pool, request.holder, known.lease));
    if (row && !row->voided) return Answer(*pool, known.lease, *row);
    return {
        ErrorCode::kLeaseVoid,
        "lease " + std::to_string(known.lease) + ", which this request id was answered, is over"};
  }
  if (pool->row.epoch != moment.epoch) {
    return {ErrorCode::kPoolSuspended,
            "the store went on from another history, which may have leased ids that are free here"};
  }
  const uint64_t today = internal::DayOf(moment.now);
  if (today > holder.day) {
    holder.day = today;
    holder.leased_on_day = 0;
  }
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t count, Grantable(*pool, holder, request.count));

  // From here on nothing fails.
  const IdPoolDefinition& definition = pool->row.definition;
  IdLeaseRow row;
  row.leased_at = moment.now;
  if (definition.expires_after_s > 0) {
    row.expires_at = moment.now + static_cast<int64_t>(definition.expires_after_s) * 1000;
  }
  row.ranges = pool->free.Take(count, kIdLeaseRangesMax);
  if (row.ranges.size() < kIdLeaseRangesMax) {
    for (const IdRange& range :
         pool->reclaimed.Take(count - row.count(), kIdLeaseRangesMax - row.ranges.size())) {
      row.ranges.push_back(range);
    }
  }
  const uint64_t number = pool->row.next_lease++;
  pool->row.held += row.count();
  ++pool->row.leases;
  holder.held += row.count();
  ++holder.leases;
  holder.leased_on_day += row.count();
  if (!request.request_id.empty()) {
    if (holder.requests.size() == kIdRequestsKept) holder.requests.erase(holder.requests.begin());
    holder.requests.push_back({request.request_id, number});
  }
  SaveLease(rows, request.pool, request.holder, number, row);
  SaveHolder(rows, request.pool, request.holder, holder);
  SavePool(rows, request.pool, pool);
  return Answer(*pool, number, row);
}

Result<IdLease> IdPools::Impl::Lease(const IdLeaseRequest& request) {
  TIDEMARK_RETURN_IF_ERROR(CheckRequest(request));
  const Moment moment{EpochNow(), store_.runtime().clock().WallMilliseconds()};
  IdLease lease;
  TIDEMARK_RETURN_IF_ERROR(Change([&](CommitContext& rows) -> Status {
    TIDEMARK_ASSIGN_OR_RETURN(lease, LeaseNow(rows, request, moment));
    return {};
  }));
  return lease;
}

// --- Reports and releases ---

/// The ids of an open lease below position `used` were used.
void IdPools::Impl::NoteUsed(Pool* pool, IdHolderRow* holder, uint64_t used, IdLeaseRow* lease) {
  const uint64_t more = used - std::min(used, lease->used);
  lease->used += more;
  pool->row.held -= more;
  pool->row.used += more;
  holder->held -= more;
  holder->used += more;
}

/// The lease is over: what was not used of it is free.
void IdPools::Impl::End(Pool* pool, IdHolderRow* holder, const IdLeaseRow& lease) {
  for (const IdRange& range : SliceIds(lease.ranges, lease.used, lease.count())) {
    pool->free.Add(range);
    pool->row.held -= range.size();
    holder->held -= range.size();
  }
  --pool->row.leases;
  --holder->leases;
}

/// The ids of a lease that was taken back, below position `used`, were used all the same: what
/// nobody else was given since is saved from being given, the rest was given twice.
void IdPools::Impl::NoteUsedOfVoid(Pool* pool,
                                   IdHolderRow* holder,
                                   uint64_t used,
                                   IdLeaseRow* lease) {
  if (used <= lease->used) return;
  uint64_t saved = 0;
  for (const IdRange& range : SliceIds(lease->ranges, lease->used, used)) {
    FreeIds conflicts;
    conflicts.Add(range);
    for (FreeIds* ids : {&pool->reclaimed, &pool->free}) {
      for (const IdRange& found : ids->Remove(range)) {
        saved += found.size();
        conflicts.Remove(found);
      }
    }
    for (const IdRange& conflict : conflicts.Take(range.size(), range.size())) {
      lease->conflicts.push_back(conflict);
    }
  }
  lease->used = used;
  pool->row.used += saved;
  holder->used += saved;
}

Status IdPools::Impl::CheckRoom(const Pool& pool, const std::vector<Reported>& released) const {
  auto pieces = static_cast<int64_t>(FreePieces());
  for (const Reported& lease : released) {
    if (!lease.row || lease.row->voided) continue;
    const uint64_t used = std::max(lease.word.used, lease.row->used);
    for (const IdRange& range : SliceIds(lease.row->ranges, used, lease.row->count())) {
      pieces += pool.free.GrowthBy(range);
    }
  }
  if (pieces <= static_cast<int64_t>(kIdFreeRangesMax)) return {};
  return {ErrorCode::kTooLarge,
          "the free ids would be in more than " + std::to_string(kIdFreeRangesMax) + " pieces"};
}

Result<std::vector<VoidLease>> IdPools::Impl::ReportNow(CommitContext& rows,
                                                        const IdReport& report) {
  TIDEMARK_ASSIGN_OR_RETURN(Pool* const pool, FindPool(report.pool));
  TIDEMARK_ASSIGN_OR_RETURN(IdHolderRow holder, ReadHolder(rows, report.pool, report.holder));
  std::vector<Reported> leases;
  for (const HeldLease& word : report.leases) {
    TIDEMARK_ASSIGN_OR_RETURN(auto row, ReadLease(rows, report.pool, report.holder, word.lease));
    if (row && word.used > row->count()) {
      return {ErrorCode::kInvalidArgument,
              "field \"used\" is more than lease " + std::to_string(word.lease) + " has ids"};
    }
    leases.push_back({word, std::move(row)});
  }
  if (report.release) TIDEMARK_RETURN_IF_ERROR(CheckRoom(*pool, leases));

  // From here on nothing fails.
  std::vector<VoidLease> voided;
  bool changed = false;
  for (Reported& lease : leases) {
    const uint64_t number = lease.word.lease;
    if (!lease.row) {
      voided.push_back({number, {}});
      continue;
    }
    IdLeaseRow& row = *lease.row;
    const uint64_t used_before = row.used;
    bool over = report.release;
    if (row.voided) {
      NoteUsedOfVoid(pool, &holder, lease.word.used, &row);
      voided.push_back({number, row.conflicts});
    } else {
      NoteUsed(pool, &holder, lease.word.used, &row);
      over = over || row.used == row.count();
      if (over) End(pool, &holder, row);
    }
    if (!over && row.used == used_before) continue;
    changed = true;
    if (over) {
      rows.DeleteRow(internal::IdLeaseKey(report.pool, report.holder, number));
    } else {
      SaveLease(rows, report.pool, report.holder, number, row);
    }
  }
  if (!changed) return voided;
  SaveHolder(rows, report.pool, report.holder, holder);
  SavePool(rows, report.pool, pool);
  return voided;
}

Result<std::vector<VoidLease>> IdPools::Impl::Report(const IdReport& report) {
  TIDEMARK_RETURN_IF_ERROR(CheckReport(report));
  std::vector<VoidLease> voided;
  TIDEMARK_RETURN_IF_ERROR(Change([&](CommitContext& rows) -> Status {
    TIDEMARK_ASSIGN_OR_RETURN(voided, ReportNow(rows, report));
    return {};
  }));
  return voided;
}

// --- Reclaiming ---

Result<uint64_t> IdPools::Impl::ReclaimNow(CommitContext& rows,
                                           const IdReclaim& reclaim,
                                           const std::vector<uint64_t>& leases,
                                           bool is_gone,
                                           int64_t now) {
  TIDEMARK_ASSIGN_OR_RETURN(Pool* const pool, FindPool(reclaim.pool));
  TIDEMARK_ASSIGN_OR_RETURN(IdHolderRow holder, ReadHolder(rows, reclaim.pool, reclaim.holder));
  std::vector<std::pair<uint64_t, IdLeaseRow>> open;
  auto pieces = static_cast<int64_t>(FreePieces());
  for (const uint64_t number : leases) {
    TIDEMARK_ASSIGN_OR_RETURN(auto row, ReadLease(rows, reclaim.pool, reclaim.holder, number));
    const bool expired = row && row->expires_at != 0 && row->expires_at <= now;
    if (!row || row->voided || !(is_gone || expired)) continue;
    for (const IdRange& range : SliceIds(row->ranges, row->used, row->count())) {
      pieces += pool->reclaimed.GrowthBy(range);
    }
    open.emplace_back(number, *std::move(row));
  }
  if (pieces > static_cast<int64_t>(kIdFreeRangesMax)) {
    return {ErrorCode::kTooLarge,
            "the free ids would be in more than " + std::to_string(kIdFreeRangesMax) + " pieces"};
  }

  uint64_t reclaimed = 0;
  for (auto& [number, row] : open) {
    for (const IdRange& range : SliceIds(row.ranges, row.used, row.count())) {
      pool->reclaimed.Add(range);
      reclaimed += range.size();
    }
    row.voided = true;
    --pool->row.leases;
    --holder.leases;
    SaveLease(rows, reclaim.pool, reclaim.holder, number, row);
  }
  pool->row.held -= reclaimed;
  holder.held -= reclaimed;
  SaveHolder(rows, reclaim.pool, reclaim.holder, holder);
  SavePool(rows, reclaim.pool, pool);
  return reclaimed;
}

Result<uint64_t> IdPools::Impl::Reclaim(const Source& source, const IdReclaim& reclaim) {
  TIDEMARK_RETURN_IF_ERROR(CheckHolder(reclaim.holder));
  const Result<DeviceInfo> device = source.GetDevice(reclaim.holder.device);
  if (!device.ok() && device.status().code() != ErrorCode::kNotFound) return device.status();
  const bool is_gone = !device.ok() || device->forgotten;
  const int64_t now = store_.runtime().clock().WallMilliseconds();
  uint64_t reclaimed = 0;
  uint64_t after = 0;
  bool found = false;
  bool in_use = false;
  while (true) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<IdLeaseInfo> infos,
                              ListLeases(reclaim.pool, reclaim.holder, after, kReclaimStep));
    if (infos.empty()) break;
    after = infos.back().number;
    std::vector<uint64_t> leases;
    for (const IdLeaseInfo& info : infos) {
      if (info.voided || (reclaim.lease && info.number != *reclaim.lease)) continue;
      found = true;
      const bool expired = info.expires_at && *info.expires_at <= now;
      in_use = in_use || !(is_gone || expired);
      leases.push_back(info.number);
    }
    uint64_t some = 0;
    TIDEMARK_RETURN_IF_ERROR(Change([&](CommitContext& rows) -> Status {
      TIDEMARK_ASSIGN_OR_RETURN(some, ReclaimNow(rows, reclaim, leases, is_gone, now));
      return {};
    }));
    reclaimed += some;
  }
  if (!found) return {ErrorCode::kNotFound, "this device and user hold no such lease"};
  if (in_use && reclaimed == 0) {
    return {ErrorCode::kConflict,
            "the device may still use its ids: forget it first, or wait until they expire"};
  }
  return reclaimed;
}

}  // namespace tidemark
