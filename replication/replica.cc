#include "replication/replica.h"

#include <algorithm>
#include <utility>

#include "replication/internal/replica_impl.h"

namespace tidemark {

Result<std::unique_ptr<Replica>> Replica::Open(const std::filesystem::path& directory,
                                               std::string_view device,
                                               const ReplicaOptions& options,
                                               std::shared_ptr<Runtime> runtime) {
  if (!device.empty()) TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(device));
  if (options.pages_per_ack == 0) {
    return {ErrorCode::kInvalidArgument, "pages_per_ack must be at least 1"};
  }
  TIDEMARK_ASSIGN_OR_RETURN(auto store, Store::Open(directory, options.store, std::move(runtime)));
  auto impl = std::make_unique<Impl>(std::move(store), device, options);
  TIDEMARK_RETURN_IF_ERROR(impl->Load());
  TIDEMARK_ASSIGN_OR_RETURN(impl->tracker, SyncTracker::Open(*impl->store));
  return std::unique_ptr<Replica>(new Replica(std::move(impl)));
}

Replica::Replica(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Replica::~Replica() = default;

Hello Replica::MakeHello() const {
  return impl_->MakeHello();
}
Status Replica::BeginSession(const SessionInfo& session) {
  return impl_->BeginSession(session);
}
Result<ApplyResult> Replica::Apply(std::string_view page) {
  return impl_->Apply(page);
}
Status Replica::FinishSession() {
  return impl_->FinishSession().status();
}

Result<PullResult> Replica::Pull(Transport& transport,
                                 const std::function<void(const PullProgress&)>& progress) {
  return impl_->Pull(transport, progress);
}

Result<LocalWriteResult> Replica::Write(const WriteBatch& batch, const LocalWriteOptions& options) {
  return impl_->Write(batch, options);
}

Result<PushTotals> Replica::Push(Transport& transport,
                                 const std::function<void(const PushTotals&)>& progress) {
  return impl_->Push(transport, progress);
}

Result<SyncResult> Replica::Sync(Transport& transport,
                                 const std::function<void(const PullProgress&)>& progress,
                                 const RetryPolicy& retry) {
  SyncResult result;
  std::chrono::milliseconds delay = retry.first_delay;
  for (int attempt = 1;; ++attempt) {
    const Status synced = impl_->Sync(transport, progress, &result);
    if (synced.ok()) return result;
    if (synced.code() != ErrorCode::kUnavailable || attempt >= retry.attempts) return synced;
    impl_->Wait(delay);
    delay = std::min(delay * 2, retry.longest_delay);
  }
}

Status Replica::RetryOperation(uint64_t number) {
  return impl_->RetryOperations({number});
}
Status Replica::RetryOperations(const std::vector<uint64_t>& numbers) {
  return impl_->RetryOperations(numbers);
}
Status Replica::DropOperation(uint64_t number) {
  return impl_->DropOperations({number});
}
Status Replica::DropOperations(const std::vector<uint64_t>& numbers) {
  return impl_->DropOperations(numbers);
}
Result<uint64_t> Replica::DropRecord(const std::string& entity, const RecordId& id) {
  return impl_->DropRecord(entity, id);
}
Status Replica::ReplaceId(const IdReplacement& what) {
  return impl_->ReplaceId(what);
}
OutboxStatus Replica::outbox() const {
  return impl_->Outbox();
}

Result<BundleApplied> Replica::ApplyBundle(
    const std::filesystem::path& path, const std::function<void(const PullProgress&)>& progress) {
  return impl_->ApplyBundle(path, progress);
}
Result<BundlePacked> Replica::PackBundle(const std::filesystem::path& path,
                                         const BundleProgress& progress) {
  return impl_->PackBundle(path, progress);
}

uint64_t Replica::Listen(std::function<void(const ReplicaChange&)> listener) {
  return impl_->changes.Listen(std::move(listener));
}
void Replica::StopListening(uint64_t listener) {
  impl_->changes.StopListening(listener);
}

SyncTracker& Replica::tracker() {
  return *impl_->tracker;
}
Store& Replica::store() {
  return *impl_->store;
}
const std::string& Replica::device() const {
  return impl_->device_id;
}

}  // namespace tidemark
