#include "replication/sync_tracker.h"

#include <algorithm>
#include <utility>

#include "replication/internal/sync_rows.h"
#include "replication/internal/sync_tracker_impl.h"

namespace tidemark {
namespace internal {

Status CheckSyncName(std::string_view what, std::string_view text) {
  const std::string context(what);
  if (text.size() > kSyncNameBytesMax) {
    return {ErrorCode::kTooLarge,
            context + " has more than " + std::to_string(kSyncNameBytesMax) + " bytes"};
  }
  return CheckRecordId(text).WithContext(context);
}

Status TooManySyncs(std::string_view what, size_t most) {
  return {ErrorCode::kTooLarge,
          "there can be " + std::to_string(most) + " " + std::string(what) +
              ": delete some, or use fewer"};
}

Status SyncTrackerClosed() {
  return {ErrorCode::kClosed, "the sync tracker was closed"};
}

}  // namespace internal

namespace {

using Subject = SyncTransition::Subject;

constexpr size_t kTransitionsSlack = kSyncTransitionsKept / 10;
constexpr std::string_view kOwnerEnded = "interrupted: the program ended before the sync did";

}  // namespace

// --- Opening and closing ---

Status SyncTracker::Impl::Load() {
  Change change;
  TIDEMARK_RETURN_IF_ERROR(LoadTransitions());
  TIDEMARK_RETURN_IF_ERROR(LoadStatuses(&change));
  TIDEMARK_RETURN_IF_ERROR(LoadScopes(&change));
  change.now = Now();
  for (auto& [id, scope] : change.scopes) internal::Interrupt(&scope, change.now);
  for (auto& [id, status] : change.statuses) {
    status.state = SyncState::kInterrupted;
    status.error = kOwnerEnded;
    status.timestamp = change.now;
  }
  return Commit(change);
}

Status SyncTracker::Impl::LoadStatuses(Change* change) {
  TIDEMARK_ASSIGN_OR_RETURN(auto statuses, ReadSyncStatuses(store_, /*owned=*/true));
  for (SyncStatus& status : statuses) {
    newest_ = std::max(newest_, status.timestamp);
    if (status.state == SyncState::kSyncing) change->statuses.emplace(status.id, status);
    statuses_.emplace(status.id, std::move(status));
  }
  return {};
}

Status SyncTracker::Impl::LoadScopes(Change* change) {
  TIDEMARK_ASSIGN_OR_RETURN(auto scopes, ReadSyncScopes(store_, /*owned=*/true));
  for (SyncScope& scope : scopes) {
    newest_ = std::max(newest_, scope.timestamp);
    if (scope.state == SyncState::kSyncing) change->scopes.emplace(scope.id, scope);
    scopes_.emplace(scope.id, std::move(scope));
  }
  return {};
}

Status SyncTracker::Impl::LoadTransitions() {
  const View view = store_.GetView();
  RecordIterator events = view.Scan(kSyncTransitionEntity, ScanOptions{});
  while (events.Next()) {
    transitions_.push_back(events.record().version);
    newest_ = std::max(newest_, internal::TimeOfTransition(events.value()));
  }
  std::sort(transitions_.begin(), transitions_.end());  // ids may come from different clocks
  return events.status();
}

Status SyncTracker::Impl::Close() {
  std::unique_lock lock(mutex_);
  if (closed_) return {};
  Change change;
  change.now = Now();
  for (const auto& [id, scope] : scopes_) {
    if (scope.state != SyncState::kSyncing) continue;
    internal::Interrupt(&change.scopes.emplace(id, scope).first->second, change.now);
  }
  for (const auto& [number, operation] : operations_) {
    for (SyncStatus status : operation.entities) {
      if (status.state != SyncState::kSyncing) continue;
      status.state = SyncState::kInterrupted;
      status.error = kOwnerEnded;
      status.timestamp = change.now;
      change.statuses.insert_or_assign(status.id, std::move(status));
    }
  }
  Status committed = Commit(change);
  operations_.clear();
  operation_of_.clear();
  closed_ = true;
  Deliver(&lock);
  return committed;
}

// --- The tables ---

int64_t SyncTracker::Impl::Now() {
  newest_ = std::max(newest_ + 1, store_.runtime().clock().WallMilliseconds());
  return newest_;
}

std::vector<SyncTransition> SyncTracker::Impl::TransitionsOf(const Change& change) const {
  std::vector<SyncTransition> transitions;
  const auto add = [&](Subject subject,
                       const std::string& id,
                       std::optional<SyncState> from,
                       std::optional<SyncState> to,
                       const std::string& error) {
    transitions.push_back({subject, id, from, to, change.now, error});
  };
  for (const auto& [id, status] : change.statuses) {
    const auto before = statuses_.find(id);
    const bool known = before != statuses_.end();
    // A timestamp of now tells a state that was entered anew, as by a restart.
    if (known && before->second.state == status.state && status.timestamp != change.now) continue;
    add(Subject::kStatus,
        id,
        known ? std::optional(before->second.state) : std::nullopt,
        status.state,
        status.error);
  }
  for (const auto& [id, scope] : change.scopes) {
    const auto before = scopes_.find(id);
    const bool known = before != scopes_.end();
    if (known && before->second.state == scope.state && scope.timestamp != change.now) continue;
    add(Subject::kScope,
        id,
        known ? std::optional(before->second.state) : std::nullopt,
        scope.state,
        {});
  }
  for (const std::string& id : change.deleted_statuses) {
    add(Subject::kStatus, id, statuses_.find(id)->second.state, std::nullopt, {});
  }
  for (const std::string& id : change.deleted_scopes) {
    add(Subject::kScope, id, scopes_.find(id)->second.state, std::nullopt, {});
  }
  return transitions;
}

/// The rows, and the events of what changed, in one write. Not synced: what a loss of power takes
/// is progress, not data, and whoever ran then is interrupted anyway.
Status SyncTracker::Impl::Commit(const Change& change) {
  const std::vector<SyncTransition> transitions = TransitionsOf(change);
  WriteBatch batch;
  for (size_t i = 0; i < transitions.size(); ++i) {
    batch.Append(kSyncTransitionEntity,
                 internal::TransitionId(transitions[i].timestamp, i),
                 internal::TransitionToJson(transitions[i]),
                 ValueKind::kJson);
  }
  for (const auto& [id, status] : change.statuses) {
    batch.Put(kSyncStatusEntity, id, SyncStatusToJson(status), ValueKind::kJson);
  }
  for (const auto& [id, scope] : change.scopes) {
    batch.Put(kSyncScopeEntity, id, SyncScopeToJson(scope), ValueKind::kJson);
  }
  for (const std::string& id : change.deleted_statuses) batch.Delete(kSyncStatusEntity, id);
  for (const std::string& id : change.deleted_scopes) batch.Delete(kSyncScopeEntity, id);
  if (batch.empty()) return {};
  const CommitOptions options{.sync = false, .want_outcomes = true, .local = true};
  TIDEMARK_ASSIGN_OR_RETURN(const CommitResult committed, store_.Commit(batch, options));
  for (size_t i = 0; i < transitions.size(); ++i) {
    transitions_.push_back(committed.outcomes[i].version);
  }
  for (const auto& [id, status] : change.statuses) statuses_.insert_or_assign(id, status);
  for (const auto& [id, scope] : change.scopes) scopes_.insert_or_assign(id, scope);
  for (const std::string& id : change.deleted_statuses) statuses_.erase(id);
  for (const std::string& id : change.deleted_scopes) scopes_.erase(id);
  if (!listeners_.empty()) {
    undelivered_.insert(undelivered_.end(), transitions.begin(), transitions.end());
  }
  TrimTransitions();
  return {};
}

void SyncTracker::Impl::TrimTransitions() {
  if (transitions_.size() <= kSyncTransitionsKept + kTransitionsSlack) return;
  const auto kept = transitions_.end() - static_cast<std::ptrdiff_t>(kSyncTransitionsKept);
  // The change stands even if this fails; the next one tries again.
  if (!store_.Trim(kSyncTransitionEntity, *(kept - 1)).ok()) return;
  transitions_.erase(transitions_.begin(), kept);
}

// --- Reading and watching ---

std::vector<SyncScope> SyncTracker::Impl::ListScopes() const {
  const std::lock_guard lock(mutex_);
  std::vector<SyncScope> scopes;
  for (const auto& [id, scope] : scopes_) scopes.push_back(scope);
  return scopes;
}

std::optional<SyncScope> SyncTracker::Impl::FindScope(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = scopes_.find(id);
  return found == scopes_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<SyncStatus> SyncTracker::Impl::ListStatuses() const {
  const std::lock_guard lock(mutex_);
  std::vector<SyncStatus> statuses;
  for (const auto& [id, status] : statuses_) statuses.push_back(status);
  return statuses;
}

std::optional<SyncStatus> SyncTracker::Impl::FindStatus(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = statuses_.find(id);
  return found == statuses_.end() ? std::nullopt : std::optional(found->second);
}

/// Calls the listeners in the order of the transitions. A thread that finds another at it leaves
/// its own transitions to that one, so that a listener may call the tracker.
void SyncTracker::Impl::Deliver(std::unique_lock<std::mutex>* lock) {
  if (delivering_) return;
  delivering_ = true;
  while (!undelivered_.empty()) {
    const SyncTransition transition = std::move(undelivered_.front());
    undelivered_.pop_front();
    const auto listeners = listeners_;
    lock->unlock();
    for (const auto& [number, listener] : listeners) listener(transition);
    lock->lock();
  }
  delivering_ = false;
  delivered_.notify_all();
}

uint64_t SyncTracker::Impl::Listen(std::function<void(const SyncTransition&)> listener) {
  const std::lock_guard lock(mutex_);
  listeners_.emplace(next_listener_, std::move(listener));
  return next_listener_++;
}

void SyncTracker::Impl::StopListening(uint64_t listener) {
  std::unique_lock lock(mutex_);
  listeners_.erase(listener);
  delivered_.wait(lock, [this] { return !delivering_; });
}

Result<std::vector<SyncStatus>> ReadSyncStatuses(const Store& store, bool owned) {
  std::vector<SyncStatus> statuses;
  RecordIterator rows = store.GetView().Scan(kSyncStatusEntity);
  while (rows.Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(SyncStatus status, internal::SyncStatusFromJson(rows.value()));
    if (!owned && status.state == SyncState::kSyncing) {
      status.state = SyncState::kInterrupted;
      status.error = kOwnerEnded;
    }
    statuses.push_back(std::move(status));
  }
  TIDEMARK_RETURN_IF_ERROR(rows.status());
  return statuses;
}

Result<std::vector<SyncScope>> ReadSyncScopes(const Store& store, bool owned) {
  std::vector<SyncScope> scopes;
  RecordIterator rows = store.GetView().Scan(kSyncScopeEntity);
  while (rows.Next()) {
    TIDEMARK_ASSIGN_OR_RETURN(SyncScope scope, internal::SyncScopeFromJson(rows.value()));
    if (!owned) internal::Interrupt(&scope, scope.timestamp);
    scopes.push_back(std::move(scope));
  }
  TIDEMARK_RETURN_IF_ERROR(rows.status());
  return scopes;
}

// --- The public faces ---

class SyncOperation::Impl {
 public:
  Impl(std::shared_ptr<SyncTracker::Impl> owner, uint64_t its_number)
      : tracker(std::move(owner)), number(its_number) {}

  const std::shared_ptr<SyncTracker::Impl> tracker;
  const uint64_t number;
};

SyncOperation::SyncOperation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SyncOperation::~SyncOperation() {
  impl_->tracker->GiveUp(impl_->number);
}

Status SyncOperation::Add(const SyncTarget& target) {
  return impl_->tracker->Add(impl_->number, target);
}
Status SyncOperation::Progress(std::string_view entity, uint64_t records, uint64_t bytes) {
  return impl_->tracker->Progress(impl_->number, entity, records, bytes);
}
Status SyncOperation::Succeed(std::string_view entity) {
  return impl_->tracker->End(impl_->number, entity, SyncState::kSynced, {});
}
Status SyncOperation::Fail(std::string_view entity, const Status& why) {
  return impl_->tracker->End(impl_->number, entity, SyncState::kFailed, why.ToString());
}
Status SyncOperation::Fail(std::string_view entity, std::string_view error) {
  return impl_->tracker->End(impl_->number, entity, SyncState::kFailed, error);
}
Status SyncOperation::Finish(const Status& outcome) {
  return impl_->tracker->Finish(impl_->number, outcome);
}

Result<std::unique_ptr<SyncTracker>> SyncTracker::Open(Store& store) {
  auto impl = std::make_shared<Impl>(store);
  TIDEMARK_RETURN_IF_ERROR(impl->Load());
  return std::unique_ptr<SyncTracker>(new SyncTracker(std::move(impl)));
}

SyncTracker::SyncTracker(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
SyncTracker::~SyncTracker() {
  static_cast<void>(Close().ok());  // what cannot be written now is found by the next open
}

Status SyncTracker::Close() {
  return impl_->Close();
}
Result<SyncScope> SyncTracker::StartScope(std::string_view id,
                                          const std::vector<std::string>& members) {
  return impl_->StartScope(id, members, /*only_if_idle=*/false);
}
Result<SyncScope> SyncTracker::StartScopeIfIdle(std::string_view id,
                                                const std::vector<std::string>& members) {
  return impl_->StartScope(id, members, /*only_if_idle=*/true);
}
Result<SyncScope> SyncTracker::InterruptScope(std::string_view id) {
  return impl_->InterruptScope(id);
}
Status SyncTracker::InterruptAll() {
  return impl_->InterruptAll();
}
Status SyncTracker::InterruptIdleScopes(std::chrono::seconds idle) {
  return impl_->InterruptIdleScopes(idle);
}
Result<bool> SyncTracker::DeleteScope(std::string_view id, bool force) {
  return impl_->DeleteScope(id, force);
}
Result<std::unique_ptr<SyncOperation>> SyncTracker::Begin(std::string_view member,
                                                          const std::vector<SyncTarget>& targets) {
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t number, impl_->Begin(member, targets));
  return std::make_unique<SyncOperation>(std::make_unique<SyncOperation::Impl>(impl_, number));
}
Result<bool> SyncTracker::DeleteStatus(std::string_view id) {
  return impl_->DeleteStatus(id);
}
std::vector<SyncScope> SyncTracker::ListScopes() const {
  return impl_->ListScopes();
}
std::optional<SyncScope> SyncTracker::FindScope(std::string_view id) const {
  return impl_->FindScope(id);
}
std::vector<SyncStatus> SyncTracker::ListStatuses() const {
  return impl_->ListStatuses();
}
std::optional<SyncStatus> SyncTracker::FindStatus(std::string_view id) const {
  return impl_->FindStatus(id);
}
uint64_t SyncTracker::Listen(std::function<void(const SyncTransition&)> listener) {
  return impl_->Listen(std::move(listener));
}
void SyncTracker::StopListening(uint64_t listener) {
  impl_->StopListening(listener);
}

}  // namespace tidemark
