#include "db/internal/column_families.h"

#include <charconv>
#include <string_view>

#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include "db/internal/rocks_logger.h"
#include "db/internal/runtime_impl.h"
#include "db/tuning.h"

namespace tidemark::internal {
namespace {

bool ParseNumber(std::string_view* text, uint64_t* value) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *value);
  if (error != std::errc{}) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

rocksdb::BlockBasedTableOptions MakeTableOptions(Runtime& runtime) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = runtime.impl().cache;
  table.checksum = rocksdb::kXXH3;  // Debian's CRC32C is a table walk, 14 times slower
  table.format_version = 5;
  // Indexes and filters are charged to the cache, so that memory stays bounded at any size.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  return table;
}

rocksdb::ColumnFamilyOptions MakeBaseOptions(Runtime& runtime,
                                             const rocksdb::BlockBasedTableOptions& table) {
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kNoCompression;
  options.level_compaction_dynamic_level_bytes = true;
  options.write_buffer_size = tuning::kLogWriteBufferBytes;
  options.max_write_buffer_number = 2;
  (void)runtime;
  return options;
}

}  // namespace

std::string LogFamilyName(EntityNumber entity) {
  return "l." + std::to_string(entity);
}

std::string IndexFamilyName(EntityNumber entity, uint64_t generation) {
  return "i." + std::to_string(entity) + "." + std::to_string(generation);
}

bool ParseLogFamilyName(const std::string& name, EntityNumber* entity) {
  std::string_view rest = name;
  uint64_t number = 0;
  if (!rest.starts_with("l.")) return false;
  rest.remove_prefix(2);
  if (!ParseNumber(&rest, &number) || !rest.empty()) return false;
  *entity = static_cast<EntityNumber>(number);
  return true;
}

bool ParseIndexFamilyName(const std::string& name, EntityNumber* entity, uint64_t* generation) {
  std::string_view rest = name;
  uint64_t number = 0;
  if (!rest.starts_with("i.")) return false;
  rest.remove_prefix(2);
  if (!ParseNumber(&rest, &number) || !rest.starts_with(".")) return false;
  rest.remove_prefix(1);
  if (!ParseNumber(&rest, generation) || !rest.empty()) return false;
  *entity = static_cast<EntityNumber>(number);
  return true;
}

namespace {

/// RocksDB goes on by itself once a full disk has room again. Its database may then count as
/// stopped without an error to say why, and the next ingestion of files ends the process.
class NoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/,
                            rocksdb::Status /*error*/,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

}  // namespace

rocksdb::DBOptions MakeDbOptions(const StoreOptions& options, Runtime& runtime) {
  rocksdb::DBOptions db;
  db.env = runtime.impl().env();
  db.create_if_missing = options.create_if_missing && !options.read_only;
  db.write_buffer_manager = runtime.impl().write_buffer_manager;
  // A torn tail after a power cut is normal; losing more than that is what the guard is for.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // An I/O error, a full disk included, stops writes until the store is reopened.
  db.max_bgerror_resume_count = 0;
  db.listeners.push_back(std::make_shared<NoRecovery>());
  db.max_total_wal_size = tuning::kWalBytes;
  // A reader beside a running owner holds its files open: the owner may delete them.
  db.max_open_files = options.read_only ? -1 : tuning::kOpenFiles;
  db.max_background_jobs = 2;
  db.info_log = NewSilentLogger();
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  // A read-only database has no thread to leave such work to.
  db.avoid_unnecessary_blocking_io = !options.read_only;
  db.allow_fallocate = false;  // preallocated logs would cost far more than small stores hold
  return db;
}

rocksdb::ColumnFamilyOptions MakeRowOptions(Runtime& runtime) {
  rocksdb::BlockBasedTableOptions table = MakeTableOptions(runtime);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  return MakeBaseOptions(runtime, table);
}

rocksdb::ColumnFamilyOptions MakePartOptions(
    Runtime& runtime, std::shared_ptr<rocksdb::CompactionFilterFactory> filter) {
  rocksdb::ColumnFamilyOptions options = MakeRowOptions(runtime);
  options.compaction_filter_factory = std::move(filter);
  return options;
}

rocksdb::ColumnFamilyOptions MakeIndexOptions(
    Runtime& runtime, std::shared_ptr<rocksdb::CompactionFilterFactory> filter) {
  rocksdb::BlockBasedTableOptions table = MakeTableOptions(runtime);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  rocksdb::ColumnFamilyOptions options = MakeBaseOptions(runtime, table);
  options.compaction_filter_factory = std::move(filter);
  return options;
}

rocksdb::ColumnFamilyOptions MakeLogOptions(
    Runtime& runtime, std::shared_ptr<rocksdb::CompactionFilterFactory> filter) {
  rocksdb::BlockBasedTableOptions table = MakeTableOptions(runtime);
  table.block_size = 16 * 1024;
  rocksdb::ColumnFamilyOptions options = MakeBaseOptions(runtime, table);
  options.compaction_filter_factory = std::move(filter);
  return options;
}

Family WrapFamily(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle) {
  return {handle, [db](rocksdb::ColumnFamilyHandle* open) {
            // A failure would mean a handle that is not ours; there is nobody to tell.
            db->DestroyColumnFamilyHandle(open).PermitUncheckedError();
          }};
}

}  // namespace tidemark::internal
