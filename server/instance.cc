#include "server/instance.h"

#include <utility>

#include "replication/upload_tracking.h"

namespace tidemark::server {

Result<std::shared_ptr<Instance>> Instance::Open(const std::string& name,
                                                 const std::filesystem::path& directory,
                                                 const StoreOptions& options,
                                                 std::shared_ptr<Runtime> runtime,
                                                 Executor executor,
                                                 const TellOptions& tell,
                                                 Traffic* whole) {
  std::shared_ptr<Instance> instance(new Instance);
  instance->name_ = name;
  instance->traffic_ = std::make_unique<Traffic>(whole);
  TIDEMARK_ASSIGN_OR_RETURN(instance->store_, Store::Open(directory, options, std::move(runtime)));
  TIDEMARK_ASSIGN_OR_RETURN(instance->source_, Source::Open(*instance->store_));
  TIDEMARK_ASSIGN_OR_RETURN(instance->tracker_, SyncTracker::Open(*instance->store_));
  instance->sync_operations_ =
      std::make_unique<SyncOperations>(*instance->tracker_, instance->store_->runtime());
  TIDEMARK_ASSIGN_OR_RETURN(instance->uploads_, Uploads::Open(*instance->store_));
  TrackUploads(*instance->uploads_, *instance->tracker_);
  TIDEMARK_ASSIGN_OR_RETURN(instance->id_pools_, IdPools::Open(*instance->store_));
  instance->raw_pages_ = std::make_unique<RawPages>(
      directory / "uploaded", *instance->uploads_, instance->store_->runtime().clock());
  instance->conversations_ = std::make_unique<Conversations>(*instance->store_);
  instance->waiters_ = std::make_unique<Waiters>(*instance->store_, std::move(executor));
  Clock& clock = instance->store_->runtime().clock();
  if (!tell.webhook.url.empty()) {
    TIDEMARK_RETURN_IF_ERROR(
        instance->Tell(WebhookChannel(name, tell.webhook, clock), tell.delivery));
  }
  if (!tell.mail.server.url.empty()) {
    TIDEMARK_RETURN_IF_ERROR(instance->Tell(MailChannel(name, tell.mail, clock), tell.delivery));
  }
  return instance;
}

Status Instance::Tell(OutcomeChannel channel, const DeliveryOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(auto outcomes,
                            Outcomes::Open(*store_, *uploads_, std::move(channel), options));
  outcomes_.push_back(std::move(outcomes));
  return {};
}

size_t Instance::untold() const {
  size_t waiting = 0;
  for (const auto& outcomes : outcomes_) waiting += outcomes->waiting();
  return waiting;
}

Instance::~Instance() = default;

}  // namespace tidemark::server
