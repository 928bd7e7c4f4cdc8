#include "replication/selection.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "format/checksum.h"
#include "format/coding.h"

namespace tidemark {
namespace {

// In the head of an encoded selection: values of keys follow the entities.
constexpr uint64_t kHasValues = uint64_t{1} << 32;

template <typename Element>
std::vector<Element> Sorted(std::vector<Element> elements) {
  std::sort(elements.begin(), elements.end());
  elements.erase(std::unique(elements.begin(), elements.end()), elements.end());
  return elements;
}

}  // namespace

Selection::Selection(std::vector<EntityNumber> named, bool complement, std::vector<Part> values)
    : complement_(complement) {
  if (named.empty() && values.empty()) return;
  lists_ = std::make_shared<const Lists>(Lists{std::move(named), std::move(values)});
}

Selection Selection::Of(const std::vector<Part>& parts) {
  std::vector<EntityNumber> named;
  std::vector<Part> values;
  for (const Part& part : parts) {
    if (part.in.whole()) {
      named.push_back(part.entity);
    } else {
      values.push_back(part);
    }
  }
  return {Sorted(std::move(named)), false, Sorted(std::move(values))};
}

Selection Selection::EverythingBut(std::vector<EntityNumber> entities) {
  return {Sorted(std::move(entities)), true, {}};
}

bool Selection::Contains(EntityNumber entity) const {
  if (lists_ == nullptr) return complement_;
  return std::binary_search(named().begin(), named().end(), entity) != complement_;
}

bool Selection::ContainsValue(const Part& part) const {
  return lists_ != nullptr && std::binary_search(values().begin(), values().end(), part);
}

std::span<const Part> Selection::ValuesOf(EntityNumber entity) const {
  const std::vector<Part>& all = values();
  const auto begin = std::lower_bound(all.begin(), all.end(), Part(entity));
  const auto end = std::partition_point(
      begin, all.end(), [entity](const Part& part) { return part.entity == entity; });
  return {begin, end};
}

const std::vector<EntityNumber>& Selection::named() const {
  static const std::vector<EntityNumber> kNone;
  return lists_ == nullptr ? kNone : lists_->named;
}

const std::vector<Part>& Selection::values() const {
  static const std::vector<Part> kNone;
  return lists_ == nullptr ? kNone : lists_->values;
}

Selection Selection::Difference(const Selection& left, const Selection& right) {
  std::vector<EntityNumber> named;
  std::set_symmetric_difference(left.named().begin(),
                                left.named().end(),
                                right.named().begin(),
                                right.named().end(),
                                std::back_inserter(named));
  std::vector<Part> values;
  std::set_symmetric_difference(left.values().begin(),
                                left.values().end(),
                                right.values().begin(),
                                right.values().end(),
                                std::back_inserter(values));
  return {std::move(named), left.complement_ != right.complement_, std::move(values)};
}

Selection Selection::Union(const Selection& left, const Selection& right) {
  const std::vector<EntityNumber>& a = left.named();
  const std::vector<EntityNumber>& b = right.named();
  std::vector<EntityNumber> named;
  const auto out = std::back_inserter(named);
  if (left.complement_ && right.complement_) {
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), out);
  } else if (left.complement_) {
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), out);
  } else if (right.complement_) {
    std::set_difference(b.begin(), b.end(), a.begin(), a.end(), out);
  } else {
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), out);
  }
  std::vector<Part> values;
  std::set_union(left.values().begin(),
                 left.values().end(),
                 right.values().begin(),
                 right.values().end(),
                 std::back_inserter(values));
  return {std::move(named), left.complement_ || right.complement_, std::move(values)};
}

bool Selection::operator==(const Selection& other) const {
  if (complement_ != other.complement_) return false;
  return lists_ == other.lists_ || (named() == other.named() && values() == other.values());
}

uint64_t Selection::Hash() const {
  std::string bytes;
  Encode(&bytes);
  return Hash64(bytes);
}

// One varint of 2 * count + complement, then the entities, each as its distance from the one
// before. Where there are values of keys, the head says so, and after the entities stand their
// count and, for each, entity, key and the value's 8 bytes.
void Selection::Encode(std::string* out) const {
  AppendVarint(out, named().size() * 2 + (complement_ ? 1 : 0) + (names_values() ? kHasValues : 0));
  uint64_t next = 0;  // lowest entity that can follow
  for (const EntityNumber entity : named()) {
    AppendVarint(out, entity - next);
    next = uint64_t{entity} + 1;
  }
  if (!names_values()) return;
  AppendVarint(out, values().size());
  for (const Part& part : values()) {
    AppendVarint(out, part.entity);
    AppendVarint(out, part.in.key);
    AppendBigEndian64(out, part.in.value);
  }
}

Result<Selection> Selection::Decode(std::string_view* bytes) {
  constexpr uint64_t kEntityMax = std::numeric_limits<EntityNumber>::max();
  const Status malformed(ErrorCode::kCorruption, "malformed selection");
  ByteReader reader(*bytes);
  const uint64_t head = reader.Varint();
  const uint64_t count = (head % kHasValues) / 2;
  if (!reader.ok() || head >= 2 * kHasValues || count > bytes->size()) return malformed;
  std::vector<EntityNumber> named;
  uint64_t next = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t distance = reader.Varint();
    if (!reader.ok() || distance > kEntityMax || next + distance > kEntityMax) return malformed;
    named.push_back(static_cast<EntityNumber>(next + distance));
    next += distance + 1;
  }
  std::vector<Part> values;
  const uint64_t value_count = head >= kHasValues ? reader.Varint() : 0;
  if (value_count > bytes->size()) return malformed;
  for (uint64_t i = 0; i < value_count; ++i) {
    Part part(static_cast<EntityNumber>(reader.Varint()));
    part.in.key = static_cast<uint16_t>(reader.Varint());
    part.in.value = reader.BigEndian64();
    const bool follows = values.empty() || values.back() < part;
    if (!reader.ok() || part.in.whole() || !follows) return malformed;
    values.push_back(part);
  }
  *bytes = reader.rest();
  return Selection(std::move(named), head % 2 == 1, std::move(values));
}

}  // namespace tidemark
