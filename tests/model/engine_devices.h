// Devices for the model of the engine: one that is a plain map and does everything a network and a
// careless program can do to it, and one that is a real replica behind a bad network.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "replication/replica.h"
#include "tests/model/engine_world.h"

namespace tidemark::model {

using DeviceMap = std::map<RecordKey, std::string>;

/// A device in a history. Steps are random; `Converge` is a sync without any fault.
class ModelDevice {
 public:
  ModelDevice(std::string id, EngineWorld& world, std::mt19937_64& random);
  virtual ~ModelDevice() = default;
  const std::string& id() const { return id_; }
  virtual void Step() = 0;
  virtual void Converge() = 0;
  uint64_t settled() const { return settled_; }

 protected:
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  /// After anything that may have settled the newest session: a settled device equals the cut.
  void CheckSettled();
  virtual DeviceMap Contents() = 0;
  /// Records that wait to be sent: what they are is the device's own affair.
  virtual std::set<RecordKey> Waiting() { return {}; }

  const std::string id_;
  EngineWorld& world_;
  std::mt19937_64& random_;
  bool changed_ = false;  // since its last session settled: wiped, say

 private:
  uint64_t settled_ = 0;
};

/// A map that applies pages in any order within a session. Pages are lost, acknowledgements are
/// lost, late, doubled, partial and reordered; sessions are abandoned and fenced.
class ScriptedDevice final : public ModelDevice {
 public:
  using ModelDevice::ModelDevice;
  void Step() override;
  void Converge() override;

 private:
  void Start();
  void Read();
  void Apply();
  void Acknowledge();
  void Flicker();
  std::string AnyQueue();
  void Sync(size_t records_max);
  DeviceMap Contents() override { return map_; }

  DeviceMap map_;
  bool wiped_ = false;
  PlainSelection limit_;               // of the token that it has at present
  std::vector<std::string> sessions_;  // all of them; the last one is the newest
  std::vector<Page> arriving_;         // of the newest session, not applied yet
  std::vector<std::string> applied_;   // tokens of applied pages, acknowledged or not
  std::vector<std::string> owing_;     // keys that were not sent yet
};

/// A real replica, which also writes. Its network loses requests and answers.
class ReplicaDevice final : public ModelDevice {
 public:
  ReplicaDevice(std::string id, EngineWorld& world, std::mt19937_64& random);
  ~ReplicaDevice() override;
  ReplicaDevice(const ReplicaDevice&) = delete;
  ReplicaDevice& operator=(const ReplicaDevice&) = delete;
  void Step() override;
  void Converge() override;

 private:
  class Network;
  void Open();
  void Pull(uint64_t faults_one_in);
  void Push(uint64_t faults_one_in);
  void Write();
  void TendOutbox();
  std::set<RecordKey> Waiting() override;
  DeviceMap Contents() override;

  test::TempDirectory directory_;
  ReplicaOptions options_;
  std::unique_ptr<Replica> replica_;
};

}  // namespace tidemark::model
