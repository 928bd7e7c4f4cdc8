#include "replication/sync_entities.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "replication/internal/pull_steps.h"
#include "replication/internal/sync_tracker_impl.h"

namespace tidemark {
namespace {

using Direction = EntitySyncOutcome::Direction;

Status Wrong(std::string_view what) {
  return {ErrorCode::kInvalidArgument, std::string(what)};
}

Status CheckOptions(const SyncEntitiesOptions& options) {
  if (options.threads < 1 || options.threads > kSyncEntitiesThreadsMax) {
    return Wrong("threads must be from 1 to " + std::to_string(kSyncEntitiesThreadsMax));
  }
  std::set<std::pair<std::string, std::string>> pulls;
  for (const EntityPull& pull : options.pulls) {
    TIDEMARK_RETURN_IF_ERROR(CheckName(pull.entity));
    if (!pull.pull) return Wrong("the pull of " + pull.entity + " has no provider");
    if (pull.mode == PullMode::kRange && !pull.in_range) {
      return Wrong("the pull of " + pull.entity + " has no range");
    }
    if (pull.pages_max < 1 || pull.pages_max > kProviderPagesMax) {
      return Wrong("pages_max must be from 1 to " + std::to_string(kProviderPagesMax));
    }
    if (!pulls.emplace(pull.member, pull.entity).second) {
      return Wrong("a member pulls " + pull.entity + " twice");
    }
  }
  std::set<std::pair<std::string, std::string>> pushes;
  for (const EntityPush& push : options.pushes) {
    if (!push.push) return Wrong("the push of " + push.entity + " sends nothing");
    if (!pushes.emplace(push.member, push.entity).second) {
      return Wrong("a member pushes " + push.entity + " twice");
    }
  }
  return {};
}

/// Members in their order, with their entities; one that is pushed and pulled is one entity.
using Members = std::vector<std::pair<std::string, std::vector<SyncTarget>>>;

void AddTarget(Members* members, const std::string& member, SyncTarget target) {
  auto found = std::find_if(
      members->begin(), members->end(), [&](const auto& one) { return one.first == member; });
  if (found == members->end()) found = members->insert(found, {member, {}});
  for (const SyncTarget& known : found->second) {
    if (known.entity == target.entity) return;
  }
  found->second.push_back(std::move(target));
}

Members MembersOf(const SyncEntitiesOptions& options) {
  Members members;
  for (const EntityPush& push : options.pushes) {
    AddTarget(&members, push.member, {push.entity, push.provider, push.function_id});
  }
  for (const EntityPull& pull : options.pulls) {
    AddTarget(&members, pull.member, {pull.entity, pull.provider, pull.function_id});
  }
  return members;
}

/// Runs `count` steps, `threads` at a time.
void RunSideBySide(size_t count, size_t threads, const std::function<void(size_t)>& step) {
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) step(i);
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

/// One call of `SyncEntities`.
class EntitySync {
 public:
  EntitySync(Store& store, SyncTracker& tracker, const SyncEntitiesOptions& options)
      : store_(store), tracker_(tracker), options_(options) {}

  Status Begin();
  std::vector<EntitySyncOutcome> Run();

 private:
  Status BeginMembers(const Members& members);
  SyncOperation& OperationOf(const std::string& member) { return *operations_.at(member); }
  bool IsPulled(const EntityPush& push) const;
  void Push(const EntityPush& push, EntitySyncOutcome* outcome);
  void Pull(const EntityPull& pull, EntitySyncOutcome* outcome);
  Status PushOutcome(const EntityPull& pull, const std::vector<EntitySyncOutcome>& outcomes) const;
  void Note(const EntitySyncOutcome& outcome);

  Store& store_;
  SyncTracker& tracker_;
  const SyncEntitiesOptions& options_;
  std::map<std::string, std::unique_ptr<SyncOperation>> operations_;
};

Status EntitySync::Begin() {
  const Members members = MembersOf(options_);
  for (const auto& [id, targets] : members) {
    for (const SyncTarget& target : targets) {
      TIDEMARK_RETURN_IF_ERROR(internal::CheckSyncTarget(target));
    }
  }
  if (!options_.scope.empty()) {
    std::vector<std::string> ids;
    for (const auto& [id, targets] : members) ids.push_back(id);
    TIDEMARK_RETURN_IF_ERROR(tracker_.StartScopeIfIdle(options_.scope, ids).status());
  }
  Status begun = BeginMembers(members);
  // A scope of a sync that does not run would wait for its members for ever.
  if (!begun.ok() && !options_.scope.empty()) {
    static_cast<void>(tracker_.InterruptScope(options_.scope).ok());
  }
  return begun;
}

Status EntitySync::BeginMembers(const Members& members) {
  for (const auto& [id, targets] : members) {
    TIDEMARK_ASSIGN_OR_RETURN(auto operation, tracker_.Begin(id, targets));
    operations_.emplace(id, std::move(operation));
  }
  return {};
}

/// The outcome as the tables tell it. A cancelled one has none, and is interrupted when its
/// operation goes; what the tables cannot be told does not change what happened.
void EntitySync::Note(const EntitySyncOutcome& outcome) {
  if (outcome.status.code() == ErrorCode::kClosed) return;
  SyncOperation& operation = OperationOf(outcome.member);
  const Status told = outcome.status.ok() ? operation.Succeed(outcome.entity)
                                          : operation.Fail(outcome.entity, outcome.status);
  static_cast<void>(told.ok());
}

bool EntitySync::IsPulled(const EntityPush& push) const {
  return std::any_of(options_.pulls.begin(), options_.pulls.end(), [&](const EntityPull& pull) {
    return pull.member == push.member && pull.entity == push.entity;
  });
}

void EntitySync::Push(const EntityPush& push, EntitySyncOutcome* outcome) {
  *outcome = {Direction::kPush, push.entity, push.member, {}, 0, 0};
  if (options_.cancelled.stop_requested()) {
    outcome->status = {ErrorCode::kClosed, "the sync was cancelled"};
    return;
  }
  outcome->status = push.push([&](uint64_t records, uint64_t bytes) {
    outcome->records = records;
    outcome->bytes = bytes;
    static_cast<void>(OperationOf(push.member).Progress(push.entity, records, bytes).ok());
  });
  // An entity that is pulled as well has its outcome by that.
  if (!outcome->status.ok() || !IsPulled(push)) Note(*outcome);
}

/// That of the push of the same entity, if there was one.
Status EntitySync::PushOutcome(const EntityPull& pull,
                               const std::vector<EntitySyncOutcome>& outcomes) const {
  for (size_t i = 0; i < options_.pushes.size(); ++i) {
    if (options_.pushes[i].entity != pull.entity || outcomes[i].status.ok()) continue;
    return outcomes[i].status.WithContext("it was not pulled, for its push failed");
  }
  return {};
}

void EntitySync::Pull(const EntityPull& pull, EntitySyncOutcome* outcome) {
  internal::PullStep step(store_, pull);
  outcome->status = step.Run(options_.cancelled, [&] {
    static_cast<void>(
        OperationOf(pull.member).Progress(pull.entity, step.records(), step.bytes()).ok());
  });
  outcome->records = step.records();
  outcome->bytes = step.bytes();
  Note(*outcome);
}

std::vector<EntitySyncOutcome> EntitySync::Run() {
  const size_t pushes = options_.pushes.size();
  std::vector<EntitySyncOutcome> outcomes(pushes + options_.pulls.size());
  RunSideBySide(
      pushes, options_.threads, [&](size_t i) { Push(options_.pushes[i], &outcomes[i]); });
  RunSideBySide(options_.pulls.size(), options_.threads, [&](size_t i) {
    const EntityPull& pull = options_.pulls[i];
    EntitySyncOutcome& outcome = outcomes[pushes + i];
    outcome = {Direction::kPull, pull.entity, pull.member, PushOutcome(pull, outcomes), 0, 0};
    if (outcome.status.ok()) {
      Pull(pull, &outcome);
    } else {
      Note(outcome);
    }
  });
  return outcomes;
}

}  // namespace

Result<std::vector<EntitySyncOutcome>> SyncEntities(Store& store,
                                                    SyncTracker& tracker,
                                                    const SyncEntitiesOptions& options) {
  TIDEMARK_RETURN_IF_ERROR(CheckOptions(options));
  EntitySync sync(store, tracker, options);
  TIDEMARK_RETURN_IF_ERROR(sync.Begin());
  return sync.Run();
}

}  // namespace tidemark
