#include "replication/source.h"

#include "replication/internal/source_impl.h"

namespace tidemark {

Result<std::unique_ptr<Source>> Source::Open(Store& store, const SourceOptions& options) {
  auto impl = std::make_unique<Impl>(store, options);
  TIDEMARK_RETURN_IF_ERROR(impl->Load());
  return std::unique_ptr<Source>(new Source(std::move(impl)));
}

Source::Source(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Source::~Source() = default;

Result<std::optional<SessionInfo>> Source::StartSession(const Hello& hello) {
  return impl_->StartSession(hello);
}

Result<std::optional<Page>> Source::NextPage(std::string_view session, const PageOptions& options) {
  return impl_->NextPage(session, options);
}

Result<AckResult> Source::Acknowledge(std::string_view device,
                                      const std::vector<std::string>& keys) {
  auto result = impl_->Acknowledge(device, keys);
  impl_->ForgetIfDue();
  return result;
}

std::string Source::AckKey(std::string_view session,
                           uint64_t page,
                           std::string_view entity,
                           const BatchRow& row) const {
  return impl_->AckKeyOf(session, page, entity, row);
}

Result<PushResult> Source::Push(std::string_view batch, const SelectionRule* limit) {
  return impl_->Push(batch, limit);
}

Result<PushResult> Source::FindPush(std::string_view id) const {
  return impl_->FindPush(id);
}

Result<BundlePacked> Source::PackBundle(std::string_view device,
                                        const std::filesystem::path& path,
                                        const BundlePackOptions& options,
                                        const BundleProgress& progress) {
  return impl_->PackBundle(device, path, options, progress);
}

Result<BundleTaken> Source::ApplyBundle(const std::filesystem::path& path,
                                        const std::filesystem::path& answers,
                                        const BundleProgress& progress) {
  auto taken = impl_->ApplyBundle(path, answers, progress);
  impl_->ForgetIfDue();
  return taken;
}

std::vector<DeviceInfo> Source::ListDevices() const {
  return impl_->ListDevices();
}

Result<DeviceInfo> Source::GetDevice(std::string_view device) const {
  return impl_->GetDevice(device);
}

std::vector<DeviceInfo> Source::FarthestBehind(size_t limit) const {
  return impl_->FarthestBehind(limit);
}

size_t Source::device_count() const {
  return impl_->CountDevices();
}

Result<DeliveryExplanation> Source::Explain(std::string_view device,
                                            std::string_view entity,
                                            const RecordId& id) const {
  return impl_->Explain(device, entity, id);
}

Status Source::Reset(std::string_view device) {
  return impl_->Reset(device, /*forget=*/false);
}
Status Source::Forget(std::string_view device) {
  return impl_->Reset(device, /*forget=*/true);
}

Status Source::Select(std::string_view device, const SelectionRule& rule) {
  return impl_->Select(device, rule);
}

Status Source::DeclareQueue(const QueueDeclaration& queue) {
  return impl_->queues().Declare(queue);
}
std::vector<QueueDeclaration> Source::ListQueues() const {
  return impl_->queues().List();
}
Status Source::DropQueue(std::string_view name) {
  return impl_->queues().Drop(name);
}

Result<UpkeepResult> Source::Upkeep() {
  return impl_->Upkeep();
}

Result<uint64_t> Source::Trim(std::string_view entity, SequenceNumber through) {
  return impl_->Trim(entity, through);
}

Result<PurgeResult> Source::Purge() {
  return impl_->Purge();
}

}  // namespace tidemark
