#include "server/instance.h"

#include <utility>

#include "replication/upload_tracking.h"

namespace tidemark::server {

Result<std::shared_ptr<Instance>> Instance::Open(const std::string& name,
                                                 const std::filesystem::path& directory,
                                                 const StoreOptions& options,
                                                 std::shared_ptr<Runtime> runtime,
                                                 Executor executor,
                                                 const WebhookOptions& webhook) {
  std::shared_ptr<Instance> instance(new Instance);
  instance->name_ = name;
  TIDEMARK_ASSIGN_OR_RETURN(instance->store_, Store::Open(directory, options, std::move(runtime)));
  TIDEMARK_ASSIGN_OR_RETURN(instance->source_, Source::Open(*instance->store_));
  TIDEMARK_ASSIGN_OR_RETURN(instance->tracker_, SyncTracker::Open(*instance->store_));
  TIDEMARK_ASSIGN_OR_RETURN(instance->uploads_, Uploads::Open(*instance->store_));
  TrackUploads(*instance->uploads_, *instance->tracker_);
  instance->conversations_ = std::make_unique<Conversations>(*instance->store_);
  instance->waiters_ = std::make_unique<Waiters>(*instance->store_, std::move(executor));
  if (!webhook.url.empty()) {
    TIDEMARK_ASSIGN_OR_RETURN(
        instance->webhooks_, Webhooks::Open(name, *instance->store_, *instance->uploads_, webhook));
  }
  return instance;
}

Instance::~Instance() = default;

}  // namespace tidemark::server
