#include "db/runtime.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "db/internal/careful_file_system.h"
#include "db/internal/runtime_impl.h"
#include "db/process_memory.h"

namespace tidemark {
namespace {

constexpr size_t kMemoryBytesMin = 1024 * 1024;
constexpr int kBackgroundThreadsMax = 64;
// 16 shards keep lock waits rare and leave each shard of the default cache 2 MiB, room for a large
// block; RocksDB's own choice would be 64 shards of 512 KiB.
constexpr int kCacheShardBits = 4;

class RealClock final : public Clock {
 public:
  MonotonicTime Now() override { return std::chrono::steady_clock::now(); }
  int64_t WallMilliseconds() override {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
  }
};

class KernelRandom final : public Random {
 public:
  void Fill(std::span<uint8_t> out) override {
    while (!out.empty()) {
      const ssize_t filled = getrandom(out.data(), out.size(), 0);
      if (filled < 0 && errno == EINTR) continue;
      if (filled <= 0) {
        std::fputs("tidemark: the kernel gives no random bytes\n", stderr);
        std::abort();
      }
      out = out.subspan(static_cast<size_t>(filled));
    }
  }
};

Status CheckOptions(const RuntimeOptions& options) {
  const auto out_of_range = [](const char* what) {
    return Status(ErrorCode::kInvalidArgument, std::string("runtime: ") + what);
  };
  if (options.block_cache_bytes < kMemoryBytesMin) {
    return out_of_range("block_cache_bytes is below 1 MiB");
  }
  if (options.write_buffer_bytes < kMemoryBytesMin) {
    return out_of_range("write_buffer_bytes is below 1 MiB");
  }
  if (options.background_threads < 1 || options.background_threads > kBackgroundThreadsMax) {
    return out_of_range("background_threads is not between 1 and 64");
  }
  return {};
}

}  // namespace

std::shared_ptr<Clock> SystemClock() {
  return std::make_shared<RealClock>();
}

std::shared_ptr<Random> SystemRandom() {
  return std::make_shared<KernelRandom>();
}

Result<std::shared_ptr<Runtime>> Runtime::Create(RuntimeOptions options) {
  return internal::CreateRuntime(std::move(options), rocksdb::FileSystem::Default());
}

Runtime::Runtime(std::unique_ptr<internal::RuntimeImpl> impl) : impl_(std::move(impl)) {}

Runtime::~Runtime() {
  impl_.reset();
  ReturnFreeMemory();
}

Clock& Runtime::clock() const {
  return *impl_->clock;
}

Random& Runtime::random() const {
  return *impl_->random;
}

size_t Runtime::block_cache_used_bytes() const {
  return impl_->cache->GetUsage();
}

namespace internal {

Result<std::shared_ptr<Runtime>> CreateRuntime(RuntimeOptions options,
                                               std::unique_ptr<rocksdb::Env> env) {
  TIDEMARK_RETURN_IF_ERROR(CheckOptions(options));
  using Priority = rocksdb::Env::Priority;
  env->IncBackgroundThreadsIfNeeded(options.background_threads, Priority::LOW);
  env->IncBackgroundThreadsIfNeeded(1, Priority::HIGH);

  auto impl = std::make_unique<RuntimeImpl>();
  impl->clock = options.clock ? std::move(options.clock) : SystemClock();
  impl->random = options.random ? std::move(options.random) : SystemRandom();
  impl->file_system = env->GetFileSystem();
  impl->env_owned = NewCarefulEnv(std::move(env));
  impl->cache = rocksdb::NewLRUCache(options.block_cache_bytes, kCacheShardBits);
  impl->write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(options.write_buffer_bytes);
  return std::make_shared<Runtime>(std::move(impl));
}

Result<std::shared_ptr<Runtime>> CreateRuntime(
    RuntimeOptions options, const std::shared_ptr<rocksdb::FileSystem>& file_system) {
  return CreateRuntime(std::move(options), rocksdb::NewCompositeEnv(file_system));
}

}  // namespace internal
}  // namespace tidemark
