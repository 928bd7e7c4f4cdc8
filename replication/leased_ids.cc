#include "replication/leased_ids.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "format/coding.h"
#include "replication/internal/leased_id_rows.h"

namespace tidemark {
namespace {

using internal::LeasedBlockRow;
using internal::LeasedPoolRow;

constexpr size_t kRequestIdBytes = 16;

/// A lease, and how far it was used up.
struct Block {
  LeasedBlockRow row;
  uint32_t count = 0;
  uint32_t next = 0;            // ids from here on were never taken
  std::set<uint32_t> put_back;  // before `next`, and certainly not used
  bool voided = false;          // by the source's word of just now
  bool open() const { return !row.giving_back && !voided; }
  uint64_t left() const { return open() ? count - next + put_back.size() : 0; }
};

struct Pool {
  LeasedPoolRow row;
  std::map<uint64_t, Block> blocks;  // by number: the oldest is used up first
  Status refilled;

  uint64_t left() const {
    uint64_t left = 0;
    for (const auto& [number, block] : blocks) left += block.left();
    return left;
  }
};

Status NothingLeft(std::string_view pool) {
  return {ErrorCode::kIdsExhausted, "this device has no id of \"" + std::string(pool) + "\" left"};
}

bool Overlap(const std::vector<IdRange>& some, const std::vector<IdRange>& others) {
  for (const IdRange& one : some) {
    for (const IdRange& other : others) {
      if (one.from < other.to && other.from < one.to) return true;
    }
  }
  return false;
}

}  // namespace

class LeasedIds::Impl {
 public:
  Impl(Store& store, LeasedIdsOptions options) : store_(store), options_(std::move(options)) {}

  Status Load();
  Result<LeasedId> Take(std::string_view pool, WriteBatch* batch);
  Status PutBack(std::string_view pool, const LeasedId& taken);
  Result<IdRefill> Refill(std::string_view pool, IdTransport& transport);
  Status GiveBack(std::string_view pool, IdTransport& transport);
  IdStock Find(std::string_view pool) const;
  std::vector<IdStock> List() const;

 private:
  using Pools = std::map<std::string, Pool, std::less<>>;

  Status LoadBlocks(const std::string& name, Pool* pool);
  Result<std::set<uint32_t>> ReadTaken(const std::string& name, uint64_t lease) const;
  void Abandon(const std::string& name, Pool* pool, WriteBatch* rows) const;
  IdStock StockOf(const std::string& name, const Pool& pool) const;
  void SaveBlock(const std::string& name,
                 uint64_t lease,
                 const LeasedBlockRow& row,
                 WriteBatch* rows) const;
  Status Forget(const std::string& name, uint64_t lease);

  // Parts of a refill; under `refill_mutex_`, and under `mutex_` where memory is touched.
  Status Compact(const std::string& name);
  Result<std::vector<VoidLease>> Settle(const std::string& name, IdTransport& transport);
  Result<std::vector<VoidLease>> Tell(const std::string& name,
                                      IdTransport& transport,
                                      bool release);
  Result<uint64_t> LeaseMore(const std::string& name, IdTransport& transport);
  Status NoteRequest(const std::string& name);
  Status Install(const std::string& name, const IdLease& lease);

  Store& store_;
  const LeasedIdsOptions options_;
  std::mutex refill_mutex_;   // one talk with the source at a time; before `mutex_`
  mutable std::mutex mutex_;  // what follows; no commit under it but those of a refill
  Pools pools_;
};

// --- Opening ---

Status LeasedIds::Impl::Load() {
  const std::string epoch = store_.identity().epochs.back().id;
  const std::string prefix = internal::LeasedPoolPrefix(options_.holder);
  Status damaged;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(prefix, [&](std::string_view key, std::string_view value) {
        Result<LeasedPoolRow> row = internal::DecodeLeasedPool(value);
        damaged = row.status();
        if (!damaged.ok()) return false;
        pools_[std::string(key.substr(prefix.size()))].row = *std::move(row);
        return true;
      }));
  TIDEMARK_RETURN_IF_ERROR(damaged);
  WriteBatch rows;
  for (auto& [name, pool] : pools_) {
    TIDEMARK_RETURN_IF_ERROR(LoadBlocks(name, &pool));
    if (pool.row.epoch == epoch) continue;
    pool.row.epoch = epoch;
    Abandon(name, &pool, &rows);
  }
  return rows.empty() ? Status() : store_.Commit(rows).status();
}

Status LeasedIds::Impl::LoadBlocks(const std::string& name, Pool* pool) {
  const std::string prefix = internal::LeasedBlockPrefix(options_.holder, name);
  Status damaged;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(prefix, [&](std::string_view key, std::string_view value) {
        Result<LeasedBlockRow> row = internal::DecodeLeasedBlock(value);
        damaged = row.status();
        if (!damaged.ok()) return false;
        Block block;
        block.row = *std::move(row);
        block.count = static_cast<uint32_t>(CountIds(block.row.ranges));
        block.next = block.row.base;
        pool->blocks.emplace(LoadBigEndian64(key.data() + prefix.size()), std::move(block));
        return true;
      }));
  TIDEMARK_RETURN_IF_ERROR(damaged);
  for (auto& [lease, block] : pool->blocks) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::set<uint32_t> taken, ReadTaken(name, lease));
    if (!taken.empty()) block.next = std::max(block.next, *taken.rbegin() + 1);
    // No batch of an earlier process can be committed any more.
    for (uint32_t index = block.row.base; index < block.next; ++index) {
      if (!taken.contains(index)) block.put_back.insert(index);
    }
  }
  return {};
}

/// Positions that rows say are taken.
Result<std::set<uint32_t>> LeasedIds::Impl::ReadTaken(const std::string& name,
                                                      uint64_t lease) const {
  const std::string prefix = internal::TakenIdPrefix(options_.holder, name, lease);
  std::set<uint32_t> taken;
  TIDEMARK_RETURN_IF_ERROR(store_.ScanRows(prefix, [&](std::string_view key, std::string_view) {
    taken.insert(LoadBigEndian32(key.data() + prefix.size()));
    return true;
  }));
  return taken;
}

/// Treats every id as used, and asks nothing again: what this store did after the instant that it
/// was set back to is unknown.
void LeasedIds::Impl::Abandon(const std::string& name, Pool* pool, WriteBatch* rows) const {
  pool->row.request_id.clear();
  for (auto& [lease, block] : pool->blocks) {
    block.row.base = block.next = block.count;
    block.put_back.clear();
    SaveBlock(name, lease, block.row, rows);
  }
  rows->SetRow(internal::LeasedPoolKey(options_.holder, name),
               internal::EncodeLeasedPool(pool->row));
}

void LeasedIds::Impl::SaveBlock(const std::string& name,
                                uint64_t lease,
                                const LeasedBlockRow& row,
                                WriteBatch* rows) const {
  rows->SetRow(internal::LeasedBlockKey(options_.holder, name, lease),
               internal::EncodeLeasedBlock(row));
}

// --- Taking ---

Result<LeasedId> LeasedIds::Impl::Take(std::string_view pool_name, WriteBatch* batch) {
  const std::lock_guard lock(mutex_);
  const auto pool = pools_.find(pool_name);
  if (pool == pools_.end()) return NothingLeft(pool_name);
  auto& blocks = pool->second.blocks;
  const auto found = std::find_if(
      blocks.begin(), blocks.end(), [](const auto& block) { return block.second.left() > 0; });
  if (found == blocks.end()) return NothingLeft(pool_name);
  auto& [lease, block] = *found;
  LeasedId taken;
  if (block.put_back.empty()) {
    taken.index = block.next++;
  } else {
    taken.index = *block.put_back.begin();
    block.put_back.erase(block.put_back.begin());
  }
  taken.lease = lease;
  taken.id = FormatLeasedId(IdAt(block.row.ranges, taken.index), block.row.digits);
  taken.left = pool->second.left();
  taken.low = taken.left < options_.low_mark;
  batch->SetRow(internal::TakenIdKey(options_.holder, pool_name, lease, taken.index), "");
  return taken;
}

Status LeasedIds::Impl::PutBack(std::string_view pool_name, const LeasedId& taken) {
  // Before the block is looked at: a refill may be about to forget it.
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto used,
      store_.GetRow(internal::TakenIdKey(options_.holder, pool_name, taken.lease, taken.index)));
  const std::lock_guard lock(mutex_);
  const auto pool = pools_.find(pool_name);
  if (pool == pools_.end()) return {};
  const auto block = pool->second.blocks.find(taken.lease);
  if (block == pool->second.blocks.end()) return {};
  if (used.has_value() || taken.index < block->second.row.base) {
    return {ErrorCode::kConflict, "id " + taken.id.text() + " is used: its batch was committed"};
  }
  if (taken.index >= block->second.next) {
    return {ErrorCode::kInvalidArgument, "id " + taken.id.text() + " was not taken"};
  }
  block->second.put_back.insert(taken.index);
  return {};
}

// --- Refilling ---

/// Moves the rows of ids that were used without a gap into one number.
Status LeasedIds::Impl::Compact(const std::string& name) {
  std::vector<uint64_t> leases;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [lease, block] : pools_[name].blocks) leases.push_back(lease);
  }
  WriteBatch rows;
  std::map<uint64_t, uint32_t> bases;
  for (const uint64_t lease : leases) {
    TIDEMARK_ASSIGN_OR_RETURN(const std::set<uint32_t> taken, ReadTaken(name, lease));
    const std::lock_guard lock(mutex_);
    LeasedBlockRow row = pools_[name].blocks.at(lease).row;
    for (const uint32_t index : taken) {
      if (index > row.base) break;
      row.base = std::max(row.base, index + 1);
      rows.DeleteRow(internal::TakenIdKey(options_.holder, name, lease, index));
    }
    if (row.base == pools_[name].blocks.at(lease).row.base) continue;
    bases[lease] = row.base;
    SaveBlock(name, lease, row, &rows);
  }
  if (rows.empty()) return {};
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(rows, {.sync = false}).status());
  const std::lock_guard lock(mutex_);
  for (const auto& [lease, base] : bases) pools_[name].blocks.at(lease).row.base = base;
  return {};
}

/// Drops a block that is over. Rows that batches under way may still add to it are left behind;
/// no lease has its number again.
Status LeasedIds::Impl::Forget(const std::string& name, uint64_t lease) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::set<uint32_t> taken, ReadTaken(name, lease));
  WriteBatch rows;
  rows.DeleteRow(internal::LeasedBlockKey(options_.holder, name, lease));
  for (const uint32_t index : taken) {
    rows.DeleteRow(internal::TakenIdKey(options_.holder, name, lease, index));
  }
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(rows).status());
  const std::lock_guard lock(mutex_);
  pools_[name].blocks.erase(lease);
  return {};
}

/// Tells the source of blocks that are held, or of those that go back. Blocks that are over by
/// that are forgotten; what was put back of them is lost. Void ones stay: ids may have been taken
/// of them meanwhile.
Result<std::vector<VoidLease>> LeasedIds::Impl::Tell(const std::string& name,
                                                     IdTransport& transport,
                                                     bool release) {
  IdReport report{.pool = name, .holder = options_.holder, .leases = {}, .release = release};
  std::vector<uint64_t> over;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [lease, block] : pools_[name].blocks) {
      if (block.row.giving_back != release) continue;
      report.leases.push_back({lease, block.next});
      if (release || block.next == block.count) over.push_back(lease);
    }
  }
  if (report.leases.empty()) return std::vector<VoidLease>();
  TIDEMARK_ASSIGN_OR_RETURN(std::vector<VoidLease> voided, transport.ReportIds(report));
  // What is over on both sides is no news.
  std::erase_if(voided, [&](const VoidLease& lease) {
    return lease.conflicts.empty() &&
           std::find(over.begin(), over.end(), lease.lease) != over.end();
  });
  if (!release) {
    for (const VoidLease& lease : voided) std::erase(over, lease.lease);
  }
  {
    const std::lock_guard lock(mutex_);
    for (const VoidLease& lease : voided) {
      const auto block = pools_[name].blocks.find(lease.lease);
      if (block != pools_[name].blocks.end()) block->second.voided = true;
    }
  }
  for (const uint64_t lease : over) TIDEMARK_RETURN_IF_ERROR(Forget(name, lease));
  return voided;
}

/// Makes the source and this device agree about the blocks that there are.
Result<std::vector<VoidLease>> LeasedIds::Impl::Settle(const std::string& name,
                                                       IdTransport& transport) {
  TIDEMARK_ASSIGN_OR_RETURN(std::vector<VoidLease> voided, Tell(name, transport, /*release=*/true));
  TIDEMARK_RETURN_IF_ERROR(Tell(name, transport, /*release=*/false).status());
  // Nothing is taken of void blocks any more, so what is told of them now is the last word. They
  // are given back: the source need not remember them either.
  IdReport last{.pool = name, .holder = options_.holder, .leases = {}, .release = true};
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [lease, block] : pools_[name].blocks) {
      if (block.voided) last.leases.push_back({lease, block.next});
    }
  }
  if (last.leases.empty()) return voided;
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<VoidLease> told, transport.ReportIds(last));
  for (const HeldLease& lease : last.leases) {
    TIDEMARK_RETURN_IF_ERROR(Forget(name, lease.lease));
  }
  voided.insert(voided.end(), told.begin(), told.end());
  return voided;
}

/// Writes down what is about to be asked, so that it is asked again until it is answered.
Status LeasedIds::Impl::NoteRequest(const std::string& name) {
  LeasedPoolRow row;
  {
    const std::lock_guard lock(mutex_);
    row = pools_[name].row;
    if (!row.request_id.empty()) return {};
    row.request_count = std::clamp<uint64_t>(
        options_.fill_to - std::min(options_.fill_to, pools_[name].left()), 1, kIdLeaseMax);
  }
  std::array<uint8_t, kRequestIdBytes> bytes{};
  store_.runtime().random().Fill(bytes);
  row.request_id = Base64UrlEncode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  row.epoch = store_.identity().epochs.back().id;
  WriteBatch rows;
  rows.SetRow(internal::LeasedPoolKey(options_.holder, name), internal::EncodeLeasedPool(row));
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(rows).status());
  const std::lock_guard lock(mutex_);
  pools_[name].row = row;
  return {};
}

Status LeasedIds::Impl::Install(const std::string& name, const IdLease& lease) {
  LeasedPoolRow row;
  {
    const std::lock_guard lock(mutex_);
    row = pools_[name].row;
    bool wrong = lease.number <= row.newest_lease || lease.ranges.empty() ||
                 lease.count() > kIdLeaseMax || lease.digits > 64;
    for (const auto& [number, block] : pools_[name].blocks) {
      wrong = wrong || Overlap(block.row.ranges, lease.ranges);
    }
    if (wrong) {
      return {ErrorCode::kConflict,
              "the source answered lease " + std::to_string(lease.number) +
                  ", which contradicts those that it gave before"};
    }
  }
  row.newest_lease = lease.number;
  row.request_id.clear();
  row.pool_free = lease.free;
  row.pool_low = lease.low;
  Block block;
  block.row.ranges = lease.ranges;
  block.row.digits = lease.digits;
  block.count = static_cast<uint32_t>(lease.count());
  WriteBatch rows;
  rows.SetRow(internal::LeasedPoolKey(options_.holder, name), internal::EncodeLeasedPool(row));
  SaveBlock(name, lease.number, block.row, &rows);
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(rows).status());
  const std::lock_guard lock(mutex_);
  pools_[name].row = row;
  pools_[name].blocks.emplace(lease.number, std::move(block));
  return {};
}

Result<uint64_t> LeasedIds::Impl::LeaseMore(const std::string& name, IdTransport& transport) {
  constexpr int kAttempts = 2;  // the second under a new request id
  for (int attempt = 1;; ++attempt) {
    IdLeaseRequest request{.pool = name, .holder = options_.holder};
    TIDEMARK_RETURN_IF_ERROR(NoteRequest(name));
    {
      const std::lock_guard lock(mutex_);
      if (pools_[name].blocks.size() >= kLeasesHeldMax) {
        return {ErrorCode::kTooLarge,
                "this device holds " + std::to_string(kLeasesHeldMax) + " leases of a pool"};
      }
      request.count = pools_[name].row.request_count;
      request.request_id = pools_[name].row.request_id;
    }
    const Result<IdLease> lease = transport.LeaseIds(request);
    if (lease.status().code() == ErrorCode::kLeaseVoid && attempt < kAttempts) {
      // What was leased for this request, if it ever arrived, is over.
      const std::lock_guard lock(mutex_);
      pools_[name].row.request_id.clear();
      continue;
    }
    TIDEMARK_RETURN_IF_ERROR(lease.status());
    TIDEMARK_RETURN_IF_ERROR(Install(name, *lease));
    return lease->count();
  }
}

Result<IdRefill> LeasedIds::Impl::Refill(std::string_view pool_name, IdTransport& transport) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(pool_name));
  const std::string name(pool_name);
  const std::lock_guard refill_lock(refill_mutex_);
  const auto refill = [&]() -> Result<IdRefill> {
    IdRefill result;
    TIDEMARK_RETURN_IF_ERROR(Compact(name));
    TIDEMARK_ASSIGN_OR_RETURN(result.voided, Settle(name, transport));
    bool wanted = false;
    {
      const std::lock_guard lock(mutex_);
      const Pool& pool = pools_[name];
      wanted = pool.left() < options_.low_mark || !pool.row.request_id.empty();
    }
    if (!wanted) return result;
    TIDEMARK_ASSIGN_OR_RETURN(result.leased, LeaseMore(name, transport));
    return result;
  };
  Result<IdRefill> result = refill();
  const std::lock_guard lock(mutex_);
  pools_[name].refilled = result.status();
  if (result.ok()) result->stock = StockOf(name, pools_[name]);
  return result;
}

Status LeasedIds::Impl::GiveBack(std::string_view pool_name, IdTransport& transport) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(pool_name));
  const std::string name(pool_name);
  const std::lock_guard refill_lock(refill_mutex_);
  WriteBatch rows;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [lease, block] : pools_[name].blocks) {
      block.row.giving_back = true;  // from now on; durable before the source is told
      SaveBlock(name, lease, block.row, &rows);
    }
  }
  if (rows.empty()) return {};
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(rows).status());
  return Tell(name, transport, /*release=*/true).status();
}

// --- Looking ---

IdStock LeasedIds::Impl::StockOf(const std::string& name, const Pool& pool) const {
  IdStock stock;
  stock.pool = name;
  stock.left = pool.left();
  stock.low = stock.left < options_.low_mark;
  stock.leases = pool.blocks.size();
  stock.pool_free = pool.row.pool_free;
  stock.pool_low = pool.row.pool_low;
  stock.refilled = pool.refilled;
  return stock;
}

IdStock LeasedIds::Impl::Find(std::string_view pool_name) const {
  const std::lock_guard lock(mutex_);
  const auto pool = pools_.find(pool_name);
  return StockOf(std::string(pool_name), pool == pools_.end() ? Pool() : pool->second);
}

std::vector<IdStock> LeasedIds::Impl::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<IdStock> stocks;
  for (const auto& [name, pool] : pools_) stocks.push_back(StockOf(name, pool));
  return stocks;
}

// --- The public face ---

LeasedIds::LeasedIds(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LeasedIds::~LeasedIds() = default;

Result<std::unique_ptr<LeasedIds>> LeasedIds::Open(Store& store, LeasedIdsOptions options) {
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(options.holder.device));
  auto impl = std::make_unique<Impl>(store, std::move(options));
  TIDEMARK_RETURN_IF_ERROR(impl->Load());
  return std::unique_ptr<LeasedIds>(new LeasedIds(std::move(impl)));
}

Result<LeasedId> LeasedIds::Take(std::string_view pool, WriteBatch* batch) {
  return impl_->Take(pool, batch);
}
Status LeasedIds::PutBack(std::string_view pool, const LeasedId& taken) {
  return impl_->PutBack(pool, taken);
}
Result<IdRefill> LeasedIds::Refill(std::string_view pool, IdTransport& transport) {
  return impl_->Refill(pool, transport);
}
Status LeasedIds::GiveBack(std::string_view pool, IdTransport& transport) {
  return impl_->GiveBack(pool, transport);
}
IdStock LeasedIds::Find(std::string_view pool) const {
  return impl_->Find(pool);
}
std::vector<IdStock> LeasedIds::List() const {
  return impl_->List();
}

}  // namespace tidemark
