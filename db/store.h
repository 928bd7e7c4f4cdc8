// The store: one tenant's data in one directory, opened by one process at a time.
//
//   auto store = tidemark::Store::Open("/var/lib/app/main");
//   tidemark::WriteBatch batch;
//   batch.Put("visits", "2031-05-01/ward-3", R"({"patients":18})");
//   auto committed = (*store)->Commit(batch);   // durable when it returns
//
// Thread-safe unless said otherwise. Lock order: see db/internal/store_state.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/change_log.h"
#include "db/entity.h"
#include "db/entity_keys.h"
#include "db/options.h"
#include "db/runtime.h"
#include "db/view.h"
#include "db/write_batch.h"
#include "format/checksum.h"
#include "format/record.h"
#include "format/sequence.h"
#include "format/sequence_set.h"
#include "format/status.h"

namespace tidemark {

inline constexpr int kStorageFormat = 1;

/// One history of a store (contract: "epoch").
struct Epoch {
  std::string id;         ///< 16 random bytes
  uint64_t ordinal = 0;   ///< counts from 1
  SequenceNumber branch;  ///< the last sequence shared with the epoch before it
};

/// Who a store is.
struct StoreIdentity {
  std::string id;             ///< 16 random bytes
  HashSecret secret{};        ///< keys content hashes and seals; never leaves the store
  std::vector<Epoch> epochs;  ///< oldest first; the last is in force
};

/// Local entities are not counted, but for bytes.
struct StoreStatistics {
  uint64_t commits = 0;
  uint64_t commit_groups = 0;
  uint64_t wal_syncs = 0;
  uint64_t wal_sync_micros = 0;  ///< spent in the writes that these syncs were part of
  uint64_t records = 0;
  uint64_t tombstones = 0;
  uint64_t log_rows = 0;  ///< rows physically in the log, as far as known
  uint64_t window_records = 0;
  uint64_t folds = 0;
  uint64_t pins = 0;           ///< open cuts and views
  uint64_t pinned_deaths = 0;  ///< heads remembered for them
  uint64_t disk_bytes = 0;
};

/// Decides whether an ended stay may still matter to a device. Called by the committer when the
/// list of an id's ended stays grows long. Must be short and must not call the store.
using StayFilter = std::function<bool(EntityNumber entity, const EndedStay& stay)>;

/// Events that a trim is about to forget: the members of `live` at or below `through`.
struct TrimmedEvents {
  EntityNumber entity = 0;
  const SequenceSet& live;
  SequenceNumber through;
};
/// Adds rows of upper layers to the commit of a trim. Must be short and must not call the store.
using TrimJoin = std::function<void(const TrimmedEvents& events, WriteBatch* rows)>;

class Store {
 public:
  /// Opens, or creates, the store in `directory`. `kBusy` when it is open already, in this process
  /// or another, however its path is spelled;
  /// `kDataLoss` when acknowledged writes are missing; `kNewerFormat`; `kCorruption`; `kIoError`.
  static Result<std::unique_ptr<Store>> Open(const std::filesystem::path& directory,
                                             const StoreOptions& options = {},
                                             std::shared_ptr<Runtime> runtime = nullptr);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Makes everything durable and closes; also done by the destructor, which cannot tell errors.
  Status Close();

  // Writing.

  /// Commits `batch` as a whole, with its log entries, in one atomic write (contract 21 to 23). A
  /// first put declares a snapshot entity, a first append an incremental one.
  Result<CommitResult> Commit(const WriteBatch& batch, const CommitOptions& options = {});
  /// Makes every earlier commit durable.
  Status Sync();
  /// Whether commits are still taken: not ok says why writing has stopped, until the store is
  /// opened again: `kDiskFull` or `kReadOnly`. Asks no disk and waits for no commit.
  Status WritingState() const;

  // Reading. The newest committed state.

  Result<std::optional<Record>> Get(std::string_view entity, const RecordId& id) const;
  View GetView() const;
  SequenceNumber last_sequence() const;
  SequenceNumber durable_sequence() const;
  /// True as soon as `last_sequence() > after`; false after `timeout`. No wake-up is lost.
  bool WaitForCommit(SequenceNumber after, std::chrono::milliseconds timeout) const;

  // Entities.

  /// Declares, or changes the declaration of, an entity. Another kind is `kWrongKind` unless the
  /// entity was dropped.
  Result<EntityInfo> Declare(std::string_view entity, const EntityDeclaration& declaration);
  /// Makes the entity one of this kind, whatever it holds: for replicas, whose source decides.
  Status FollowKind(std::string_view entity, EntityKind kind);
  std::optional<EntityInfo> FindEntity(std::string_view entity) const;
  std::optional<EntityInfo> FindEntity(EntityNumber number) const;
  /// Another number after anything about entities has changed, such as a declaration.
  uint64_t entities_version() const;
  /// By name, local ones left out. `dropped` adds entities that were dropped and still owe
  /// deletions to devices.
  std::vector<EntityInfo> ListEntities(bool dropped = false) const;
  /// What selections may go by; none for an entity that is not there.
  EntityKeys KeysOf(EntityNumber entity) const;
  /// Of every entity that is not local, dropped ones included while they owe deletions.
  std::vector<EntityNumber> EntityNumbers() const;
  /// Deletes every record or event; devices are told (contract 25).
  Result<CommitResult> Empty(std::string_view entity);
  /// Empties the entity and frees its name for another kind.
  Result<CommitResult> Drop(std::string_view entity);
  /// Incremental entities: forgets the events at or below `through`, without telling anyone that
  /// they were deleted (contract 24). Returns how many. `join` runs in the committer; what it adds
  /// to `rows` is durable with the trim. Where devices are served, trim by `Source::Trim`, which
  /// tells them what they lack.
  Result<uint64_t> Trim(std::string_view entity,
                        SequenceNumber through,
                        const TrimJoin& join = nullptr);
  /// Removes what is left of dropped entities once nothing of them is owed to a device, shown to a
  /// follower or read by an open cut. Returns how many; their numbers are not used again.
  Result<uint64_t> RemoveDropped();

  // Rows of upper layers.

  Result<std::optional<std::string>> GetRow(std::string_view key) const;
  /// Calls `visit` for each row whose key begins with `prefix`, in key order, until it returns
  /// false.
  Status ScanRows(
      std::string_view prefix,
      const std::function<bool(std::string_view key, std::string_view value)>& visit) const;

  // The change log.

  /// Pins the newest committed state without exposing it to a device.
  Result<std::shared_ptr<const Cut>> PinCut() const;
  /// The rows of `entity` that concern any of `parts`, each above its own bound.
  Result<PartRows> FindPartRows(EntityNumber entity, const std::vector<PartBound>& parts) const;
  /// The entries of `ranges` that are current at `cut`, in increasing order of head.
  LogCursor ReadLog(std::shared_ptr<const Cut> cut, const std::vector<LogRange>& ranges) const;
  /// Live records of `entity` at the newest committed state with heads above `after`.
  uint64_t CountLive(EntityNumber entity, SequenceNumber after) const;
  /// Live records of `entity` at `cut` with heads above `after`.
  uint64_t CountLiveAt(const Cut& cut, EntityNumber entity, SequenceNumber after) const;
  /// The lowest head above `after` that is live at `cut`.
  std::optional<SequenceNumber> FirstLiveAt(const Cut& cut,
                                            EntityNumber entity,
                                            SequenceNumber after) const;
  /// Heads remembered for pinned cuts: what long sessions cost in memory, about 64 bytes each.
  uint64_t pinned_deaths() const;
  uint64_t CountTombstones(EntityNumber entity, SequenceNumber after) const;
  /// What is known of an id at the newest committed state; nullopt: it never was, or it is gone and
  /// nobody needs to know.
  Result<std::optional<IdHistory>> FindHistory(EntityNumber entity, const RecordId& id) const;
  /// True if `head` is current (live or a tombstone) in the newest committed state.
  bool IsCurrent(EntityNumber entity, SequenceNumber head) const;
  /// For followers of the log that are no devices: deletions at or below it are no longer shown.
  SequenceNumber trimmed_through() const;
  /// Rows above `after` for a follower: live entries, and deletions not yet trimmed.
  LogCursor FollowLog(std::shared_ptr<const Cut> cut, SequenceNumber after) const;

  /// Forgets the tombstones with these heads: no device needs them (contract 17). Durable with the
  /// next fold, which `Close` makes if need be; what a crash brings back the next pass purges
  /// again.
  Status PurgeTombstones(EntityNumber entity, const std::vector<SequenceNumber>& heads);
  /// Forgets the positions handed out below `before`, except those in `kept`.
  Status PrunePositions(const SequenceSet& kept, SequenceNumber before);
  void SetStayFilter(StayFilter filter);

  // Identity and upkeep.

  StoreIdentity identity() const;
  const std::filesystem::path& directory() const;
  Runtime& runtime() const;
  StoreStatistics Statistics() const;
  /// From now on, for good, only what a source says is written (`CommitOptions::rewrite_events`):
  /// every other change of a record is `kReadOnly`, but for local entities.
  Status BecomeReplica();
  bool is_replica() const;
  /// Begins a new epoch: positions beyond `branch` of the old one are void (contract 20).
  Status BeginEpoch(std::string_view reason);
  /// Folds the window and compacts the log down to what is kept.
  Status Compact();
  /// Checks checksums, and index against log; calls `problem` for each finding.
  Status Verify(const std::function<void(const std::string& problem)>& problem,
                const std::function<void(uint64_t done, uint64_t total)>& progress = {}) const;

  class Impl;
  /// For the rest of this room only.
  Impl& impl() { return *impl_; }

 private:
  explicit Store(std::unique_ptr<Impl> impl);
  static Result<std::unique_ptr<Impl>> OpenImpl(const std::filesystem::path& directory,
                                                const StoreOptions& options,
                                                const std::shared_ptr<Runtime>& runtime);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark
