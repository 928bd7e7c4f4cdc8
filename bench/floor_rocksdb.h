// The floor: what a user would write by hand on RocksDB to be able to send changes, with nothing
// but what that needs. Two blind puts a change: the record under its id, and its id under the
// change's sequence number. Old entries stay; a reader skips an entry whose record has moved on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include "bench/harness.h"
#include "bench/workload.h"

namespace tidemark::bench {

/// Table and family options that both hand-written stores use: no compression, XXH3, filters.
rocksdb::ColumnFamilyOptions FloorFamilyOptions(const std::shared_ptr<rocksdb::Cache>& cache);
rocksdb::DBOptions FloorOptions();
void Require(const rocksdb::Status& status, std::string_view what);

/// What a change does to the entry that the record had in the index by sequence.
enum class OldEntries : uint8_t {
  kKeep,    ///< nothing: two blind puts
  kRemove,  ///< read the record first and `SingleDelete` its entry, so that the index stays small
};

/// How much a reader was given.
struct Drained {
  uint64_t records = 0;
  uint64_t bytes = 0;
};

class FloorStore {
 public:
  FloorStore(const std::filesystem::path& directory,
             Syncing syncing,
             OldEntries old_entries = OldEntries::kKeep,
             size_t block_cache_bytes = kBlockCacheBytes);
  ~FloorStore();
  FloorStore(const FloorStore&) = delete;
  FloorStore& operator=(const FloorStore&) = delete;

  void Apply(Batch batch);
  bool Get(std::string_view id, std::string* value) const;
  /// Every record in the order of ids, read where it lies.
  Drained Scan() const;

  /// Copies into pages of 1,000 what changed since the last drain, in the order of changes, and
  /// writes the reader's position after each page.
  Drained Drain(std::string_view device);

  /// Everything into files, and background work done.
  void Settle();
  size_t block_cache_used_bytes() const { return cache_->GetUsage(); }

 private:
  void RemoveOldEntries(Batch batch, rocksdb::WriteBatch* out);
  uint64_t CopyPage(rocksdb::Iterator* changes, std::string* page) const;

  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* records_ = nullptr;
  rocksdb::ColumnFamilyHandle* changes_ = nullptr;
  rocksdb::WriteOptions write_options_;
  OldEntries old_entries_;
  uint64_t sequence_ = 0;
};

}  // namespace tidemark::bench
