#include "replication/internal/leased_id_rows.h"

#include "format/coding.h"
#include "format/stored_row.h"
#include "replication/internal/id_ranges.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::string_view kRowName = "a row of leased ids";

std::string Key(std::string_view prefix, const IdHolder& holder) {
  std::string key(prefix);
  AppendOrdered(&key, holder.device);
  AppendOrdered(&key, holder.user);
  return key;
}

std::string Key(std::string_view prefix, const IdHolder& holder, std::string_view pool) {
  std::string key = Key(prefix, holder);
  AppendOrdered(&key, pool);
  return key;
}

}  // namespace

std::string LeasedPoolPrefix(const IdHolder& holder) {
  return Key("i/p", holder);
}

std::string LeasedPoolKey(const IdHolder& holder, std::string_view pool) {
  return LeasedPoolPrefix(holder) + std::string(pool);
}

std::string LeasedBlockPrefix(const IdHolder& holder, std::string_view pool) {
  return Key("i/l", holder, pool);
}

std::string LeasedBlockKey(const IdHolder& holder, std::string_view pool, uint64_t lease) {
  std::string key = LeasedBlockPrefix(holder, pool);
  AppendBigEndian64(&key, lease);
  return key;
}

std::string TakenIdPrefix(const IdHolder& holder, std::string_view pool, uint64_t lease) {
  std::string key = Key("i/t", holder, pool);
  AppendBigEndian64(&key, lease);
  return key;
}

std::string TakenIdKey(const IdHolder& holder,
                       std::string_view pool,
                       uint64_t lease,
                       uint32_t index) {
  std::string key = TakenIdPrefix(holder, pool, lease);
  AppendBigEndian32(&key, index);
  return key;
}

std::string EncodeLeasedPool(const LeasedPoolRow& row) {
  std::string out(1, static_cast<char>(kVersion));
  AppendBytes(&out, row.epoch);
  AppendVarint(&out, row.newest_lease);
  AppendBytes(&out, row.request_id);
  AppendVarint(&out, row.request_count);
  AppendVarint(&out, row.pool_free);
  AppendVarint(&out, row.pool_low ? 1 : 0);
  return out;
}

Result<LeasedPoolRow> DecodeLeasedPool(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kRowName).status());
  LeasedPoolRow row;
  row.epoch = reader.Bytes();
  row.newest_lease = reader.Varint();
  row.request_id = reader.Bytes();
  row.request_count = reader.Varint();
  row.pool_free = reader.Varint();
  row.pool_low = reader.Varint() != 0;
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kRowName));
  return row;
}

std::string EncodeLeasedBlock(const LeasedBlockRow& row) {
  std::string out(1, static_cast<char>(kVersion));
  AppendIdRanges(&out, row.ranges);
  AppendVarint(&out, row.digits);
  AppendVarint(&out, row.base);
  AppendVarint(&out, row.giving_back ? 1 : 0);
  return out;
}

Result<LeasedBlockRow> DecodeLeasedBlock(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kVersion, kRowName).status());
  LeasedBlockRow row;
  row.ranges = ReadIdRanges(&reader);
  row.digits = static_cast<uint32_t>(reader.Varint());
  row.base = static_cast<uint32_t>(reader.Varint());
  row.giving_back = reader.Varint() != 0;
  if (!reader.Finished() || row.base > CountIds(row.ranges)) return DamagedRow(kRowName);
  return row;
}

}  // namespace tidemark::internal
