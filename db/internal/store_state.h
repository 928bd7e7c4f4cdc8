// What an open store is made of, and which lock guards what.
//
// Lock order: fold_mutex, commit_mutex, state_mutex, wait_mutex. Never take one to the left while
// holding one to the right.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include <rocksdb/db.h>

#include "db/internal/catalog.h"
#include "db/internal/directory_lock.h"
#include "db/internal/guard.h"
#include "db/internal/liveness.h"
#include "db/internal/part_index.h"
#include "db/internal/window.h"
#include "db/options.h"
#include "db/runtime.h"
#include "db/store.h"
#include "db/tuning.h"

namespace tidemark::internal {

/// Keys of the store's own rows in the default column family; docs/storage_format.md describes
/// them.
namespace row_key {
inline const std::string kHead = "h";
inline const std::string kIdentity = "i";
inline const std::string kNextEntity = "n";  ///< number of the next entity, once one was removed
std::string Entity(EntityNumber entity);
std::string Operation(std::string_view id);     ///< operation id -> its outcome
std::string OperationOrder(uint64_t ordinal);   ///< ordinal -> operation id
std::string Position(SequenceNumber sequence);  ///< a position handed out -> chain hash
std::string Upper(std::string_view key);        ///< a row of an upper layer
/// A writer's time that is newer than its version (`kept_times.h`); without an id the prefix of
/// all.
std::string WriterTime(EntityNumber entity, std::string_view id);
inline const std::string kReplica = "f";  ///< present: only what a source says is written
inline constexpr char kEntityPrefix = 'e';
inline constexpr char kOrderPrefix = 'O';
inline constexpr char kUpperPrefix = 'r';
}  // namespace row_key

/// The head row: where the log ends. Written by every commit.
struct HeadRow {
  uint64_t commit = 0;            ///< counts group commits; the guard remembers it
  SequenceNumber sequence;        ///< the last one assigned
  SequenceNumber exposed;         ///< what began at or below it may be known outside
  Hash128 chain;                  ///< at `sequence`
  uint64_t operations = 0;        ///< operation ids ever stored
  uint64_t operations_first = 0;  ///< the oldest one still kept
};
/// When which sequence was the newest, at folds: tells how far back followers are shown deletions
/// (contract 19). Thinned to a bounded number of instants.
class FollowerClock {
 public:
  struct Instant {
    int64_t wall_ms = 0;
    SequenceNumber sequence;
  };
  void Note(int64_t wall_ms, SequenceNumber sequence);
  /// The newest sequence that is older than `retention_ms`; zero when none is known to be.
  SequenceNumber Horizon(int64_t wall_ms, int64_t retention_ms) const;
  const std::vector<Instant>& instants() const { return instants_; }
  void Add(const Instant& instant) { instants_.push_back(instant); }

 private:
  std::vector<Instant> instants_;  // oldest first
};

/// Less than half full: one that is to be merged with its neighbours.
inline bool IsSmallSegment(size_t rows) {
  return rows < tuning::kSegmentRecords / 2;
}

/// Small segments of one entity that came since its log was last merged.
struct SmallSegments {
  uint64_t count = 0;
  SequenceNumber first;  ///< key of the lowest
  void Note(SequenceNumber key, uint64_t segments = 1) {
    first = count == 0 ? key : std::min(first, key);
    count += segments;
  }
};

std::string EncodeHead(const HeadRow& head);
Result<HeadRow> DecodeHead(std::string_view bytes);

std::string EncodeIdentity(const StoreIdentity& identity);
Result<StoreIdentity> DecodeIdentity(std::string_view bytes);

struct StoreState {
  // Constant after opening.
  std::filesystem::path directory;
  StoreOptions options;
  std::shared_ptr<Runtime> runtime;
  DirectoryLock owner_lock;  // held until the database is closed; not when read-only
  std::unique_ptr<rocksdb::DB> db;
  Family rows;  // default
  Family folds;
  Family stage;
  Family parts;  // null when read-only, in a store that has none
  const std::shared_ptr<PartFilterFactory> part_filter = std::make_shared<PartFilterFactory>();
  std::unique_ptr<GuardWriter> guard;  // null when read-only

  // One fold, replacement or compaction request at a time.
  std::mutex fold_mutex;

  // Held by whoever commits.
  std::mutex commit_mutex;
  HeadRow head;        // as written last
  Status write_error;  // not ok: writes have stopped until the store is reopened
  SequenceNumber number_limit = kSequenceLimit;  // a replacement that runs has taken it and above
  uint64_t synced_commit = 0;                    // the last commit that is durable
  uint64_t guarded_commit = 0;  // the last synced commit that the guard was told of
  uint64_t unindexed = 0;       // rows with keys since the index of parts was asked to follow
  StayFilter stay_filter;
  std::atomic<bool> is_replica{false};  // changes under commit_mutex, from false to true
  StoreIdentity identity;               // epochs change under commit_mutex and state_mutex both

  // What readers see.
  mutable std::shared_mutex state_mutex;
  Window window;
  mutable Liveness liveness;  // pins come and go with readers
  std::shared_ptr<const Catalog> catalog = std::make_shared<Catalog>();
  SequenceNumber visible;
  Hash128 visible_chain;
  SequenceNumber trimmed_through;  // for followers: deletions at or below may be gone
  FollowerClock follower_clock;
  std::map<EntityNumber, uint64_t> dead_rows;  // since the entity's log was last compacted
  std::map<EntityNumber, SmallSegments> small_segments;
  std::map<EntityNumber, PartMark> part_marks;  // written by the upkeep thread
  uint64_t forgotten = 0;  // tombstones purged and logs compacted that no fold has written down

  // Commit notification.
  mutable std::mutex wait_mutex;
  mutable std::condition_variable committed;
  mutable std::atomic<int> waiters{0};

  // Self-synchronised.
  std::atomic<uint64_t> durable{0};  // sequence
  std::atomic<uint64_t> commits{0};
  std::atomic<uint64_t> groups{0};
  std::atomic<uint64_t> syncs{0};
  std::atomic<uint64_t> sync_micros{0};
  std::atomic<uint64_t> folds_done{0};
  std::atomic<bool> fold_wanted{false};
  std::function<void()> wake_upkeep;  // constant after opening

  bool syncing() const { return options.durability == Durability::kSync; }
  std::shared_ptr<const Catalog> GetCatalog() const {
    const std::shared_lock lock(state_mutex);
    return catalog;
  }
  void Log(const std::string& line) const {
    if (options.log) options.log(line);
  }
};

/// `kReadOnly` if records come from a source only.
Status CheckNoReplica(const StoreState& state);

/// Reads a row of the default column family; nullopt when there is none.
Result<std::optional<std::string>> ReadRow(const StoreState& state, std::string_view key);

/// Makes the column families of an entity that does not exist yet. A crash before its descriptor
/// row is written leaves them to be dropped at the next open. Requires commit_mutex.
Result<EntityState> MakeEntity(StoreState& state,
                               EntityNumber number,
                               std::string_view name,
                               const EntityDeclaration& declaration);

/// The entry if it is valid, by the liveness sets; an absent one with the same head otherwise.
/// Requires state_mutex.
IndexEntry Validated(const StoreState& state, EntityNumber entity, IndexEntry entry);

/// The log at the last segment with a key not above `head`: the one with its row, if there is such
/// a row. The index may name a segment above it, which was merged with its neighbours since.
std::unique_ptr<rocksdb::Iterator> SeekSegment(const StoreState& state,
                                               const EntityState& entity,
                                               SequenceNumber head);

/// The values of keys that the live record of `entry` has. Reads the row only if it does not say
/// all of them.
Result<std::vector<OpenStay>> StaysOf(const StoreState& state,
                                      const EntityState& entity,
                                      const IndexEntry& entry,
                                      std::string_view id);

/// Reads the row of `entry` out of its segment.
Result<Record> ReadRecord(const StoreState& state,
                          const EntityState& entity,
                          const IndexEntry& entry,
                          std::string_view id);

}  // namespace tidemark::internal
