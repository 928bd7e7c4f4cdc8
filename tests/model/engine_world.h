// A real store and a real source beside the plain maps that say what they must do. Every call goes
// to both and is judged.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "replication/source.h"
#include "replication/upload.h"
#include "tests/model/engine_judge.h"
#include "tests/model/engine_oracle.h"
#include "tests/support/temp_directory.h"

namespace tidemark::model {

/// One write of a batch.
struct PlainWrite {
  WriteOp op = WriteOp::kPut;
  RecordKey key;
  std::string value;
};

/// What all stores of a test share.
std::shared_ptr<Runtime> ModelRuntime();

class EngineWorld {
 public:
  explicit EngineWorld(size_t window_records);
  ~EngineWorld();
  EngineWorld(const EngineWorld&) = delete;
  EngineWorld& operator=(const EngineWorld&) = delete;

  // Writing.

  void Write(const std::vector<PlainWrite>& writes);
  /// A batch whose condition does not hold: nothing happens. `key` is of a snapshot.
  void WriteRefused(const RecordKey& key, const std::string& value);
  void Empty(const std::string& entity);
  /// One upload sync over these entities, from its start to its finish, in pages of two records.
  /// The last of several rows of an id wins; events of one id have one value.
  using PlainUpload = std::map<std::string, std::vector<std::pair<std::string, std::string>>>;
  void Upload(const PlainUpload& upload);
  /// Drops the entity and declares its name anew.
  void Redeclare(const std::string& entity, EntityKind kind);
  /// Declares one key more that selections may go by, with records in the entity or without: the
  /// owner, then area and owner.
  void DeclareKeys(const std::string& entity);
  size_t CountKeys(const std::string& entity) const {
    const auto found = keyed_.find(entity);
    return found == keyed_.end() ? 0 : found->second;
  }
  EntityKind KindOf(const std::string& entity) const;
  /// What becomes of conflicts from now on.
  void DeclarePolicy(const std::string& entity, ConflictPolicy policy);
  ConflictPolicy PolicyOf(const std::string& entity) const;

  // Devices. `device` must have been added.

  DeviceJudge& Add(const std::string& device);
  DeviceJudge& judge(const std::string& device) { return judges_.at(device); }
  /// `limit` is what the token of the caller grants.
  Result<std::optional<SessionInfo>> Start(Hello hello, const PlainSelection& limit = {});
  Result<std::optional<Page>> Next(const std::string& device,
                                   const std::string& session,
                                   PageOptions options,
                                   const PlainSelection& limit = {});
  Result<AckResult> Acknowledge(const std::string& device, const std::vector<std::string>& keys);
  Result<PushResult> Push(const std::string& device, std::string_view batch);
  void Grant(const std::string& device, const PlainSelection& selection);
  void DeclareQueue(const PlainQueue& queue);
  void DropQueue(const std::string& name);
  void Reset(const std::string& device, bool forget);
  /// True if the source says that the device lacks nothing of its newest cut.
  bool AtRest(const std::string& device);

  // Upkeep.

  /// One trim pass; the tombstones that stay are exactly those that some device may need.
  void Purge();
  void Compact();
  /// Ends a history, so that another one can go on with the store: forgets all devices, empties
  /// all entities, and leaves no tombstone.
  void Retire();
  void Reopen();
  /// The process dies: what the operating system was given by then is what there is.
  void Kill();
  /// Compares what operators are told.
  void CheckDevices();
  /// Every instruction that is owed has an explanation that names it, and nothing else has.
  void CheckExplanations(const DeviceInfo& info);
  void CheckRecords();
  /// No version that was replaced unseen has vanished.
  void CheckLosers();
  void CheckQueues() const;

  Store& store() { return *store_; }
  Source& source() { return *source_; }
  const PlainStore& records() const { return records_; }
  const std::vector<PlainQueue>& queues() const { return queues_; }

 private:
  /// A record as the operations of a push leave it.
  struct Pushed {
    bool live = false;
    std::string value;
    bool touched = false;
    bool as_pushed = true;  // what the device has, so far
    bool overrides = false;
    bool refused = false;
    std::optional<SequenceNumber> own;  // version that an operation answered before made
    std::vector<size_t> answers;
  };

  void Open();
  void Close();
  /// What becomes of the operation; `record` is then as it leaves it.
  PushOutcome Expect(const DeviceJudge& judge,
                     const RecordKey& key,
                     const BatchRow& row,
                     Pushed* record) const;
  void NotePushed(const std::string& device,
                  const RecordKey& key,
                  const Pushed& record,
                  const PushAnswer& answer);
  void SetKeys(const std::string& entity, size_t count);
  uint64_t CountNeeded(const std::string& entity, const DeviceJudge* only) const;
  void NoteEnded(const std::string& entity, SequenceNumber head);
  void NoteUploaded(const std::string& entity,
                    const std::map<std::string, std::string>& records,
                    SequenceNumber before,
                    const ReplaceCounts& counts);

  test::TempDirectory directory_;
  std::filesystem::path path_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<Uploads> uploads_;
  PlainStore records_;
  std::map<std::string, size_t> keyed_;  // how many keys
  std::map<std::string, DeviceJudge> judges_;
  std::vector<PlainQueue> queues_;                                // in order of importance
  std::map<std::string, std::map<uint64_t, PushAnswer>> pushed_;  // first answers, by device
  std::vector<std::string> losers_;  // versions replaced unseen, as `_conflicts` has their values
};

}  // namespace tidemark::model
