#include "server/instances.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "server/data_root.h"

namespace tidemark::server {

namespace {

// An instance whose disk was full is opened again when there is so much room, or soon full again.
constexpr uintmax_t kRoomBytes = 16 << 20;
constexpr std::chrono::seconds kReopenPause{1};
constexpr std::chrono::minutes kReopenPauseMax{5};
// How long calls on such an instance are refused so that it can be closed; then they go on.
constexpr std::chrono::seconds kLeaveTime{10};

/// Whether a scope is syncing whose last change of state is no older than `since`; closing its
/// instance would interrupt it.
bool SyncsSince(const SyncTracker& tracker, int64_t since) {
  const std::vector<SyncScope> scopes = tracker.ListScopes();
  return std::any_of(scopes.begin(), scopes.end(), [since](const SyncScope& scope) {
    return scope.state == SyncState::kSyncing && scope.timestamp >= since;
  });
}

bool HasRoom(const std::filesystem::path& directory) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(directory, error);
  return !error && space.available >= kRoomBytes;
}

}  // namespace

Instances::Instances(std::filesystem::path root,
                     InstancesOptions options,
                     std::shared_ptr<Runtime> runtime,
                     Executor executor)
    : root_(std::move(root)),
      options_(std::move(options)),
      runtime_(std::move(runtime)),
      executor_(std::move(executor)) {
  if (!options_.tell.anyone()) return;
  if (const auto names = ListInstances(root_.string()); names.ok()) {
    untold_.assign(names->begin(), names->end());
  }
}

Instances::~Instances() = default;

Result<std::shared_ptr<Instance>> Instances::Acquire(const std::string& name) {
  const std::shared_ptr<Slot> slot = FindSlot(name);
  const std::lock_guard lock(slot->mutex);
  slot->last_use = runtime_->clock().Now();
  if (slot->leaving_since) {
    return Status(ErrorCode::kBusy, "the instance is being opened again after its disk was full");
  }
  if (slot->instance != nullptr) return slot->instance;
  TIDEMARK_RETURN_IF_ERROR(MakeRoom(*slot));
  return OpenIn(*slot, name);
}

Result<std::shared_ptr<Instance>> Instances::OpenIn(Slot& slot, const std::string& name) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto path, InstancePath(root_.string(), name));
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(path));
  TIDEMARK_ASSIGN_OR_RETURN(
      slot.instance,
      Instance::Open(
          name, path, options_.store, runtime_, executor_, options_.tell, options_.traffic));
  const std::lock_guard map_lock(mutex_);
  if (stopping_) slot.instance->waiters().Stop();
  return slot.instance;
}

std::shared_ptr<Instances::Slot> Instances::FindSlot(const std::string& name) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Slot>& slot = slots_[name];
  if (slot == nullptr) slot = std::make_shared<Slot>();
  return slot;
}

std::vector<std::shared_ptr<Instances::Slot>> Instances::Slots() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Slot>> slots;
  slots.reserve(slots_.size());
  for (const auto& [name, slot] : slots_) slots.push_back(slot);
  return slots;
}

std::shared_ptr<Instance> Instances::Find(const std::string& name) const {
  for (auto& instance : Open()) {
    if (instance->name() == name) return instance;
  }
  return nullptr;
}

std::vector<std::shared_ptr<Instance>> Instances::Open() const {
  std::vector<std::shared_ptr<Instance>> instances;
  for (const auto& slot : Slots()) {
    const std::unique_lock lock(slot->mutex, std::try_to_lock);
    if (lock.owns_lock() && slot->instance != nullptr) instances.push_back(slot->instance);
  }
  return instances;
}

size_t Instances::open_count() const {
  return Open().size();
}

bool Instances::TryClose(Slot& slot, Reason reason) {
  const std::unique_lock lock(slot.mutex, std::try_to_lock);
  if (!lock.owns_lock() || slot.instance == nullptr) return false;
  // Copies are made under the lock of the slot: one owner here means that no call uses it, nor
  // waits for it.
  if (slot.instance.use_count() > 1) return false;
  const bool idle = reason == Reason::kIdle;
  const MonotonicTime now = runtime_->clock().Now();
  if (idle && now - slot.last_use < options_.idle_max) return false;
  const auto session_max = idle ? options_.session_max : options_.session_max_for_others;
  if (slot.instance->conversations().ActiveSince(now - session_max)) return false;
  if (slot.instance->sync_operations().AnyAtWork()) return false;
  const int64_t scopes_since =
      idle ? 0 : runtime_->clock().WallMilliseconds() - options_.scope_max_for_others.count();
  if (SyncsSince(slot.instance->tracker(), scopes_since)) return false;
  if (slot.instance->untold() > 0) {
    const std::lock_guard map_lock(mutex_);
    if (idle && untold_.empty()) return false;  // nobody else has anything to tell
    const std::string& name = slot.instance->name();
    const bool queued = std::find(untold_.begin(), untold_.end(), name) != untold_.end();
    if (!queued) untold_.push_back(name);
  }
  slot.instance.reset();
  return true;
}

Status Instances::MakeRoom(const Slot& opening) {
  std::vector<std::shared_ptr<Slot>> slots = Slots();
  std::vector<std::pair<MonotonicTime, std::shared_ptr<Slot>>> open;
  for (const auto& slot : slots) {
    if (slot.get() == &opening) continue;
    const std::unique_lock lock(slot->mutex, std::try_to_lock);
    // One that is just being opened counts as well.
    if (!lock.owns_lock()) {
      open.emplace_back(MonotonicTime::max(), slot);
    } else if (slot->instance != nullptr) {
      open.emplace_back(slot->last_use, slot);
    }
  }
  if (open.size() < options_.open_max) return {};
  std::sort(
      open.begin(), open.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [last_use, slot] : open) {
    if (TryClose(*slot, Reason::kRoomNeeded)) return {};
  }
  return {ErrorCode::kBusy,
          std::to_string(options_.open_max) + " instances are open, and all are in use"};
}

void Instances::CloseIdle() {
  for (const auto& slot : Slots()) TryClose(*slot, Reason::kIdle);
}

void Instances::OpenUntold() {
  constexpr int kAtATime = 16;
  const size_t room = std::max<size_t>(1, options_.open_max / 2);
  for (int i = 0; i < kAtATime && open_count() < room; ++i) {
    std::string name;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || untold_.empty()) return;
      name = std::move(untold_.front());
      untold_.pop_front();
    }
    const std::shared_ptr<Slot> slot = FindSlot(name);
    const std::lock_guard lock(slot->mutex);
    if (slot->instance != nullptr) continue;
    // Nobody asked for it: it is the first to close. One that does not open is told of to whoever
    // asks for it.
    slot->last_use = runtime_->clock().Now() - options_.idle_max;
    static_cast<void>(OpenIn(*slot, name).ok());
  }
}

void Instances::ReopenFull() {
  for (const auto& slot : Slots()) {
    const std::unique_lock lock(slot->mutex, std::try_to_lock);
    if (lock.owns_lock() && slot->instance != nullptr) ReopenIfFull(*slot);
  }
}

void Instances::ReopenIfFull(Slot& slot) {
  const Store& store = slot.instance->store();
  if (store.WritingState().code() != ErrorCode::kDiskFull) return;
  const MonotonicTime now = runtime_->clock().Now();
  if (!slot.leaving_since) {
    if (now < slot.retry_at || !HasRoom(store.directory())) return;
    slot.leaving_since = now;
    slot.instance->waiters().Stop();  // who waits holds it
  }
  const bool in_use = slot.instance.use_count() > 1;
  if (in_use && now - *slot.leaving_since < kLeaveTime) return;
  if (now - slot.retry_at > kReopenPauseMax) slot.pause = std::chrono::milliseconds(0);
  slot.pause = std::clamp<std::chrono::milliseconds>(slot.pause * 2, kReopenPause, kReopenPauseMax);
  slot.retry_at = now + slot.pause;
  slot.leaving_since.reset();
  if (in_use) return slot.instance->waiters().Resume();
  const std::string name = slot.instance->name();
  slot.instance.reset();
  // One that does not open is told of to whoever asks for it.
  static_cast<void>(OpenIn(slot, name).ok());
}

void Instances::WakeAll() {
  for (const auto& slot : Slots()) {
    const std::lock_guard lock(slot->mutex);
    if (slot->instance != nullptr) slot->instance->waiters().WakeAll();
  }
}

void Instances::StopWaiting() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  for (const auto& slot : Slots()) {
    const std::lock_guard lock(slot->mutex);
    if (slot->instance != nullptr) slot->instance->waiters().Stop();
  }
}

void Instances::CloseAll() {
  for (const auto& slot : Slots()) {
    const std::lock_guard lock(slot->mutex);
    if (slot->instance == nullptr) continue;
    // Its thread may hold the last call that waited: it must not be the one to destroy the
    // instance.
    slot->instance->waiters().End();
    slot->instance.reset();
  }
}

}  // namespace tidemark::server
