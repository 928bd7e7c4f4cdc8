// What a device may see: an immutable set of parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"

namespace tidemark {

/// What a selection is made of. A part is an entity, by its number; a value of a declared field of
/// one is to become a further kind of part.
using Part = uint32_t;

/// Parts that one selection may name. Beyond it a caller is told `kTooLarge`.
inline constexpr size_t kSelectionPartsMax = 4096;

/// A set of parts, or everything but a set of parts: what is to come is part of everything. 24
/// bytes; copies share the list. Immutable, so thread-safe. The default is everything.
class Selection {
 public:
  Selection() = default;
  static Selection Everything() { return {}; }
  static Selection Nothing() { return Of({}); }
  /// Any order, repeats allowed.
  static Selection Of(std::vector<Part> parts);
  static Selection EverythingBut(std::vector<Part> parts);

  bool Contains(Part part) const;
  bool everything() const { return complement_ && named_ == nullptr; }
  bool nothing() const { return !complement_ && named_ == nullptr; }
  /// False: the parts are `named()`; true: they are all but `named()`.
  bool complement() const { return complement_; }
  /// Increasing, without repeats.
  const std::vector<Part>& named() const;

  /// Parts in one of the two, not in both.
  static Selection Difference(const Selection& left, const Selection& right);
  static Selection Union(const Selection& left, const Selection& right);

  bool operator==(const Selection& other) const;
  /// Equal selections have equal hashes, in every process: a stored name of the set.
  uint64_t Hash() const;

  void Encode(std::string* out) const;
  /// Reads what `Encode` wrote from the front of `*bytes` and removes it; anything else is
  /// `kCorruption`.
  static Result<Selection> Decode(std::string_view* bytes);

 private:
  Selection(std::vector<Part> named, bool complement);  // requires: increasing, no repeats

  std::shared_ptr<const std::vector<Part>> named_;  // null when there are none
  bool complement_ = true;
};

}  // namespace tidemark

template <>
struct std::hash<tidemark::Selection> {
  size_t operator()(const tidemark::Selection& selection) const noexcept {
    return static_cast<size_t>(selection.Hash());
  }
};
