// Where records were, for how long: what selections are decided by.
#pragma once

#include <compare>
#include <cstdint>

#include "format/sequence.h"

namespace tidemark {

/// A value of one of an entity's declared keys. Key 0 is the entity itself, and its value is 0.
struct KeyValue {
  uint16_t key = 0;
  uint64_t value = 0;  ///< hash of the value, keyed by the secret of its store

  bool whole() const { return key == 0; }
  constexpr auto operator<=>(const KeyValue&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// A live record has had this value of a key since `from`. That it is in its entity goes without
/// saying.
struct OpenStay {
  KeyValue in;
  SequenceNumber from;
  bool operator==(const OpenStay&) const = default;
};

/// The life that was born at `birth` had this value of a key in `[begin(), until)`. A stay in the
/// entity itself is the whole life, and `until` its death. Kept with the newest row of the id, a
/// tombstone or not, while some device may still need to be told that it ended.
struct EndedStay {
  SequenceNumber birth;
  SequenceNumber until;
  SequenceNumber from = {};  ///< zero for the entity itself
  KeyValue in = {};

  SequenceNumber begin() const { return in.whole() ? birth : from; }
  bool operator==(const EndedStay&) const = default;
};

}  // namespace tidemark
