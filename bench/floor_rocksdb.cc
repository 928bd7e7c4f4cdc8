#include "bench/floor_rocksdb.h"

#include <array>
#include <utility>
#include <vector>

#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

namespace tidemark::bench {
namespace {

using rocksdb::PinnableSlice;
using rocksdb::Slice;

constexpr size_t kSequenceBytes = 8;
using SequenceKey = std::array<char, kSequenceBytes>;

SequenceKey KeyOf(uint64_t sequence) {
  SequenceKey key;
  for (size_t i = 0; i < kSequenceBytes; ++i) {
    key[i] = static_cast<char>(sequence >> (8 * (kSequenceBytes - 1 - i)));
  }
  return key;
}

Slice ToSlice(const SequenceKey& key) {
  return {key.data(), key.size()};
}
Slice ToSlice(const Id& id) {
  return {id.data(), id.size()};
}
Slice ToSlice(std::string_view text) {
  return {text.data(), text.size()};
}

// A record is its sequence number and its value; an entry is an id.
bool IsNewest(const Slice& record, const Slice& sequence) {
  return record.size() >= kSequenceBytes && Slice(record.data(), kSequenceBytes) == sequence;
}

std::string PositionKey(std::string_view device) {
  return "position " + std::string(device);
}

}  // namespace

void Require(const rocksdb::Status& status, std::string_view what) {
  if (!status.ok()) Require(Status(ErrorCode::kIoError, status.ToString()), what);
}

rocksdb::ColumnFamilyOptions FloorFamilyOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kNoCompression;
  options.level_compaction_dynamic_level_bytes = true;
  return options;
}

rocksdb::DBOptions FloorOptions() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.stats_dump_period_sec = 0;
  options.allow_concurrent_memtable_write = false;  // one writer: saves an atomic an entry
  return options;
}

FloorStore::FloorStore(const std::filesystem::path& directory,
                       Syncing syncing,
                       OldEntries old_entries,
                       size_t block_cache_bytes)
    : cache_(rocksdb::NewLRUCache(block_cache_bytes)), old_entries_(old_entries) {
  const rocksdb::ColumnFamilyOptions family = FloorFamilyOptions(cache_);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  Require(rocksdb::DB::Open(FloorOptions(),
                            directory.string(),
                            {{rocksdb::kDefaultColumnFamilyName, family}, {"changes", family}},
                            &handles,
                            &db),
          "open the floor");
  db_.reset(db);
  records_ = handles[0];
  changes_ = handles[1];
  write_options_.sync = syncing == Syncing::kOn;
}

FloorStore::~FloorStore() {
  db_->DestroyColumnFamilyHandle(records_).PermitUncheckedError();
  db_->DestroyColumnFamilyHandle(changes_).PermitUncheckedError();
}

void FloorStore::Apply(Batch batch) {
  rocksdb::WriteBatch writes(batch.size() * 320);
  if (old_entries_ == OldEntries::kRemove) RemoveOldEntries(batch, &writes);
  for (const Operation& operation : batch) {
    const SequenceKey sequence = KeyOf(++sequence_);
    const Slice id = ToSlice(operation.id);
    if (operation.erase) {
      Require(writes.Delete(records_, id), "delete");
    } else {
      const std::array<Slice, 2> record = {ToSlice(sequence), ToSlice(operation.value)};
      Require(writes.Put(records_, {&id, 1}, {record.data(), record.size()}), "put");
    }
    Require(writes.Put(changes_, ToSlice(sequence), id), "put");
  }
  Require(db_->Write(write_options_, &writes), "write");
}

void FloorStore::RemoveOldEntries(Batch batch, rocksdb::WriteBatch* out) {
  std::vector<Slice> ids;
  for (const Operation& operation : batch) ids.push_back(ToSlice(operation.id));
  std::vector<PinnableSlice> records(ids.size());
  std::vector<rocksdb::Status> statuses(ids.size());
  db_->MultiGet({}, records_, ids.size(), ids.data(), records.data(), statuses.data());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (statuses[i].IsNotFound()) continue;
    Require(statuses[i], "read the old record");
    Require(out->SingleDelete(changes_, Slice(records[i].data(), kSequenceBytes)), "delete");
  }
}

bool FloorStore::Get(std::string_view id, std::string* value) const {
  PinnableSlice record;
  const rocksdb::Status status = db_->Get({}, records_, ToSlice(id), &record);
  if (status.IsNotFound()) return false;
  Require(status, "get");
  value->assign(record.data() + kSequenceBytes, record.size() - kSequenceBytes);
  return true;
}

Drained FloorStore::Scan() const {
  Drained drained;
  const std::unique_ptr<rocksdb::Iterator> records(db_->NewIterator({}, records_));
  for (records->SeekToFirst(); records->Valid(); records->Next()) {
    ++drained.records;
    drained.bytes += records->key().size() + records->value().size();
  }
  Require(records->status(), "scan");
  return drained;
}

Drained FloorStore::Drain(std::string_view device) {
  const std::string position_key = PositionKey(device);
  SequenceKey position = KeyOf(1);
  std::string stored;
  if (db_->Get({}, changes_, position_key, &stored).ok()) {
    stored.copy(position.data(), position.size());
  }

  Drained drained;
  std::string page;
  const SequenceKey end = KeyOf(sequence_ + 1);
  const Slice end_slice = ToSlice(end);
  rocksdb::ReadOptions read;
  read.iterate_upper_bound = &end_slice;
  const std::unique_ptr<rocksdb::Iterator> changes(db_->NewIterator(read, changes_));
  changes->Seek(ToSlice(position));
  while (changes->Valid()) {
    drained.records += CopyPage(changes.get(), &page);
    drained.bytes += page.size();
    const Slice next = changes->Valid() ? changes->key() : end_slice;
    Require(db_->Put(write_options_, changes_, position_key, next), "write the position");
  }
  Require(changes->status(), "read changes");
  return drained;
}

uint64_t FloorStore::CopyPage(rocksdb::Iterator* changes, std::string* page) const {
  // One by one: for rows that lie in caches MultiGet is no faster.
  PinnableSlice record;
  uint64_t live_count = 0;
  page->clear();
  for (size_t copied = 0; copied < kPageRecords && changes->Valid(); changes->Next()) {
    const Slice id = changes->value();
    record.Reset();
    const rocksdb::Status status = db_->Get({}, records_, id, &record);
    if (!status.IsNotFound()) {
      Require(status, "read a record");
      if (!IsNewest(record, changes->key())) continue;
      page->append(record.data(), record.size());
      ++live_count;
    }
    page->append(id.data(), id.size());
    ++copied;
  }
  return live_count;
}

void FloorStore::Settle() {
  Require(db_->Flush({}, {records_, changes_}), "flush");
  Require(db_->CompactRange({}, records_, nullptr, nullptr), "compact");
  Require(db_->CompactRange({}, changes_, nullptr, nullptr), "compact");
}

}  // namespace tidemark::bench
