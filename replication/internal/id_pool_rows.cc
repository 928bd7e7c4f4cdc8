#include "replication/internal/id_pool_rows.h"

#include "format/coding.h"
#include "format/stored_row.h"
#include "replication/internal/id_ranges.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::string_view kRowName = "a row of an id pool";
constexpr std::string_view kHolderPrefix = "I/h";
constexpr std::string_view kLeasePrefix = "I/l";
constexpr size_t kPrefixBytes = 3;

std::string Begin() {
  return {static_cast<char>(kVersion)};
}

}  // namespace

// --- Keys ---

std::string IdPoolKey(std::string_view pool) {
  return std::string(kIdPoolPrefix) + std::string(pool);
}

std::string FreeIdsKey(std::string_view prefix, std::string_view pool, uint64_t from) {
  std::string key(prefix);
  AppendOrdered(&key, pool);
  AppendBigEndian64(&key, from);
  return key;
}

std::string IdHolderPrefix(std::string_view pool) {
  std::string key(kHolderPrefix);
  AppendOrdered(&key, pool);
  return key;
}

std::string IdHolderKey(std::string_view pool, const IdHolder& holder) {
  std::string key = IdHolderPrefix(pool);
  AppendOrdered(&key, holder.device);
  AppendOrdered(&key, holder.user);
  return key;
}

std::string IdLeasePrefix(std::string_view pool, const IdHolder& holder) {
  std::string key(kLeasePrefix);
  AppendOrdered(&key, pool);
  AppendOrdered(&key, holder.device);
  AppendOrdered(&key, holder.user);
  return key;
}

std::string IdLeaseKey(std::string_view pool, const IdHolder& holder, uint64_t lease) {
  std::string key = IdLeasePrefix(pool, holder);
  AppendBigEndian64(&key, lease);
  return key;
}

std::optional<FreeIdsKeyParts> ParseFreeIdsKey(std::string_view key) {
  if (key.size() < kPrefixBytes) return std::nullopt;
  ByteReader reader(key.substr(kPrefixBytes));
  FreeIdsKeyParts parts;
  parts.pool = reader.Ordered();
  parts.from = reader.BigEndian64();
  if (!reader.Finished()) return std::nullopt;
  return parts;
}

std::optional<IdHolder> ParseIdHolderKey(std::string_view key) {
  if (key.size() < kPrefixBytes) return std::nullopt;
  ByteReader reader(key.substr(kPrefixBytes));
  reader.Ordered();  // the pool
  IdHolder holder;
  holder.device = reader.Ordered();
  holder.user = reader.Ordered();
  if (!reader.Finished()) return std::nullopt;
  return holder;
}

// --- Values ---

std::string EncodeIdPool(const IdPoolRow& row) {
  std::string out = Begin();
  AppendVarint(&out, row.definition.range.from);
  AppendVarint(&out, row.definition.range.to);
  AppendVarint(&out, row.definition.digits);
  AppendVarint(&out, row.definition.block_max);
  AppendVarint(&out, row.definition.expires_after_s);
  AppendVarint(&out, row.definition.per_day);
  AppendVarint(&out, row.definition.per_holder);
  AppendVarint(&out, row.definition.low_mark.value_or(0));
  AppendBytes(&out, row.epoch);
  AppendVarint(&out, row.next_lease);
  AppendVarint(&out, row.held);
  AppendVarint(&out, row.used);
  AppendVarint(&out, row.lost);
  AppendVarint(&out, row.leases);
  return out;
}

Result<IdPoolRow> DecodeIdPool(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kRowName).status());
  IdPoolRow row;
  row.definition.range.from = reader.Varint();
  row.definition.range.to = reader.Varint();
  row.definition.digits = static_cast<uint32_t>(reader.Varint());
  row.definition.block_max = reader.Varint();
  row.definition.expires_after_s = reader.Varint();
  row.definition.per_day = reader.Varint();
  row.definition.per_holder = reader.Varint();
  row.definition.low_mark = reader.Varint();
  row.epoch = reader.Bytes();
  row.next_lease = reader.Varint();
  row.held = reader.Varint();
  row.used = reader.Varint();
  row.lost = reader.Varint();
  row.leases = reader.Varint();
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kRowName));
  return row;
}

std::string EncodeIdHolder(const IdHolderRow& row) {
  std::string out = Begin();
  AppendVarint(&out, row.leases);
  AppendVarint(&out, row.held);
  AppendVarint(&out, row.used);
  AppendVarint(&out, row.day);
  AppendVarint(&out, row.leased_on_day);
  AppendVarint(&out, row.requests.size());
  for (const IdHolderRow::Request& request : row.requests) {
    AppendBytes(&out, request.id);
    AppendVarint(&out, request.lease);
  }
  return out;
}

Result<IdHolderRow> DecodeIdHolder(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kRowName).status());
  IdHolderRow row;
  row.leases = reader.Varint();
  row.held = reader.Varint();
  row.used = reader.Varint();
  row.day = reader.Varint();
  row.leased_on_day = reader.Varint();
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    IdHolderRow::Request request;
    request.id = reader.Bytes();
    request.lease = reader.Varint();
    row.requests.push_back(std::move(request));
  }
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kRowName));
  return row;
}

std::string EncodeIdLease(const IdLeaseRow& row) {
  std::string out = Begin();
  AppendVarint(&out, row.voided ? 1 : 0);
  AppendVarint(&out, row.used);
  AppendVarint(&out, static_cast<uint64_t>(row.leased_at));
  AppendVarint(&out, static_cast<uint64_t>(row.expires_at));
  AppendIdRanges(&out, row.ranges);
  AppendIdRanges(&out, row.conflicts);
  return out;
}

Result<IdLeaseRow> DecodeIdLease(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kRowName).status());
  IdLeaseRow row;
  row.voided = reader.Varint() != 0;
  row.used = reader.Varint();
  row.leased_at = static_cast<int64_t>(reader.Varint());
  row.expires_at = static_cast<int64_t>(reader.Varint());
  row.ranges = ReadIdRanges(&reader);
  row.conflicts = ReadIdRanges(&reader);
  if (!reader.Finished() || row.used > row.count()) return DamagedRow(kRowName);
  return row;
}

}  // namespace tidemark::internal
