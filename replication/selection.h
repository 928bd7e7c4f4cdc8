// What a device may see: an immutable set of parts.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "format/status.h"
#include "format/stay.h"

namespace tidemark {

/// What a selection is made of: an entity, or the records of one that have a value of a declared
/// key.
struct Part {
  EntityNumber entity = 0;
  KeyValue in = {};  ///< whole: the entity

  constexpr Part() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): an entity is a part
  constexpr Part(EntityNumber whole, KeyValue value = {}) : entity(whole), in(value) {}
  constexpr auto operator<=>(const Part&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// Parts that one selection may name. Beyond it a caller is told `kTooLarge`.
inline constexpr size_t kSelectionPartsMax = 4096;

/// A set of entities, or every entity but a set of them (what is to come is part of everything),
/// and beside them values of declared keys. 24 bytes; copies share the lists. Immutable, so
/// thread-safe. The default is everything.
class Selection {
 public:
  Selection() = default;
  static Selection Everything() { return {}; }
  static Selection Nothing() { return Of({}); }
  /// Any order, repeats allowed.
  static Selection Of(const std::vector<Part>& parts);
  /// Every entity but these.
  static Selection EverythingBut(std::vector<EntityNumber> entities);

  /// The whole of the entity.
  bool Contains(EntityNumber entity) const;
  /// Requires a value of a key.
  bool ContainsValue(const Part& part) const;
  bool Contains(const Part& part) const {
    return part.in.whole() ? Contains(part.entity) : ContainsValue(part);
  }
  /// Some value of a key of the entity.
  bool NamesValuesOf(EntityNumber entity) const { return !ValuesOf(entity).empty(); }
  std::span<const Part> ValuesOf(EntityNumber entity) const;
  /// The entity, or some of it.
  bool Touches(EntityNumber entity) const { return Contains(entity) || NamesValuesOf(entity); }
  bool names_values() const { return lists_ != nullptr && !lists_->values.empty(); }
  bool everything() const { return complement_ && lists_ == nullptr; }
  bool nothing() const { return !complement_ && lists_ == nullptr; }
  /// False: the entities are `named()`; true: they are all but `named()`.
  bool complement() const { return complement_; }
  /// Increasing, without repeats.
  const std::vector<EntityNumber>& named() const;
  /// The same.
  const std::vector<Part>& values() const;

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
  struct Lists {
    std::vector<EntityNumber> named;
    std::vector<Part> values;
    bool operator==(const Lists&) const = default;
  };
  // Requires: increasing, no repeats.
  Selection(std::vector<EntityNumber> named, bool complement, std::vector<Part> values);

  std::shared_ptr<const Lists> lists_;  // null when both are empty
  bool complement_ = true;
};

}  // namespace tidemark

template <>
struct std::hash<tidemark::Selection> {
  size_t operator()(const tidemark::Selection& selection) const noexcept {
    return static_cast<size_t>(selection.Hash());
  }
};
