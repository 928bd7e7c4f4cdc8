// A change log in plain containers, for the model of the marks: what is current now, and what was
// current at every earlier sequence number.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "replication/internal/marks.h"

namespace tidemark::model {

inline constexpr int kIds = 9;
inline constexpr EntityNumber kEntities = 3;
inline constexpr uint16_t kKeys = 2;       // declared in each entity
inline constexpr uint64_t kValuesMax = 3;  // of a key; a record may also have none

inline EntityNumber EntityOf(int id) {
  return static_cast<EntityNumber>(id) % kEntities;
}

/// What a record has of each key.
using ToyValues = std::vector<KeyValue>;

/// An entry as a view shows it.
struct ToyEntry {
  int id = 0;
  SequenceNumber head;
  bool live = false;
  SequenceNumber birth;
  std::vector<EndedStay> ended;
  std::vector<OpenStay> stays;

  EntryState state() const {
    return {.entity = EntityOf(id),
            .head = head,
            .live = live,
            .birth = birth,
            .ended = ended,
            .stays = stays};
  }
  /// Some part of the selection has the record.
  bool IsIn(const Selection& selection) const {
    return live && (selection.Contains(EntityOf(id)) ||
                    std::any_of(stays.begin(), stays.end(), [&](const OpenStay& stay) {
                      return selection.Contains(Part(EntityOf(id), stay.in));
                    }));
  }
};

class ToyLog {
 public:
  /// Decides whether an ended stay is still needed.
  using Keeps = std::function<bool(EntityNumber, const EndedStay&)>;

  SequenceNumber last() const { return last_; }

  /// Creates or updates. Stays that nobody needs are forgotten on the way.
  void Put(int id, const ToyValues& values, const Keeps& keeps) {
    ToyEntry entry = Next(id, [](EntityNumber, const EndedStay&) { return true; });
    const ToyEntry* before = Current(id);
    const bool lives = before != nullptr && before->live;
    entry.live = true;
    entry.birth = lives ? before->birth : entry.head;
    for (const KeyValue& value : values) entry.stays.push_back({value, entry.head});
    if (lives) {
      for (const OpenStay& stay : before->stays) {
        const auto stayed = std::find_if(entry.stays.begin(),
                                         entry.stays.end(),
                                         [&](const OpenStay& now) { return now.in == stay.in; });
        if (stayed != entry.stays.end()) {
          stayed->from = stay.from;
        } else {
          entry.ended.push_back({before->birth, entry.head, stay.from, stay.in});
        }
      }
    }
    std::erase_if(entry.ended, [&](const EndedStay& stay) { return !keeps(EntityOf(id), stay); });
    Append(entry);
  }

  void Delete(int id, const Keeps& keeps) {
    const ToyEntry* before = Current(id);
    if (before == nullptr || !before->live) return;
    ToyEntry entry = Next(id, [](EntityNumber, const EndedStay&) { return true; });
    for (const OpenStay& stay : before->stays) {
      entry.ended.push_back({before->birth, entry.head, stay.from, stay.in});
    }
    entry.ended.push_back({before->birth, entry.head});
    std::erase_if(entry.ended, [&](const EndedStay& stay) { return !keeps(EntityOf(id), stay); });
    Append(entry);
    if (entry.ended.empty()) Forget(id, entry.head);
  }

  /// One trim pass. Returns the tombstones that stay.
  std::vector<ToyEntry> Purge(const Keeps& keeps) {
    std::vector<ToyEntry> kept;
    for (int id = 0; id < kIds; ++id) {
      const ToyEntry* entry = Current(id);
      if (entry == nullptr || entry->live) continue;
      const bool needed =
          std::any_of(entry->ended.begin(), entry->ended.end(), [&](const EndedStay& life) {
            return keeps(EntityOf(id), life);
          });
      if (needed) {
        kept.push_back(*entry);
      } else {
        Forget(id, entry->head);
      }
    }
    return kept;
  }

  /// The newest entry of an id; null when it never was, or when its tombstone was purged.
  const ToyEntry* Current(int id) const {
    const std::vector<Version>& versions = history_[static_cast<size_t>(id)];
    if (versions.empty() || versions.back().forgotten) return nullptr;
    return &versions.back().entry;
  }

  /// What is visible at a pinned cut, in order of heads.
  std::vector<ToyEntry> View(SequenceNumber cut) const {
    std::vector<ToyEntry> view;
    for (const std::vector<Version>& versions : history_) {
      auto at = std::upper_bound(
          versions.begin(), versions.end(), cut, [](SequenceNumber value, const Version& version) {
            return value < version.entry.head;
          });
      if (at != versions.begin() && !(--at)->forgotten) view.push_back(at->entry);
    }
    std::sort(view.begin(), view.end(), [](const ToyEntry& left, const ToyEntry& right) {
      return left.head < right.head;
    });
    return view;
  }

 private:
  struct Version {
    ToyEntry entry;
    bool forgotten = false;  // a tombstone that was purged
  };

  ToyEntry Next(int id, const Keeps& keeps) {
    ToyEntry entry;
    entry.id = id;
    entry.head = last_.Next();
    if (const ToyEntry* before = Current(id)) entry.ended = before->ended;
    std::erase_if(entry.ended, [&](const EndedStay& stay) { return !keeps(EntityOf(id), stay); });
    return entry;
  }

  void Append(const ToyEntry& entry) {
    last_ = entry.head;
    history_[static_cast<size_t>(entry.id)].push_back({entry, false});
  }

  void Forget(int id, SequenceNumber head) {
    for (Version& version : history_[static_cast<size_t>(id)]) {
      if (version.entry.head == head) version.forgotten = true;
    }
  }

  std::vector<std::vector<Version>> history_ = std::vector<std::vector<Version>>(kIds);
  SequenceNumber last_;
};

}  // namespace tidemark::model
