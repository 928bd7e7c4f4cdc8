// The device side: a store that applies pages of a source, and takes writes of its own without
// asking anybody. A page is checked, then applied in one write batch with the position that follows
// it, so that a page that is lost, repeated or cut short by a crash costs a resend and nothing
// else. A write of its own is there at once, with its operation in the outbox, in one write batch
// too; a push sends the operations, and only the source's answer takes them off (contract 34 to
// 36).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/status.h"
#include "replication/bundle.h"
#include "replication/outbox.h"
#include "replication/push.h"
#include "replication/replica_changes.h"
#include "replication/sync_tracker.h"
#include "replication/transport.h"

namespace tidemark {

struct ReplicaOptions {
  StoreOptions store = {};
  PageOptions page{.records_max = 1000};  ///< of every queue: a pull drains all, by importance
  /// Pages acknowledged together; the last ones are always acknowledged at the end.
  size_t pages_per_ack = 1;
};

/// The member that pulls are to sync scopes; statuses are `pull:<entity>`, and `pull:*` for
/// entities without a row of their own: beyond 255, or of a pull that failed before it knew any.
inline constexpr std::string_view kPullMember = "pull";
/// The same of pushes: `push:<entity>`. Failed as well when the source did not apply everything.
inline constexpr std::string_view kPushMember = "push";

/// What a page said that was not known here, by the words of its instructions (contract 7).
struct ApplyResult {
  uint64_t created = 0;
  uint64_t updated = 0;
  uint64_t deleted = 0;
  uint64_t unchanged = 0;  ///< applied already: a repetition
  std::string token;       ///< acknowledge it: the page is durable here
};

struct PullProgress {
  std::string queue = {};      ///< that is drained: the declared ones by importance, then `main`
  uint64_t queue_records = 0;  ///< of that queue
  uint64_t queue_owed = 0;     ///< the same, in all; of `main`, what the others do not have
  uint64_t records = 0;
  uint64_t owed = 0;
  uint64_t pages = 0;
  uint64_t bytes = 0;
};

struct PullResult {
  bool nothing_owed = false;
  bool reset = false;
  uint64_t pages = 0;
  uint64_t bytes = 0;
  uint64_t created = 0;
  uint64_t updated = 0;
  uint64_t deleted = 0;    ///< by instructions, and by a reset that did not list them
  uint64_t unchanged = 0;  ///< instructions that were applied already
  std::vector<Gap> gaps;
};

struct LocalWriteOptions {
  /// The operations take the place of those that wait for the same record and do the same: change
  /// it, which is another thing than to create it. A deletion takes that of all of them. What may
  /// have been sent stays, with all that was written before it. One that refers to a record which
  /// is created further behind, by the references that its entity declares in this store
  /// (`Store::Declare`), goes to the end instead. Without this every operation is sent.
  bool replace = false;
};

struct LocalWriteResult {
  uint64_t applied = 0;
  uint64_t unchanged = 0;        ///< the record was like that already: there is no operation
  std::vector<std::string> ids;  ///< one an operation of the batch; events without one got theirs
};

/// What the source answered, by outcome.
struct PushTotals {
  std::array<uint64_t, kPushOutcomeCount> counts{};
  uint64_t pushes = 0;
  uint64_t bytes = 0;

  uint64_t count(PushOutcome outcome) const { return counts[static_cast<size_t>(outcome)]; }
};

/// How often a sync tries again when its source could not be asked. The delay doubles, and a random
/// half of it is taken off, so that many devices do not come back together.
struct RetryPolicy {
  int attempts = 1;  ///< in all
  std::chrono::milliseconds first_delay = std::chrono::seconds(1);
  std::chrono::milliseconds longest_delay = std::chrono::minutes(1);
};

struct SyncResult {
  PushTotals push;
  PullResult pull;
};

/// What a replica made of a bundle.
struct BundleApplied {
  BundleHeader header;
  PullResult pull;  ///< of a bundle of pages
  PushTotals push;  ///< of answers; `bytes` and `pushes` are zero
};

/// Thread-safe. One pull and one push at a time, which may overlap; neither holds up writes while
/// it waits for the source. Reads go to `store()`, at any time.
class Replica {
 public:
  /// `kConflict` for a store that is no replica and holds records; from its first opening on
  /// records change there by pulls and by `Write` alone (`Store::BecomeReplica`). `kWrongDevice`
  /// for another device's; an empty `device` is the one that the replica was made for.
  static Result<std::unique_ptr<Replica>> Open(const std::filesystem::path& directory,
                                               std::string_view device,
                                               const ReplicaOptions& options = {},
                                               std::shared_ptr<Runtime> runtime = nullptr);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  Hello MakeHello() const;
  /// The session whose pages come next; needed before the first `Apply` of it.
  Status BeginSession(const SessionInfo& session);
  /// Verifies, then applies, a page in one durable step. `kWrongDevice`, `kStalePage` and
  /// `kMalformedBatch` leave everything as it was.
  Result<ApplyResult> Apply(std::string_view page);
  /// The session is drained: ends a reset by dropping what it did not list, keeps the position.
  Status FinishSession();

  /// One whole sync: start, pages, acks. Resumes whatever was cut short before.
  Result<PullResult> Pull(Transport& transport,
                          const std::function<void(const PullProgress&)>& progress = {});

  // Its own writes.

  /// Writes at once, without asking the source, and queues the operations, all in one durable step.
  /// An event without an id gets a UUID; JSON is minified. Errors leave everything as it was:
  /// `kConditionFailed` goes by what is here (`if_absent`, `if_newer`; there is no `if_version`),
  /// `kWrongKind`, `kReserved`, `kTooLarge`.
  Result<LocalWriteResult> Write(const WriteBatch& batch, const LocalWriteOptions& options = {});
  /// Sends what was pending when it began, in order, and works the answers in. A record whose last
  /// operation was refused is again as the source has it; the operation stays in the outbox, with
  /// the reason. An error changes nothing about operations that were not answered; to send them
  /// again is harmless.
  Result<PushTotals> Push(Transport& transport,
                          const std::function<void(const PushTotals&)>& progress = {});
  /// `Push`, then `Pull`; what was answered by then counts when it tries again. Sleeps in between.
  Result<SyncResult> Sync(Transport& transport,
                          const std::function<void(const PullProgress&)>& progress = {},
                          const RetryPolicy& retry = {});
  /// Writes a failed operation again, on top of what the source has by now. `kNotFound`.
  Status RetryOperation(uint64_t number);
  /// The same for several, in the order given, in one durable step: all or none.
  Status RetryOperations(const std::vector<uint64_t>& numbers);
  /// Takes an operation off the outbox; its record is again as without it. `kNotFound`; `kBusy` for
  /// one that was sent and is not answered.
  Status DropOperation(uint64_t number);
  /// The same for several, in one durable step: all or none.
  Status DropOperations(const std::vector<uint64_t>& numbers);
  /// The same for all operations of a record, waiting or failed: answers how many there were,
  /// `kNotFound` for none. The record is again as the source has it.
  Result<uint64_t> DropRecord(const std::string& entity, const RecordId& id);
  /// Renames a record that waits under a temporary id: the record, the fields that refer to it, and
  /// all operations that name it, in one durable step. A record that refers to it and of which
  /// nothing waits, such as a child that was sent before its parent, is written anew, as by
  /// `Write`. Reads the entities that the references name as a whole, while other calls wait.
  /// Errors change nothing: `kNotFound` when nothing of the record waits; `kConflict` when its
  /// source knows it or the real id is taken; `kBusy` when an operation that names it was sent and
  /// is not answered; `kWrongKind` when an event that was sent refers to it; `kTooLarge` when more
  /// than 10,000 operations and records do.
  Status ReplaceId(const IdReplacement& what);
  OutboxStatus outbox() const;

  // Bundles: syncs as files. Each waits for a pull and a push that are under way.

  /// Applies what the source packed for this device, a session's pages or answers. A bundle that is
  /// not sound to its end changes nothing; one whose applying was interrupted is gone on with where
  /// it stopped, and one that was applied changes nothing. Pages are acknowledged by the next pull,
  /// or in the next bundle that is packed here. Errors: `kMalformedBatch`, `kNewerFormat`;
  /// `kWrongDevice` for another device's, replica's or store's, `kWrongEpoch` for another history's
  /// unless it is a reset; `kStalePage` for an older one than the replica went on from;
  /// `kConflict` when the replica is an older copy of itself.
  Result<BundleApplied> ApplyBundle(const std::filesystem::path& path,
                                    const std::function<void(const PullProgress&)>& progress = {});
  /// Packs the operations that are pending, and what is to be acknowledged, for the source. The
  /// operations count as sent. `kIoError`, `kDiskFull`: there is no file, and nothing is lost.
  Result<BundlePacked> PackBundle(const std::filesystem::path& path,
                                  const BundleProgress& progress = {});

  // Watching.

  /// Called with every change of a record that applications see, whether it was written here or
  /// comes from the source (`ReplicaChange::origin`): in their order, never twice at once, once the
  /// change is durable, by the threads that cause changes, before their call returns or by one of
  /// them for all. A slow listener holds up who tells it, and of more than 10,000 changes that wait
  /// the oldest are lost. It may read and write; it must not pull, push, sync or stop listening.
  uint64_t Listen(std::function<void(const ReplicaChange&)> listener);
  /// Returns when no call of a listener is under way.
  void StopListening(uint64_t listener);

  Store& store();
  const std::string& device() const;
  /// Sync scopes and statuses of this replica. Each `Pull` is a run of the member `pull`.
  SyncTracker& tracker();

 private:
  class Impl;
  explicit Replica(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark
