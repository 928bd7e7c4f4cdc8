// The parts of a replica.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "format/batch.h"
#include "replication/internal/bundle_file.h"
#include "replication/internal/outbox_steps.h"
#include "replication/internal/replica_state.h"
#include "replication/internal/tracked_transfer.h"
#include "replication/replica.h"

namespace tidemark {

class Replica::Impl {
 public:
  Impl(std::unique_ptr<Store> opened, std::string_view device, ReplicaOptions options)
      : store(std::move(opened)),
        device_id(device),
        options_(std::move(options)),
        outbox_(*store, state_, changes) {}

  Status Load();
  Hello MakeHello() const;
  Status BeginSession(const SessionInfo& session);
  Result<ApplyResult> Apply(std::string_view page);
  /// Returns how many records it dropped.
  Result<uint64_t> FinishSession();
  Result<PullResult> Pull(Transport& transport,
                          const std::function<void(const PullProgress&)>& progress);
  Result<LocalWriteResult> Write(const WriteBatch& batch, const LocalWriteOptions& options);
  Result<PushTotals> Push(Transport& transport,
                          const std::function<void(const PushTotals&)>& progress);
  /// Adds to `*result` what was done, also before an error.
  Status Sync(Transport& transport,
              const std::function<void(const PullProgress&)>& progress,
              SyncResult* result);
  /// From half of `longest` to all of it.
  void Wait(std::chrono::milliseconds longest) const;
  Status RetryOperations(const std::vector<uint64_t>& numbers);
  Status DropOperations(const std::vector<uint64_t>& numbers);
  Result<uint64_t> DropRecord(const std::string& entity, const RecordId& id);
  Status ReplaceId(const IdReplacement& what);
  OutboxStatus Outbox() const;
  Result<BundleApplied> ApplyBundle(const std::filesystem::path& path,
                                    const std::function<void(const PullProgress&)>& progress);
  Result<BundlePacked> PackBundle(const std::filesystem::path& path,
                                  const BundleProgress& progress);

  std::unique_ptr<Store> store;
  std::unique_ptr<SyncTracker> tracker;
  std::string device_id;
  internal::ChangeListeners changes;

 private:
  // All but the drains require `mutex_`.
  Status CheckPage(const BatchHeader& header) const;
  /// Whether the pages of a bundle can be begun with, or gone on with, by what is here.
  Status CheckBundle(const BundleHeader& header) const;
  bool HoldsNothing() const;
  /// The replica goes on as `incarnation`. `bundle` is what the session came in, if it was one.
  Status Begin(const SessionInfo& session,
               const std::string& incarnation,
               const std::string& bundle);
  Status FollowKinds(const BatchView& rows) const;
  /// `keeps_token`: there is nobody to be told now that the page is durable here.
  Result<ApplyResult> ApplyRows(const BatchView& rows,
                                const BatchHeader& header,
                                bool keeps_token = false);
  Status Save(ReplicaState next);
  Result<uint64_t> Sweep();
  /// A pull that is under way.
  struct Pulling {
    Transport& transport;
    const std::function<void(const PullProgress&)>& progress;
    internal::TrackedTransfer* tracked;
    PullResult* result;
    PullProgress sofar = {};
    std::vector<std::string> tokens = {};  // applied and not acknowledged
  };
  Status Drain(const SessionInfo& session, Pulling* pull);
  Status ForgetFences();
  Status DrainQueue(const SessionInfo& session, std::string_view queue, Pulling* pull);
  Status Take(const Page& page, Pulling* pull);
  Status Acknowledge(Pulling* pull) const;
  /// A bundle that is being applied.
  struct Applying;
  /// False if all of its pages were applied before.
  Result<bool> BeginBundle(const BundleHeader& header, uint64_t pages);
  Status ApplyPages(Applying* applying);
  Status ApplyCarried(const internal::BundleFrame& frame, Applying* applying);
  Status ApplyAnswers(Applying* applying);
  Status PackKeys(internal::BundleWriter* writer) const;
  Status PackOperations(internal::BundleWriter* writer, const BundleProgress& progress);
  /// Acknowledges the pages of bundles.
  Status AcknowledgeCarried(Transport& transport) const;
  /// Forgets keys that the source took, up to those of a page.
  Status ForgetKeys(uint64_t session, uint64_t page) const;
  Result<PullResult> PullTracked(Transport& transport,
                                 const std::function<void(const PullProgress&)>& progress,
                                 internal::TrackedTransfer* tracked);

  Result<PushTotals> PushTracked(Transport& transport,
                                 const std::function<void(const PushTotals&)>& progress,
                                 internal::TrackedTransfer* tracked);
  std::set<std::string> PendingEntities() const;
  Result<PushResult> SendPush(Transport& transport, const std::string& batch);
  /// The source knows operations of this replica that this one does not: it goes on as another.
  Status RenewIncarnation();

  const ReplicaOptions options_;
  std::mutex pull_mutex_;     // held over a pull; taken first
  std::mutex push_mutex_;     // held over a push; taken first
  mutable std::mutex mutex_;  // held over every step here, and never while a source is asked
  ReplicaState state_;        // as stored
  internal::OutboxSteps outbox_;
};

}  // namespace tidemark
