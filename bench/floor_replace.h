// The hand-written replacement of a whole table: sort outside, write one sorted file, ingest it
// into a new column family, walk old and new side by side to log the differences, swap.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>

#include "bench/harness.h"
#include "bench/workload.h"

namespace tidemark::bench {

class FloorTable {
 public:
  FloorTable(const std::filesystem::path& directory, Syncing syncing);
  ~FloorTable();
  FloorTable(const FloorTable&) = delete;
  FloorTable& operator=(const FloorTable&) = delete;

  /// Replaces everything by `count` rows in increasing order of ids; `row` gives the n-th. Returns
  /// how many differ from what was there.
  uint64_t Replace(uint64_t count, const std::function<Operation(uint64_t)>& row);

 private:
  rocksdb::ColumnFamilyHandle* IngestNext(uint64_t count,
                                          const std::function<Operation(uint64_t)>& row);
  uint64_t LogDifferences(rocksdb::ColumnFamilyHandle* next);

  std::filesystem::path directory_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* changes_ = nullptr;
  rocksdb::ColumnFamilyHandle* current_ = nullptr;
  Syncing syncing_;
  uint64_t generation_ = 0;
  uint64_t sequence_ = 0;
};

}  // namespace tidemark::bench
