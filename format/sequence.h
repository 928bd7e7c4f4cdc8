// Sequence numbers: positions in a store's change log.
#pragma once

#include <compare>
#include <cstdint>

namespace tidemark {

/// Position of a change in the change log of one store. Assigned in the commit itself, strictly
/// increasing, below 2^53 so that every JSON reader holds it exactly (contract: "sequence number").
/// Zero is before every change.
class SequenceNumber {
 public:
  constexpr SequenceNumber() = default;
  constexpr explicit SequenceNumber(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }
  constexpr SequenceNumber Next() const { return SequenceNumber(value_ + 1); }
  constexpr SequenceNumber Previous() const { return SequenceNumber(value_ - 1); }

  constexpr auto operator<=>(const SequenceNumber&) const =
      default;  // NOLINT(modernize-use-nullptr)
  constexpr SequenceNumber operator+(uint64_t count) const {
    return SequenceNumber(value_ + count);
  }
  constexpr uint64_t operator-(SequenceNumber other) const { return value_ - other.value_; }

 private:
  uint64_t value_ = 0;
};

inline constexpr SequenceNumber kSequenceZero{0};
/// No change ever gets a number at or above this one.
inline constexpr SequenceNumber kSequenceLimit{uint64_t{1} << 53};

/// Half-open: contains `first`, not `limit`.
struct SequenceRange {
  SequenceNumber first;
  SequenceNumber limit;

  constexpr bool empty() const { return limit <= first; }
  constexpr uint64_t size() const { return empty() ? 0 : limit - first; }
  constexpr bool Contains(SequenceNumber sequence) const {
    return first <= sequence && sequence < limit;
  }
  constexpr bool operator==(const SequenceRange&) const = default;
};

}  // namespace tidemark
