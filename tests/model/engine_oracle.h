// What the contract says about records and devices, as plain maps over the ids of a real store: the
// independent judge of the engine. It knows nothing of floors, segments or folds, and forgets
// nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "format/batch.h"
#include "format/sequence.h"

namespace tidemark::model {

/// Entity and id. An entity that was dropped and declared anew keeps its name: the lives tell.
using RecordKey = std::pair<std::string, std::string>;

struct RecordState {
  SequenceNumber birth;
  SequenceNumber head;
  std::string value;
};
using RecordMap = std::map<RecordKey, RecordState>;

/// The live records, and every life that ever ended.
struct PlainStore {
  RecordMap live;
  std::map<RecordKey, std::vector<EndedStay>> ended;

  void Put(const RecordKey& key, std::string value, SequenceNumber head) {
    const auto found = live.find(key);
    const SequenceNumber birth = found == live.end() ? head : found->second.birth;
    live[key] = {birth, head, std::move(value)};
  }
  void Delete(const RecordKey& key, SequenceNumber head) {
    const auto found = live.find(key);
    ended[key].push_back({found->second.birth, head});
    live.erase(found);
  }
};

/// The records of an entity whose values say all of this: fields, and what they are in JSON.
struct PlainPart {
  std::string entity;
  std::map<std::string, std::string> where;

  bool Contains(const RecordKey& key, const std::string& value) const {
    return key.first == entity && std::all_of(where.begin(), where.end(), [&](const auto& field) {
             const std::string member = "\"" + field.first + "\":" + field.second;
             return value.find(member + ",") != std::string::npos ||
                    value.find(member + "}") != std::string::npos;
           });
  }
  auto operator<=>(const PlainPart&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// What a device may see: everything, or the entities named and parts of others.
struct PlainSelection {
  std::optional<std::set<std::string>> entities;
  std::set<PlainPart> parts = {};

  bool Contains(const RecordKey& key, const std::string& value) const {
    return !entities.has_value() || entities->contains(key.first) ||
           std::any_of(parts.begin(), parts.end(), [&](const PlainPart& part) {
             return part.Contains(key, value);
           });
  }
  bool operator==(const PlainSelection&) const = default;
};

/// What several selections grant together, such as a device's and its token's.
struct CommonSelection {
  std::vector<PlainSelection> all;

  bool Contains(const RecordKey& key, const std::string& value) const {
    return std::all_of(all.begin(), all.end(), [&](const PlainSelection& selection) {
      return selection.Contains(key, value);
    });
  }
  /// Some record of the entity may be in it.
  bool Touches(const std::string& entity) const {
    std::vector<std::map<std::string, std::string>> common(1);  // fields and their values
    for (const PlainSelection& selection : all) {
      if (!selection.entities.has_value() || selection.entities->contains(entity)) continue;
      std::vector<std::map<std::string, std::string>> narrower;
      for (const PlainPart& part : selection.parts) {
        if (part.entity != entity) continue;
        for (const auto& before : common) {
          auto both = before;
          both.insert(part.where.begin(), part.where.end());
          const bool agree = std::all_of(part.where.begin(), part.where.end(), [&](const auto& at) {
            return both.at(at.first) == at.second;
          });
          if (agree) narrower.push_back(std::move(both));
        }
      }
      common = std::move(narrower);
    }
    return !common.empty();
  }
  bool operator==(const CommonSelection&) const = default;
};

/// A queue beside `main`: whole entities, and parts of others.
struct PlainQueue {
  std::string name;
  uint32_t order = 0;
  std::set<std::string> entities = {};
  std::set<PlainPart> parts = {};

  /// `value`: of a record that the device may see; null of one that it is to drop.
  bool Contains(const RecordKey& key, const std::string* value) const {
    return entities.contains(key.first) ||
           (value != nullptr && std::any_of(parts.begin(), parts.end(), [&](const PlainPart& part) {
              return part.Contains(key, *value);
            }));
  }
};

/// One instruction that was handed out.
struct ToldRow {
  RecordKey key;
  uint64_t session = 0;
  uint64_t page = 0;
  RowOp op = RowOp::kCreated;
  SequenceNumber birth;
  SequenceNumber place;
};

/// What one device is owed, from what it was told and what it answered.
class DeviceOracle {
 public:
  void Reset(uint64_t next_session) {
    lives_.clear();
    first_session_ = next_session;
  }

  /// The instruction owed about `key`, of which `state` is live, if anything is.
  std::optional<RowOp> Owed(const RecordKey& key,
                            const RecordState* state,
                            const CommonSelection& selection) const {
    if (state == nullptr || !selection.Contains(key, state->value)) {
      return HeldLives(key).empty() ? std::nullopt : std::optional(RowOp::kDelete);
    }
    const Life* life = Find(key, state->birth);
    if (life == nullptr || !life->acknowledged) return RowOp::kCreated;
    if (life->versions.contains(state->head)) return std::nullopt;
    return RowOp::kUpdated;
  }

  void HandOut(const ToldRow& told) {
    std::map<SequenceNumber, Life>& lives = lives_[told.key];
    if (told.op != RowOp::kDelete) {
      Life& life = lives[told.birth];
      life.held = true;
      life.last_live = told.session;
      return;
    }
    for (auto& [birth, life] : lives) {
      if (!life.held) continue;
      life.acknowledged = false;
      life.versions.clear();
      life.last_deleted = told.session;
    }
  }

  void Acknowledge(const ToldRow& told) {
    if (told.session < first_session_) return;
    std::map<SequenceNumber, Life>& lives = lives_[told.key];
    if (told.op == RowOp::kDelete) {
      for (auto& [birth, life] : lives) {
        if (life.last_deleted >= told.session && life.last_live < told.session) life.held = false;
      }
      return;
    }
    Life& life = lives[told.birth];
    if (life.last_deleted > told.session) return;  // told to drop it since
    life.acknowledged = true;
    life.versions.insert(told.place);
    for (auto& [birth, older] : lives) {
      if (birth < told.birth) older.held = false;
    }
  }

  /// The device wrote this version itself, or deleted the record, when `session` was its newest.
  void Write(const RecordKey& key,
             SequenceNumber birth,
             SequenceNumber head,
             bool live,
             uint64_t session) {
    for (auto& [other, life] : lives_[key]) {
      if (live && other == birth) continue;
      life.held = false;
      life.acknowledged = false;
      life.versions.clear();
      life.last_deleted = session;
    }
    if (!live) return;
    Life& life = lives_[key][birth];
    life.held = true;
    life.acknowledged = true;
    life.versions.insert(head);
    life.last_live = session;
  }

  /// Lives that the device may have, oldest first.
  std::vector<SequenceNumber> HeldLives(const RecordKey& key) const {
    std::vector<SequenceNumber> held;
    const auto lives = lives_.find(key);
    if (lives == lives_.end()) return held;
    for (const auto& [birth, life] : lives->second) {
      if (life.held) held.push_back(birth);
    }
    return held;
  }
  bool Holds(const RecordKey& key, SequenceNumber birth) const {
    const Life* life = Find(key, birth);
    return life != nullptr && life->held;
  }
  bool HoldsAny() const {
    const auto keys = Keys();
    return std::any_of(
        keys.begin(), keys.end(), [this](const RecordKey& key) { return !HeldLives(key).empty(); });
  }
  /// Every id that the device was ever told of.
  std::vector<RecordKey> Keys() const {
    std::vector<RecordKey> keys;
    for (const auto& [key, lives] : lives_) keys.push_back(key);
    return keys;
  }

 private:
  struct Life {
    bool held = false;                  // handed out, and not known to be gone
    bool acknowledged = false;          // a version handed out since the last deletion
    std::set<SequenceNumber> versions;  // acknowledged ones
    uint64_t last_live = 0;             // newest session that handed out a version
    uint64_t last_deleted = 0;          // newest session that handed out its deletion
  };

  const Life* Find(const RecordKey& key, SequenceNumber birth) const {
    const auto lives = lives_.find(key);
    if (lives == lives_.end()) return nullptr;
    const auto life = lives->second.find(birth);
    return life == lives->second.end() ? nullptr : &life->second;
  }

  std::map<RecordKey, std::map<SequenceNumber, Life>> lives_;
  uint64_t first_session_ = 0;
};

}  // namespace tidemark::model
