// The engine behind the interface that the floor has, so that one benchmark body runs both.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "bench/floor_rocksdb.h"
#include "bench/harness.h"
#include "bench/workload.h"
#include "db/store.h"

namespace tidemark::bench {

inline constexpr std::string_view kEntity = "items";

/// Default options but for the size of the block cache and the durability.
std::shared_ptr<Runtime> MakeRuntime(size_t block_cache_bytes);
std::unique_ptr<Store> OpenStore(const std::filesystem::path& directory,
                                 Syncing syncing,
                                 const std::shared_ptr<Runtime>& runtime);

class EngineStore {
 public:
  EngineStore(const std::filesystem::path& directory,
              Syncing syncing,
              size_t block_cache_bytes = kBlockCacheBytes);

  void Apply(Batch batch);
  bool Get(std::string_view id, std::string* value) const;
  Drained Scan() const;
  /// Every record in the order of changes, straight from the log.
  Drained ReadLog() const;
  void Settle();
  size_t block_cache_used_bytes() const { return runtime_->block_cache_used_bytes(); }
  Store& store() { return *store_; }

 private:
  std::shared_ptr<Runtime> runtime_;
  std::unique_ptr<Store> store_;
  WriteBatch batch_;
};

}  // namespace tidemark::bench
