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
inline constexpr Part kParts = 3;

inline Part PartOf(int id) {
  return static_cast<Part>(id) % kParts;
}

/// An entry as a view shows it.
struct ToyEntry {
  int id = 0;
  SequenceNumber head;
  bool live = false;
  SequenceNumber birth;
  std::vector<EndedLife> ended;

  EntryState state() const {
    return {.part = PartOf(id), .head = head, .live = live, .birth = birth, .ended = ended};
  }
};

class ToyLog {
 public:
  /// Decides whether an ended life is still needed.
  using Keeps = std::function<bool(Part, const EndedLife&)>;

  SequenceNumber last() const { return last_; }

  /// Creates or updates. Lives that nobody needs are forgotten on the way.
  void Put(int id, const Keeps& keeps) {
    ToyEntry entry = Next(id, keeps);
    const ToyEntry* before = Current(id);
    entry.live = true;
    entry.birth = before != nullptr && before->live ? before->birth : entry.head;
    Append(entry);
  }

  void Delete(int id, const Keeps& keeps) {
    const ToyEntry* before = Current(id);
    if (before == nullptr || !before->live) return;
    ToyEntry entry = Next(id, [](Part, const EndedLife&) { return true; });
    entry.ended.push_back({before->birth, entry.head});
    std::erase_if(entry.ended, [&](const EndedLife& life) { return !keeps(PartOf(id), life); });
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
          std::any_of(entry->ended.begin(), entry->ended.end(), [&](const EndedLife& life) {
            return keeps(PartOf(id), life);
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
    std::erase_if(entry.ended, [&](const EndedLife& life) { return !keeps(PartOf(id), life); });
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
