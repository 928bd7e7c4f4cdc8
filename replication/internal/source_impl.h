// The parts of a source.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "format/token.h"
#include "replication/internal/device.h"
#include "replication/internal/page_workspace.h"
#include "replication/internal/push_evaluation.h"
#include "replication/internal/push_rows.h"
#include "replication/internal/retention.h"
#include "replication/source.h"

namespace tidemark {

namespace internal {
class BundleWriter;
struct BundleFrame;

/// What the pushes of one bundle have in common: each was made before those before it were
/// answered.
struct CarriedPushes {
  AnsweredRecords records;          ///< of all that were handled; at most `kPushAnswersKept`
  std::vector<KeptAnswer> answers;  ///< to the newest one, in order
};
}  // namespace internal

using DevicePtr = std::shared_ptr<Device>;

/// Lock order: a device's mutex, then the store's, then `devices_mutex_`, under which nothing is
/// taken.
class Source::Impl {
 public:
  Impl(Store& store, const SourceOptions& options)
      : store_(store), options_(options), queues_(store) {}
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status Load();

  Result<std::optional<SessionInfo>> StartSession(const Hello& hello);
  Result<std::optional<Page>> NextPage(std::string_view session_id, const PageOptions& options);
  Result<AckResult> Acknowledge(std::string_view id, const std::vector<std::string>& keys);
  std::string AckKeyOf(std::string_view session,
                       uint64_t page,
                       std::string_view entity,
                       const BatchRow& row) const;

  /// `carried` is what the pushes of one bundle have in common; null: it came alone.
  Result<PushResult> Push(std::string_view bytes,
                          const SelectionRule* limit,
                          internal::CarriedPushes* carried = nullptr);
  Result<PushResult> FindPush(std::string_view id) const;

  Result<BundlePacked> PackBundle(std::string_view id,
                                  const std::filesystem::path& path,
                                  const BundlePackOptions& options,
                                  const BundleProgress& progress);
  Result<BundleTaken> ApplyBundle(const std::filesystem::path& path,
                                  const std::filesystem::path& answers,
                                  const BundleProgress& progress);

  std::vector<DeviceInfo> ListDevices();
  std::vector<DeviceInfo> FarthestBehind(size_t limit);
  /// Those that were not forgotten; exact once the bound is near. Requires no lock of a device.
  size_t CountDevices() const;
  Result<DeviceInfo> GetDevice(std::string_view id);
  Result<DeliveryExplanation> Explain(std::string_view device_id,
                                      std::string_view entity,
                                      const RecordId& id);
  Status Reset(std::string_view id, bool forget);
  Status Select(std::string_view id, const SelectionRule& rule);
  QueueTable& queues() { return queues_; }
  Result<PurgeResult> Purge();
  Result<uint64_t> Trim(std::string_view name, SequenceNumber through);
  Result<UpkeepResult> Upkeep();
  /// Forgets what no device needs, once enough was acknowledged. Requires no lock of a device.
  void ForgetIfDue();

 private:
  struct Epochs {
    uint64_t tag;  ///< of the epoch in force; what tokens and descriptors name it by
    HashSecret secret;
    std::string store;
    std::string epoch;
    std::vector<uint64_t> history;  ///< tags of all epochs of this store, oldest first

    bool Knows(uint64_t other) const {
      return std::find(history.begin(), history.end(), other) != history.end();
    }
  };
  Epochs CurrentEpoch() const;

  DevicePtr Find(std::string_view id) const;
  DevicePtr Find(uint64_t number) const;
  Result<DevicePtr> FindOrMake(std::string_view id);
  std::vector<DevicePtr> All() const;
  std::vector<DeviceInfo> DescribeAll(const std::vector<DevicePtr>& devices);
  /// Brings marks back from their rows after a commit failed. Requires the device's mutex.
  Status Refresh(Device& device);
  /// Commits what changed; on an error the device is stale. Requires the device's mutex.
  Status Save(Device& device, bool with_descriptor, bool sync);
  /// True if the hello names a session that this history never had: the store was rewound
  /// unnoticed.
  static bool ShowsLostHistory(const Device& device, const Hello& hello, const Epochs& epoch);
  /// True if the device can be what its marks say (contract 20).
  static bool IsKnown(const Device& device, const Hello& hello, const Epochs& epoch);
  /// Resets the marks of a device that is not known. True: the descriptor changed.
  static bool CheckWitness(Device& device, const Hello& hello, const Epochs& epoch);
  /// The part of `StartSession` that requires the device's mutex.
  Result<std::optional<SessionInfo>> StartLocked(Device& device, const Hello& hello);
  /// A session whose pages are carried to a device that cannot be asked who it is. Fills the header
  /// of its bundle.
  Result<std::optional<SessionInfo>> StartCarried(std::string_view id,
                                                  bool fresh,
                                                  BundleHeader* header);
  Status PackPages(const SessionInfo& session,
                   size_t page_records,
                   internal::BundleWriter* writer,
                   const BundleProgress& progress);
  Status ApplyFrame(const internal::BundleFrame& frame,
                    internal::CarriedPushes* carried,
                    internal::BundleWriter* answers,
                    BundleTaken* taken);
  /// Takes what the caller of a start may be shown at most. True: the descriptor changed.
  Result<bool> LimitTo(Device& device, const SelectionRule* limit);
  Result<SessionInfo> Begin(Device& device, const Epochs& epoch, bool with_descriptor);
  Result<std::optional<Page>> BuildPage(Device& device,
                                        const Epochs& epoch,
                                        size_t queue,
                                        const PageOptions& options);
  bool IsExpired(const Device& device) const;
  /// True while pages are left to be read in its session.
  bool IsReading(const Device& device) const;
  void CloseSession(Device& device);
  void ExpireSessions();
  bool KeepsStay(EntityNumber entity, const EndedStay& stay) const;
  Status AcknowledgeOne(Device& device, const Token& token, AckResult* result);
  Result<DeviceInfo> Describe(Device& device);
  void NoteReleased(uint64_t acknowledged, bool settled);
  Result<PurgeResult> PurgeNow();  // requires upkeep_mutex_
  Result<uint64_t> TrimNow(std::string_view name,
                           SequenceNumber through);  // requires upkeep_mutex_
  /// What a device that sees only some events of `entity` lacks of those at or below `through`.
  Result<DeviceMarks::Lack> CountLacking(const DeviceMarks& marks,
                                         const Selection& selection,
                                         EntityNumber entity,
                                         SequenceNumber through);
  static void TellGaps(Device& device, SessionInfo* info);

  // Of a push; all require the device's mutex.
  struct PushRun;
  static void NoteCarried(const PushRun& run);
  Result<internal::PushProgress> LoadPushProgress(const Device& device) const;
  Status ForgetAnswers(const Device& device, uint64_t first, WriteBatch* batch) const;
  Status ForgetTakenAnswers(Device& device, PushRun* run);
  Status DeclareUnknown(const Device& device, const PushRun& run);
  Status PushRange(Device& device, PushRun* run, size_t begin, size_t end);
  Result<std::vector<PushAnswer>> FindKeptAnswers(const Device& device,
                                                  const PushRun& run,
                                                  size_t begin,
                                                  size_t end) const;
  /// Resets a replica whose own writes are not those that the source knows: it is an older copy of
  /// itself, or the source lost what it answered (contract 20, case 17 and 25).
  Status CheckWrites(Device& device, const Hello& hello);
  /// True: the descriptor changed.
  bool AdoptIncarnation(Device& device, const std::string& hex);
  /// One commit for the operations from `begin` to before `*stop`, which becomes lower where one is
  /// too small for them. `kConditionFailed`: somebody was faster.
  Status TryPush(Device& device, PushRun* run, size_t begin, size_t* stop, bool refuses);
  static void KeepPush(const PushResult& result,
                       internal::PushProgress* progress,
                       WriteBatch* rows);
  void NoteWritten(Device& device, const std::deque<internal::PushedRecord>& records);
  void TrimConflicts();

  /// Resets the absent devices that hold back more than `held_tombstones_max`.
  Status ResetBeyondBound();

  Store& store_;
  const SourceOptions options_;
  std::mutex upkeep_mutex_;              // one pass at a time; taken before a device's
  internal::RetentionBounds retention_;  // guarded by upkeep_mutex_
  std::atomic<uint64_t> released_{0};    // instructions acknowledged since a pass of its own
  std::mutex making_mutex_;              // taken before any other, by whoever makes a device
  mutable std::shared_mutex devices_mutex_;
  std::map<std::string, DevicePtr, std::less<>> by_id_;
  std::unordered_map<uint64_t, DevicePtr> by_number_;
  uint32_t next_number_ = 1;
  PageWorkspaces workspaces_;
  QueueTable queues_;
};

}  // namespace tidemark
