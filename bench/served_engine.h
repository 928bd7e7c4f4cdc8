// The engine with a source that serves devices.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "bench/engine.h"
#include "replication/source.h"

namespace tidemark::bench {

class ServedEngine : public EngineStore {
 public:
  ServedEngine(const std::filesystem::path& directory,
               Syncing syncing,
               size_t block_cache_bytes = kBlockCacheBytes);

  /// One session of the device, from the first page to the acknowledgement of the last: pages of
  /// 1,000, each acknowledged before the next. Counts records, not deletions.
  Drained Drain(std::string_view device);
  /// Forgets the tombstones that no device is owed.
  Status Purge() { return source_->Purge().status(); }

 private:
  std::unique_ptr<Source> source_;
};

}  // namespace tidemark::bench
