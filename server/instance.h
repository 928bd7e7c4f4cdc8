// An instance as served: its store, and what works on it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "db/runtime.h"
#include "db/store.h"
#include "format/status.h"
#include "replication/source.h"
#include "replication/upload.h"

namespace tidemark::server {

/// Thread-safe. Open for as long as someone holds it.
class Instance {
 public:
  static Result<std::shared_ptr<Instance>> Open(const std::string& name,
                                                const std::filesystem::path& directory,
                                                const StoreOptions& options,
                                                std::shared_ptr<Runtime> runtime);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const std::string& name() const { return name_; }
  Store& store() { return *store_; }
  Source& source() { return *source_; }
  Uploads& uploads() { return *uploads_; }

 private:
  Instance() = default;

  std::string name_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Source> source_;    // after the store it reads
  std::unique_ptr<Uploads> uploads_;  // after the store it writes
};

}  // namespace tidemark::server
