#include "db/internal/store_state.h"

#include <algorithm>

#include "db/internal/rocks_status.h"
#include "db/internal/runtime_impl.h"
#include "format/coding.h"
#include "format/segment_row.h"
#include "format/stored_row.h"

namespace tidemark::internal {
namespace {

Result<BatchRow> FindRow(std::string_view segment, SequenceNumber head) {
  TIDEMARK_ASSIGN_OR_RETURN(const SegmentRows rows, SegmentRows::Open(segment));
  return rows.Find(head);
}

constexpr uint8_t kHeadRowVersion = 1;
constexpr uint8_t kIdentityRowVersion = 1;
constexpr std::string_view kHeadRowName = "the head row";
constexpr std::string_view kIdentityRowName = "the identity row";
constexpr size_t kEpochsMax = 100'000;

}  // namespace

namespace row_key {

std::string Entity(EntityNumber entity) {
  std::string key(1, kEntityPrefix);
  AppendBigEndian32(&key, entity);
  return key;
}

std::string Operation(std::string_view id) {
  std::string key(1, 'o');
  key.append(id);
  return key;
}

std::string OperationOrder(uint64_t ordinal) {
  std::string key(1, kOrderPrefix);
  AppendBigEndian64(&key, ordinal);
  return key;
}

std::string Position(SequenceNumber sequence) {
  std::string key = "p";
  AppendBigEndian64(&key, sequence.value());
  return key;
}

std::string WriterTime(EntityNumber entity, std::string_view id) {
  std::string key(1, 't');
  AppendBigEndian32(&key, entity);
  key.append(id);
  return key;
}

std::string Upper(std::string_view key) {
  std::string full(1, kUpperPrefix);
  full.append(key);
  return full;
}

}  // namespace row_key

void FollowerClock::Note(int64_t wall_ms, SequenceNumber sequence) {
  constexpr size_t kInstantsMax = 128;
  if (!instants_.empty() && instants_.back().sequence == sequence) return;
  instants_.push_back({wall_ms, sequence});
  if (instants_.size() <= kInstantsMax) return;
  // Every second one of the older half goes: what is long ago needs less precision.
  std::vector<Instant> thinned;
  for (size_t i = 0; i < instants_.size(); ++i) {
    if (i >= kInstantsMax / 2 || i % 2 == 0) thinned.push_back(instants_[i]);
  }
  instants_ = std::move(thinned);
}

SequenceNumber FollowerClock::Horizon(int64_t wall_ms, int64_t retention_ms) const {
  SequenceNumber horizon;
  for (const Instant& instant : instants_) {
    if (instant.wall_ms <= wall_ms - retention_ms) horizon = std::max(horizon, instant.sequence);
  }
  return horizon;
}

std::string EncodeHead(const HeadRow& head) {
  std::string out(1, static_cast<char>(kHeadRowVersion));
  AppendVarint(&out, head.commit);
  AppendVarint(&out, head.sequence.value());
  AppendVarint(&out, head.exposed.value());
  AppendHash(&out, head.chain);
  AppendVarint(&out, head.operations);
  AppendVarint(&out, head.operations_first);
  return out;
}

Result<HeadRow> DecodeHead(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kHeadRowVersion, kHeadRowName).status());
  HeadRow head;
  head.commit = reader.Varint();
  head.sequence = reader.Sequence();
  head.exposed = reader.Sequence();
  head.chain = reader.Hash();
  head.operations = reader.Varint();
  head.operations_first = reader.Varint();
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kHeadRowName));
  return head;
}

std::string EncodeIdentity(const StoreIdentity& identity) {
  std::string out(1, static_cast<char>(kIdentityRowVersion));
  AppendVarint(&out, kStorageFormat);
  AppendBytes(&out, identity.id);
  AppendBytes(&out,
              {reinterpret_cast<const char*>(identity.secret.data()), identity.secret.size()});
  AppendVarint(&out, identity.epochs.size());
  for (const Epoch& epoch : identity.epochs) {
    AppendBytes(&out, epoch.id);
    AppendVarint(&out, epoch.ordinal);
    AppendVarint(&out, epoch.branch.value());
  }
  return out;
}

Result<StoreIdentity> DecodeIdentity(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kIdentityRowVersion, kIdentityRowName).status());
  if (const uint64_t format = reader.Varint(); format > kStorageFormat) {
    return {ErrorCode::kNewerFormat,
            "the store has format " + std::to_string(format) + ", this program reads up to " +
                std::to_string(kStorageFormat)};
  }
  StoreIdentity identity;
  identity.id = reader.Bytes();
  const std::string_view secret = reader.Bytes();
  const uint64_t epochs = reader.Varint();
  if (!reader.ok() || secret.size() != identity.secret.size() || epochs == 0 ||
      epochs > kEpochsMax) {
    return DamagedRow(kIdentityRowName);
  }
  std::copy(secret.begin(), secret.end(), identity.secret.begin());
  for (uint64_t i = 0; i < epochs && reader.ok(); ++i) {
    Epoch epoch;
    epoch.id = reader.Bytes();
    epoch.ordinal = reader.Varint();
    epoch.branch = reader.Sequence();
    identity.epochs.push_back(std::move(epoch));
  }
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kIdentityRowName));
  return identity;
}

Status CheckNoReplica(const StoreState& state) {
  if (!state.is_replica) return {};
  return {ErrorCode::kReadOnly,
          "this store is a replica: write at its source, then pull; what is written here would "
          "never reach the source, and the next reset would drop it"};
}

Result<std::optional<std::string>> ReadRow(const StoreState& state, std::string_view key) {
  std::string value;
  const rocksdb::Status read = state.db->Get(
      rocksdb::ReadOptions(), state.rows.get(), rocksdb::Slice(key.data(), key.size()), &value);
  if (read.IsNotFound()) return std::optional<std::string>{};
  if (!read.ok()) return FromRocks(read, "reading a row");
  return std::optional<std::string>(std::move(value));
}

Result<EntityState> MakeEntity(StoreState& state,
                               EntityNumber number,
                               std::string_view name,
                               const EntityDeclaration& declaration) {
  EntityState entity;
  entity.number = number;
  entity.name = name;
  entity.declaration = declaration;
  entity.filter = std::make_shared<SegmentFilterFactory>();
  state.part_filter->Add(number, entity.filter);
  // Both at once: RocksDB writes the options of all families after each call.
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const rocksdb::Status made = state.db->CreateColumnFamilies(
      {{LogFamilyName(number), MakeLogOptions(*state.runtime, entity.filter)},
       {IndexFamilyName(number, entity.generation),
        MakeIndexOptions(*state.runtime, std::make_shared<IndexFilterFactory>(entity.filter))}},
      &handles);
  std::vector<Family> families;
  families.reserve(handles.size());
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    families.push_back(WrapFamily(state.db.get(), handle));
  }
  if (!made.ok()) return FromRocks(made, "making the column families of " + entity.name);
  entity.log = families[0];
  entity.index = families[1];
  return entity;
}

IndexEntry Validated(const StoreState& state, EntityNumber entity, IndexEntry entry) {
  const bool valid =
      entry.state == IndexState::kLive
          ? state.liveness.IsLive(entity, entry.head)
          : entry.state == IndexState::kTombstone && state.liveness.IsTombstone(entity, entry.head);
  if (valid) return entry;
  IndexEntry absent;
  absent.head = entry.head;
  absent.birth = entry.head;
  return absent;
}

std::unique_ptr<rocksdb::Iterator> SeekSegment(const StoreState& state,
                                               const EntityState& entity,
                                               SequenceNumber head) {
  std::string key;
  AppendBigEndian64(&key, head.value());
  std::unique_ptr<rocksdb::Iterator> segments(
      state.db->NewIterator(rocksdb::ReadOptions(), entity.log.get()));
  segments->SeekForPrev(key);
  return segments;
}

Result<std::vector<OpenStay>> StaysOf(const StoreState& state,
                                      const EntityState& entity,
                                      const IndexEntry& entry,
                                      std::string_view id) {
  std::vector<OpenStay> stays = entry.stays();
  if (!LacksStays(entity.keys, entry.head)) return stays;
  TIDEMARK_ASSIGN_OR_RETURN(const Record record, ReadRecord(state, entity, entry, id));
  AddUnsaidStays(
      state.identity.secret, entity.keys, entry.head, record.value_kind, record.value, &stays);
  return stays;
}

Result<Record> ReadRecord(const StoreState& state,
                          const EntityState& entity,
                          const IndexEntry& entry,
                          std::string_view id) {
  std::string key;
  AppendBigEndian64(&key, entry.segment().value());
  const auto where = [&] {
    return entity.name + " " + std::string(id) + " at sequence " +
           std::to_string(entry.head.value());
  };
  rocksdb::PinnableSlice bytes;
  rocksdb::Status read = state.db->Get(rocksdb::ReadOptions(), entity.log.get(), key, &bytes);
  Result<BatchRow> found = Status(ErrorCode::kCorruption, "its log segment is missing");
  if (read.ok()) found = FindRow({bytes.data(), bytes.size()}, entry.head);
  std::unique_ptr<rocksdb::Iterator> segments;  // owns the row, once it is used
  if (!found.ok() && (read.ok() || read.IsNotFound())) {
    segments = SeekSegment(state, entity, entry.head);
    read = segments->status();
    if (segments->Valid()) {
      found = FindRow({segments->value().data(), segments->value().size()}, entry.head);
    }
  }
  if (!read.ok()) return FromRocks(read, "reading " + where());
  if (!found.ok()) return {ErrorCode::kCorruption, where() + ": " + found.status().message()};
  const BatchRow& row = *found;
  if (row.id != id) {
    return {ErrorCode::kCorruption, where() + ": its log segment has another id there"};
  }
  Record record;
  record.id = row.id;
  record.id_form = row.id_form;
  record.value_kind = row.value_kind;
  record.value = row.value;
  record.version = entry.head;
  record.birth = entry.birth;
  record.writer_time = row.writer_time;
  record.origin = entry.origin();
  return record;
}

}  // namespace tidemark::internal
