// The source: serves any number of devices from one store. A device starts a session, drains it
// page by page, and acknowledges what it durably has; the source alone decides what is owed
// (contract 1 to 20).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/batch.h"
#include "format/status.h"
#include "replication/bundle.h"
#include "replication/conflict.h"
#include "replication/push.h"
#include "replication/queue.h"
#include "replication/selection.h"
#include "replication/selection_rule.h"
#include "replication/session.h"
#include "replication/why.h"

namespace tidemark {

inline constexpr size_t kPageRecordsDefault = 100;
inline constexpr size_t kDevicesMax = 100'000;
inline constexpr size_t kAckKeysMax = 10'000;

struct SourceOptions {
  /// A session without a call for this long has expired (contract 4).
  std::chrono::milliseconds session_idle_max = std::chrono::minutes(15);
  /// Deaths remembered for open sessions; beyond it the oldest session expires.
  size_t pinned_deaths_max = 4'000'000;
  /// Bounds what absent devices hold back (contract 18); a device beyond is reset at its next
  /// start.
  std::optional<uint64_t> held_tombstones_max = {};
  /// Decides conflicts of entities that are declared `ConflictPolicy::kCallback`; without it they
  /// are refused.
  ConflictResolver conflict_resolver = {};
};

/// Opens a session. A plain start carries only the device id; the native hello also carries the
/// replica's position and incarnation as a witness.
struct Hello {
  std::string device = {};
  std::string position = {};     ///< sealed position of the last settled session, or empty
  std::string incarnation = {};  ///< 16 bytes, made when the replica was; or empty
  bool fresh = false;            ///< the replica holds nothing: everything again
  /// What the caller may be shown at most, as its token says; null: everything. Said by whoever
  /// admits the caller, never by the caller. Together with what the device is granted it decides
  /// what the device may see, until the device starts again.
  std::shared_ptr<const SelectionRule> limit = {};
  /// Of a replica that writes: the highest operation that it may have sent, and the highest that
  /// was answered. What the source knows lies in between, or one of them is not what it was.
  std::optional<uint64_t> sent_through = {};
  std::optional<uint64_t> answered_through = {};
};

struct PageOptions {
  size_t records_max = kPageRecordsDefault;  ///< 1 to 1,000
  size_t bytes_max = kBatchBytesMax;
  std::string queue = std::string(kMainQueue);  ///< whose next page it is
  /// As in `Hello`, of who asks for this page: it shows nothing beyond either.
  std::shared_ptr<const SelectionRule> limit = {};
};

/// A page as handed out: the checksummed batch, its token, and how much is left.
struct Page {
  std::string bytes;
  std::string token;  ///< acknowledges exactly this page
  uint64_t records = 0;
  uint64_t left = 0;  ///< instructions of the queue that are still to be handed out
};

/// What became of the keys of an acknowledgement (contract 11).
struct AckResult {
  uint64_t applied = 0;
  uint64_t repeated = 0;             ///< were acknowledged before
  uint64_t ignored = 0;              ///< malformed, forged, foreign, or of something never served
  std::vector<std::string> reasons;  ///< one for each ignored key, at most 100
};

/// How a device stands.
struct DeviceInfo {
  std::string id;
  SequenceNumber floor;         ///< nothing at or below is owed
  uint64_t sessions = 0;        ///< number of the newest session
  uint64_t owed = 0;            ///< instructions, if a session started now
  uint64_t unacknowledged = 0;  ///< instructions handed out and not acknowledged
  uint64_t holding = 0;         ///< tombstones kept for it
  bool at_rest = false;         ///< its last session settled
  bool reset_pending = false;   ///< its next start is a reset
  bool forgotten = false;
  bool session_open = false;
  SelectionRule rule;                       ///< what it is granted
  std::optional<SelectionRule> limit = {};  ///< of the token that its newest session began with
  Selection selection;                      ///< what the two come to now
};

struct PurgeResult {
  uint64_t examined = 0;
  uint64_t purged = 0;
};

/// What a pass of upkeep did.
struct UpkeepResult {
  PurgeResult purge;
  uint64_t trimmed = 0;           ///< events beyond the retention of their entity
  uint64_t entities_removed = 0;  ///< dropped ones that nobody was owed anything of
};

/// Thread-safe. One lock for each device; lock order: device, then store. Destroy it before its
/// store.
class Source {
 public:
  /// Reads the devices of `store`. One source at a time for a store.
  static Result<std::unique_ptr<Source>> Open(Store& store, const SourceOptions& options = {});
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// Begins a session and fences the device's older one. nullopt when nothing is owed. With a limit
  /// also the errors of `Intersect`.
  Result<std::optional<SessionInfo>> StartSession(const Hello& hello);
  /// Hands out the next page of a queue; nullopt when it is drained. `main` has everything that no
  /// other queue handed out, so that the session is drained with it. What was served is durable
  /// before this returns. Errors: `kSuperseded`, `kSessionExpired`, `kNotFound`, also of a queue
  /// that was not declared when the session began.
  Result<std::optional<Page>> NextPage(std::string_view session, const PageOptions& options = {});
  /// Takes page tokens and ack keys of one device, in any order and grouping. Durable on return.
  Result<AckResult> Acknowledge(std::string_view device, const std::vector<std::string>& keys);
  /// The ack key of one row of a page, for wires that acknowledge record by record. `page` is the
  /// number in the page's header.
  std::string AckKey(std::string_view session,
                     uint64_t page,
                     std::string_view entity,
                     const BatchRow& row) const;

  /// Applies a device's own writes, a batch of them as `Replica::Push` makes it, and answers each:
  /// verified before it is decoded, decoded before anything is applied. What is applied is durable
  /// on return, and not sent to the device again; operations that were answered before are answered
  /// as they were. `limit` is of whoever pushes, as in `Hello`: what is beyond it is neither
  /// changed nor shown. Errors: `kMalformedBatch`; `kWrongDevice` for another store's;
  /// `kIdempotencyMismatch` for a replica that is an older copy of itself; `kBusy`.
  Result<PushResult> Push(std::string_view batch, const SelectionRule* limit = nullptr);
  /// How a push went, one of the device's last 100. `kNotFound`.
  Result<PushResult> FindPush(std::string_view id) const;

  // Bundles: syncs as files.

  /// Packs what the device is owed into a file, which appears under its name when it is complete.
  /// Begins a session, which fences an open one. The pages count as handed out; they come again
  /// until the device acknowledges them, in a bundle of its own or when it is online. Gaps are told
  /// by every bundle until the device is online. Errors: those of a start and of pages;
  /// `kTooLarge`, `kIoError`, `kDiskFull`: there is no file, and nothing is lost.
  Result<BundlePacked> PackBundle(std::string_view device,
                                  const std::filesystem::path& path,
                                  const BundlePackOptions& options = {},
                                  const BundleProgress& progress = {});
  /// Takes what a device packed: acknowledgements, and operations, each of which is answered as by
  /// `Push`. `answers`, if not empty, is where the answers are packed for the device; without them
  /// it asks again, which is harmless, as is applying a bundle again. A bundle that is not sound to
  /// its end changes nothing. Errors: `kMalformedBatch`, `kNewerFormat`; `kWrongDevice` for another
  /// store's; `kStalePage` for an older one than the device went on from; those of `Push`.
  Result<BundleTaken> ApplyBundle(const std::filesystem::path& path,
                                  const std::filesystem::path& answers = {},
                                  const BundleProgress& progress = {});

  // Devices, for operators.

  std::vector<DeviceInfo> ListDevices() const;
  Result<DeviceInfo> GetDevice(std::string_view device) const;
  /// The `limit` devices with the lowest floors, lowest first, without those that were forgotten.
  std::vector<DeviceInfo> FarthestBehind(size_t limit) const;
  /// How many there are, without those that were forgotten.
  size_t device_count() const;
  /// Why the device was, or was not, sent this record (contract 40). `kNotFound`: there is no such
  /// device or entity. A record that is not there has an explanation, too.
  Result<DeliveryExplanation> Explain(std::string_view device,
                                      std::string_view entity,
                                      const RecordId& id) const;
  /// Everything again at its next start, with the word to drop what is not listed.
  Status Reset(std::string_view device);
  /// Releases what it holds back; its id stays with a mark, and its return is a reset.
  Status Forget(std::string_view device);
  /// Replaces what the device may see, from now on; creates the device when it is new. Costs what
  /// it changes, and needs no reset (contract 7 to 13). Errors: those of `CheckSelectionRule`.
  Status Select(std::string_view device, const SelectionRule& rule);

  // Queues beside `main`, for sessions that begin from then on.

  /// Declares a queue, or replaces its declaration. `kInvalidArgument`, `kTooLarge` above 16 queues
  /// or 256 parts, and the errors of `CheckSelectionRule`.
  Status DeclareQueue(const QueueDeclaration& queue);
  /// In order of importance.
  std::vector<QueueDeclaration> ListQueues() const;
  /// What belonged to it belongs to the others, or to `main` alone. `kNotFound`.
  Status DropQueue(std::string_view name);

  // Upkeep.

  /// One pass: trims incremental entities to their declared retention, forgets the tombstones that
  /// no device is owed (contract 17), and what is left of dropped entities. Passes that only forget
  /// run by themselves when devices release enough; retention goes by this call alone, which
  /// whoever owns the source makes from time to time.
  Result<UpkeepResult> Upkeep();
  /// Forgets the events of an incremental entity at or below `through`. A device that was owed some
  /// of them is told at its next start (`SessionInfo::gaps`), exactly, also after a crash; a
  /// version handed out and not acknowledged by now counts as owed. Returns how many were trimmed.
  Result<uint64_t> Trim(std::string_view entity, SequenceNumber through);
  /// The part of `Upkeep` that forgets tombstones.
  Result<PurgeResult> Purge();

 private:
  class Impl;
  explicit Source(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark
