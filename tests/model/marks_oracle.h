// What one device is owed, from what it was told and what it answered: plain maps that know
// nothing of floors, and forget nothing. The independent judge of the marks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/toy_log.h"

namespace tidemark::model {

/// An instruction as the device and the oracle see it.
struct Told {
  int id = 0;
  uint64_t session = 0;
  uint64_t page = 0;
  Instruction instruction;
  bool single = false;  // acknowledged record by record
};

class Oracle {
 public:
  void Reset(uint64_t next_session) {
    lives_.clear();
    first_session_ = next_session;
  }

  /// What the contract says about an entry under a selection.
  std::optional<RowOp> Owed(const ToyEntry& entry, const Selection& selection) const {
    if (entry.IsIn(selection)) {
      const Life* life = Find(entry.id, entry.birth);
      if (life == nullptr || !life->acknowledged) return RowOp::kCreated;
      if (life->versions.contains(entry.head)) return std::nullopt;
      return RowOp::kUpdated;
    }
    return Holds(entry.id) ? std::optional(RowOp::kDelete) : std::nullopt;
  }

  void HandOut(const Told& told) {
    if (!told.instruction.deleted()) {
      Life& life = lives_[told.id][told.instruction.birth];
      life.held = true;
      life.last_live = told.session;
      return;
    }
    for (auto& [birth, life] : lives_[told.id]) {
      if (!life.held) continue;
      life.acknowledged = false;
      life.versions.clear();
      life.last_deleted = told.session;
    }
  }

  void Acknowledge(const Told& told) {
    if (told.session < first_session_) return;
    std::map<SequenceNumber, Life>& lives = lives_[told.id];
    if (told.instruction.deleted()) {
      for (auto& [birth, life] : lives) {
        if (life.last_deleted >= told.session && life.last_live < told.session) life.held = false;
      }
      return;
    }
    Life& life = lives[told.instruction.birth];
    if (life.last_deleted > told.session) return;  // told to drop it since
    life.acknowledged = true;
    life.versions.insert(told.instruction.place);
    for (auto& [birth, older] : lives) {
      if (birth < told.instruction.birth) older.held = false;
    }
  }

  /// The device wrote this version itself, or deleted the record, in the time of `session`.
  void Write(int id, SequenceNumber birth, SequenceNumber head, bool live, uint64_t session) {
    for (auto& [other, life] : lives_[id]) {
      if (live && other == birth) continue;
      life.held = false;
      life.acknowledged = false;
      life.versions.clear();
      life.last_deleted = session;
    }
    if (!live) return;
    Life& life = lives_[id][birth];
    life.held = true;
    life.acknowledged = true;
    life.versions.insert(head);
    life.last_live = session;
  }

  /// The device may have this life.
  bool Holds(int id, SequenceNumber birth) const {
    const Life* life = Find(id, birth);
    return life != nullptr && life->held;
  }
  bool Holds(int id) const {
    const auto lives = lives_.find(id);
    if (lives == lives_.end()) return false;
    return std::any_of(lives->second.begin(), lives->second.end(), [](const auto& entry) {
      return entry.second.held;
    });
  }
  /// Lives that the device may have, of one id.
  std::vector<SequenceNumber> HeldLives(int id) const {
    std::vector<SequenceNumber> held;
    const auto lives = lives_.find(id);
    if (lives == lives_.end()) return held;
    for (const auto& [birth, life] : lives->second) {
      if (life.held) held.push_back(birth);
    }
    return held;
  }

 private:
  struct Life {
    bool held = false;                  // handed out, and not known to be gone
    bool acknowledged = false;          // a version handed out since the last deletion
    std::set<SequenceNumber> versions;  // acknowledged ones
    uint64_t last_live = 0;             // newest session that handed out a version
    uint64_t last_deleted = 0;          // newest session that handed out its deletion
  };

  const Life* Find(int id, SequenceNumber birth) const {
    const auto lives = lives_.find(id);
    if (lives == lives_.end()) return nullptr;
    const auto life = lives->second.find(birth);
    return life == lives->second.end() ? nullptr : &life->second;
  }

  std::map<int, std::map<SequenceNumber, Life>> lives_;  // id -> birth -> life
  uint64_t first_session_ = 0;
};

}  // namespace tidemark::model
