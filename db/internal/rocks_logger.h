// Where RocksDB's own messages go: nowhere.
#pragma once

#include <memory>

#include <rocksdb/env.h>

namespace tidemark::internal {

/// Drops everything. What matters is told by the calls that fail, and by those that find the store
/// stopped; the messages besides name ids, and some that sound like errors are none. The file LOG
/// that RocksDB would write ends the process when the disk is full, and is renamed by whoever
/// merely tries to open the store.
std::shared_ptr<rocksdb::Logger> NewSilentLogger();

}  // namespace tidemark::internal
