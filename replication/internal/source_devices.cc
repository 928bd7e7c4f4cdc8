// Devices as operators see them.
#include <algorithm>
#include <limits>

#include "format/coding.h"
#include "replication/internal/holding.h"
#include "replication/internal/session_view.h"
#include "replication/internal/source_impl.h"

namespace tidemark {
namespace {

/// Devices with a descriptor, forgotten ones included: they cost a row and little memory.
constexpr size_t kKnownDevicesMax = 10 * kDevicesMax;

}  // namespace

Source::Impl::~Impl() {
  store_.SetStayFilter(nullptr);
}

Source::Impl::Epochs Source::Impl::CurrentEpoch() const {
  const StoreIdentity identity = store_.identity();
  Epochs epochs{.tag = EpochTag(identity.epochs.back().id),
                .secret = identity.secret,
                .store = identity.id,
                .epoch = identity.epochs.back().id,
                .history = {}};
  for (const Epoch& epoch : identity.epochs) epochs.history.push_back(EpochTag(epoch.id));
  return epochs;
}

Status Source::Impl::Load() {
  TIDEMARK_RETURN_IF_ERROR(queues_.Load());
  std::map<uint32_t, std::vector<MarksRow>> marks;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(kMarksPrefix, [&](std::string_view key, std::string_view value) {
        key.remove_prefix(kMarksPrefix.size());
        if (key.size() < sizeof(uint32_t)) return true;
        const uint32_t number = LoadBigEndian32(key.data());
        marks[number].push_back({std::string(key.substr(sizeof(uint32_t))), std::string(value)});
        return true;
      }));
  std::map<uint32_t, PendingGaps> gaps;
  Status failed;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(kGapsPrefix, [&](std::string_view key, std::string_view value) {
        const auto place = ParseGapKey(key);
        auto gap = DecodeGap(value);
        if (place.has_value() && gap.ok()) gaps[place->first][place->second] = std::move(*gap);
        if (!gap.ok()) failed = gap.status();
        return failed.ok();
      }));
  TIDEMARK_RETURN_IF_ERROR(failed);
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(kDescriptorPrefix, [&](std::string_view, std::string_view value) {
        auto descriptor = DecodeDescriptor(value);
        if (!descriptor.ok()) {
          failed = descriptor.status();
          return false;
        }
        auto device = std::make_shared<Device>();
        device->descriptor = std::move(*descriptor);
        const uint32_t number = device->descriptor.number;
        if (const auto rows = marks.find(number); rows != marks.end()) {
          auto loaded = DeviceMarks::Load(rows->second);
          if (!loaded.ok()) {
            failed = loaded.status().WithContext("device " + device->descriptor.id);
            return false;
          }
          device->marks = std::move(*loaded);
        }
        device->gaps = std::move(gaps[number]);
        next_number_ = std::max(next_number_, number + 1);
        by_number_[number] = device;
        by_id_[device->descriptor.id] = std::move(device);
        return true;
      }));
  TIDEMARK_RETURN_IF_ERROR(failed);
  store_.SetStayFilter(
      [this](EntityNumber entity, const EndedStay& stay) { return KeepsStay(entity, stay); });
  return {};
}

DevicePtr Source::Impl::Find(std::string_view id) const {
  const std::shared_lock lock(devices_mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

DevicePtr Source::Impl::Find(uint64_t number) const {
  const std::shared_lock lock(devices_mutex_);
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second;
}

Result<DevicePtr> Source::Impl::FindOrMake(std::string_view id) {
  if (DevicePtr device = Find(id)) return device;
  const uint64_t epoch = CurrentEpoch().tag;
  // One device is made at a time. The list is not locked meanwhile: the committer asks it whether
  // ended stays still matter, and this commit waits for the committer.
  const std::lock_guard making(making_mutex_);
  if (DevicePtr device = Find(id)) return device;
  if (CountDevices() >= kDevicesMax) {
    return {ErrorCode::kTooLarge, "the store has 100,000 devices; forget some"};
  }
  auto device = std::make_shared<Device>();
  device->descriptor.id = id;
  device->descriptor.number = next_number_;
  device->descriptor.epoch = epoch;
  // Its descriptor is durable from the start, so that a number never names two devices.
  WriteBatch batch;
  device->SaveTo(&batch, /*with_descriptor=*/true);
  const auto committed = store_.Commit(batch, CommitOptions{.sync = false});
  if (!committed.ok()) return committed.status();
  const std::unique_lock lock(devices_mutex_);
  ++next_number_;
  by_number_[device->descriptor.number] = device;
  by_id_[device->descriptor.id] = device;
  return device;
}

size_t Source::Impl::CountDevices() const {
  {
    const std::shared_lock lock(devices_mutex_);
    if (by_id_.size() < kDevicesMax || by_id_.size() >= kKnownDevicesMax) return by_id_.size();
  }
  const std::vector<DevicePtr> devices = All();
  return static_cast<size_t>(std::count_if(devices.begin(), devices.end(), [](const auto& device) {
    const std::lock_guard lock(device->mutex);
    return !device->descriptor.forgotten;
  }));
}

std::vector<DevicePtr> Source::Impl::All() const {
  const std::shared_lock lock(devices_mutex_);
  std::vector<DevicePtr> devices;
  devices.reserve(by_id_.size());
  for (const auto& [id, device] : by_id_) devices.push_back(device);
  return devices;
}

Status Source::Impl::Refresh(Device& device) {
  if (!device.stale) return {};
  TIDEMARK_ASSIGN_OR_RETURN(const auto descriptor,
                            store_.GetRow(DescriptorKey(device.descriptor.id)));
  if (descriptor.has_value()) {
    TIDEMARK_ASSIGN_OR_RETURN(device.descriptor, DecodeDescriptor(*descriptor));
    device.resolved_version = 0;
  }
  std::vector<MarksRow> rows;
  const std::string prefix = MarksKey(device.descriptor.number, {});
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(prefix, [&](std::string_view key, std::string_view value) {
        rows.push_back({std::string(key.substr(prefix.size())), std::string(value)});
        return true;
      }));
  device.gaps.clear();
  device.changed_gaps.clear();
  std::string gaps = GapKey(device.descriptor.number, 0);
  gaps.resize(gaps.size() - sizeof(EntityNumber));
  Status failed;
  TIDEMARK_RETURN_IF_ERROR(store_.ScanRows(gaps, [&](std::string_view key, std::string_view value) {
    const auto place = ParseGapKey(key);
    auto gap = DecodeGap(value);
    if (place.has_value() && gap.ok()) device.gaps[place->second] = std::move(*gap);
    if (!gap.ok()) failed = gap.status();
    return failed.ok();
  }));
  TIDEMARK_RETURN_IF_ERROR(failed);
  device.marks = DeviceMarks();
  if (!rows.empty()) {
    TIDEMARK_ASSIGN_OR_RETURN(device.marks, DeviceMarks::Load(rows));
  }
  device.session.reset();
  device.stale = false;
  return {};
}

Status Source::Impl::Save(Device& device, bool with_descriptor, bool sync) {
  WriteBatch batch;
  device.SaveTo(&batch, with_descriptor);
  if (batch.empty() && !sync) return {};
  const auto committed = store_.Commit(batch, CommitOptions{.sync = sync});
  if (!committed.ok()) device.stale = true;
  return committed.status();
}

bool Source::Impl::IsExpired(const Device& device) const {
  return device.session.has_value() &&
         store_.runtime().clock().Now() - device.session->last_used > options_.session_idle_max;
}

bool Source::Impl::IsReading(const Device& device) const {
  return device.session.has_value() && device.session->cut != nullptr && !IsExpired(device);
}

void Source::Impl::CloseSession(Device& device) {
  device.session.reset();
  device.marks.CloseSession();
}

Result<DeviceInfo> Source::Impl::Describe(Device& device) {
  TIDEMARK_RETURN_IF_ERROR(Refresh(device));
  // Pinned under the device's lock, so no lower than the cut of any session it began.
  TIDEMARK_ASSIGN_OR_RETURN(const auto cut, store_.PinCut());
  DeviceInfo info;
  info.id = device.descriptor.id;
  info.floor = device.marks.floor();
  info.sessions = device.marks.session();
  info.unacknowledged = device.marks.outstanding();
  info.at_rest = device.marks.Settled();
  info.reset_pending =
      device.marks.reset_pending() || device.descriptor.epoch != CurrentEpoch().tag;
  info.forgotten = device.descriptor.forgotten;
  info.session_open = IsReading(device);
  info.rule = device.descriptor.rule;
  info.limit = device.descriptor.limit;
  info.selection = device.Resolve(store_);
  DeviceMarks next = device.marks;
  next.Select(info.selection);
  if (info.reset_pending) next.Reset();
  next.StartSession(cut->sequence());
  TIDEMARK_ASSIGN_OR_RETURN(SessionView view, MakeSessionView(store_, next));
  TIDEMARK_ASSIGN_OR_RETURN(const OwedTally tally, CountOwed(store_, cut, next, &view));
  info.owed = tally.count();
  return info;
}

std::vector<DeviceInfo> Source::Impl::ListDevices() {
  return DescribeAll(All());
}

std::vector<DeviceInfo> Source::Impl::FarthestBehind(size_t limit) {
  std::vector<std::pair<SequenceNumber, DevicePtr>> by_floor;
  for (DevicePtr& device : All()) {
    const std::lock_guard lock(device->mutex);
    if (device->descriptor.forgotten) continue;
    by_floor.emplace_back(device->marks.floor(), std::move(device));
  }
  const size_t count = std::min(limit, by_floor.size());
  const auto end = by_floor.begin() + static_cast<ptrdiff_t>(count);
  std::partial_sort(by_floor.begin(), end, by_floor.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first
                              : a.second->descriptor.id < b.second->descriptor.id;
  });
  std::vector<DevicePtr> devices;
  for (auto at = by_floor.begin(); at != end; ++at) devices.push_back(std::move(at->second));
  return DescribeAll(devices);
}

std::vector<DeviceInfo> Source::Impl::DescribeAll(const std::vector<DevicePtr>& devices) {
  std::vector<DeviceInfo> infos;
  std::vector<DeviceMarks> marks;
  for (const DevicePtr& device : devices) {
    const std::lock_guard lock(device->mutex);
    auto info = Describe(*device);
    if (!info.ok()) continue;
    infos.push_back(std::move(*info));
    marks.push_back(device->marks);
  }
  const auto holding = CountHolding(store_, marks);
  for (size_t i = 0; holding.ok() && i < infos.size(); ++i) infos[i].holding = (*holding)[i];
  return infos;
}

Result<DeviceInfo> Source::Impl::GetDevice(std::string_view id) {
  const DevicePtr device = Find(id);
  if (device == nullptr) {
    return {ErrorCode::kNotFound, "there is no device " + std::string(id)};
  }
  DeviceInfo info;
  std::vector<DeviceMarks> marks;
  {
    const std::lock_guard lock(device->mutex);
    TIDEMARK_ASSIGN_OR_RETURN(info, Describe(*device));
    marks.push_back(device->marks);
  }
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<uint64_t> holding, CountHolding(store_, marks));
  info.holding = holding.front();
  return info;
}

Status Source::Impl::Reset(std::string_view id, bool forget) {
  const DevicePtr device = Find(id);
  if (device == nullptr) {
    return {ErrorCode::kNotFound, "there is no device " + std::string(id)};
  }
  const std::lock_guard lock(device->mutex);
  TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  CloseSession(*device);
  device->marks.Reset();
  device->descriptor.forgotten = forget;
  if (forget) device->ForgetAllGaps();
  device->descriptor.acked_session = 0;
  device->descriptor.acked_page = 0;
  return Save(*device, /*with_descriptor=*/true, /*sync=*/true);
}

Status Source::Impl::Select(std::string_view id, const SelectionRule& rule) {
  TIDEMARK_RETURN_IF_ERROR(CheckDeviceId(id));
  TIDEMARK_RETURN_IF_ERROR(CheckSelectionRule(store_, rule));
  TIDEMARK_ASSIGN_OR_RETURN(const DevicePtr device, FindOrMake(id));
  const std::lock_guard lock(device->mutex);
  TIDEMARK_RETURN_IF_ERROR(Refresh(*device));
  device->descriptor.rule = rule;
  device->resolved_version = 0;
  device->marks.Select(device->Resolve(store_));
  return Save(*device, /*with_descriptor=*/true, /*sync=*/true);
}

}  // namespace tidemark
