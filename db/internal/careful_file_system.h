// A file system that keeps files which may be needed after all.
//
// When writing a manifest fails, nobody knows whether its last record is there. RocksDB keeps the
// files of flushes and compactions then, but deletes those of a failed ingestion at once; a
// manifest that names them after the next open makes the database unreadable. Here nothing is
// deleted from a directory whose manifest is in doubt, until a manifest that was written whole
// takes its place. What turns out to be unneeded is removed by RocksDB at the next open.
#pragma once

#include <memory>

#include <rocksdb/env.h>

namespace tidemark::internal {

/// `env`, its file system wrapped as described.
std::unique_ptr<rocksdb::Env> NewCarefulEnv(std::unique_ptr<rocksdb::Env> env);

}  // namespace tidemark::internal
