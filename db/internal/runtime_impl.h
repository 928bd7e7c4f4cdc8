// The RocksDB objects behind a Runtime.
#pragma once

#include <memory>

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/write_buffer_manager.h>

#include "db/runtime.h"

namespace tidemark::internal {

struct RuntimeImpl {
  rocksdb::Env* env() const { return env_owned.get(); }

  std::shared_ptr<Clock> clock;
  std::shared_ptr<Random> random;
  std::shared_ptr<rocksdb::FileSystem> file_system;
  std::unique_ptr<rocksdb::Env> env_owned;  // works on `file_system`, carefully
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::WriteBufferManager> write_buffer_manager;
};

/// A runtime whose stores do all their file work, and take their threads, from `env`: for tests.
Result<std::shared_ptr<Runtime>> CreateRuntime(RuntimeOptions options,
                                               std::unique_ptr<rocksdb::Env> env);
/// The same with the threads of this machine.
Result<std::shared_ptr<Runtime>> CreateRuntime(
    RuntimeOptions options, const std::shared_ptr<rocksdb::FileSystem>& file_system);

}  // namespace tidemark::internal
