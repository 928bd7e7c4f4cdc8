#include "replication/selection.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "format/checksum.h"
#include "format/coding.h"

namespace tidemark {
namespace {

std::vector<Part> Sorted(std::vector<Part> parts) {
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  return parts;
}

}  // namespace

Selection::Selection(std::vector<Part> named, bool complement)
    : named_(named.empty() ? nullptr : std::make_shared<const std::vector<Part>>(std::move(named))),
      complement_(complement) {}

Selection Selection::Of(std::vector<Part> parts) {
  return {Sorted(std::move(parts)), false};
}

Selection Selection::EverythingBut(std::vector<Part> parts) {
  return {Sorted(std::move(parts)), true};
}

bool Selection::Contains(Part part) const {
  if (named_ == nullptr) return complement_;
  return std::binary_search(named_->begin(), named_->end(), part) != complement_;
}

const std::vector<Part>& Selection::named() const {
  static const std::vector<Part> kNone;
  return named_ == nullptr ? kNone : *named_;
}

Selection Selection::Difference(const Selection& left, const Selection& right) {
  std::vector<Part> named;
  std::set_symmetric_difference(left.named().begin(),
                                left.named().end(),
                                right.named().begin(),
                                right.named().end(),
                                std::back_inserter(named));
  return {std::move(named), left.complement_ != right.complement_};
}

Selection Selection::Union(const Selection& left, const Selection& right) {
  const std::vector<Part>& a = left.named();
  const std::vector<Part>& b = right.named();
  std::vector<Part> named;
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
  return {std::move(named), left.complement_ || right.complement_};
}

bool Selection::operator==(const Selection& other) const {
  if (complement_ != other.complement_) return false;
  return named_ == other.named_ || named() == other.named();
}

uint64_t Selection::Hash() const {
  std::string bytes;
  Encode(&bytes);
  return Hash64(bytes);
}

// One varint of 2 * count + complement, then the parts, each as its distance from the one before.
void Selection::Encode(std::string* out) const {
  AppendVarint(out, named().size() * 2 + (complement_ ? 1 : 0));
  uint64_t next = 0;  // lowest part that can follow
  for (const Part part : named()) {
    AppendVarint(out, part - next);
    next = uint64_t{part} + 1;
  }
}

Result<Selection> Selection::Decode(std::string_view* bytes) {
  ByteReader reader(*bytes);
  const uint64_t head = reader.Varint();
  const uint64_t count = head / 2;
  std::vector<Part> named;
  bool sound = reader.ok() && count <= bytes->size();
  uint64_t next = 0;
  for (uint64_t i = 0; sound && i < count; ++i) {
    const uint64_t distance = reader.Varint();
    sound = reader.ok() && distance <= std::numeric_limits<Part>::max() &&
            next + distance <= std::numeric_limits<Part>::max();
    named.push_back(static_cast<Part>(next + distance));
    next += distance + 1;
  }
  if (!sound) return Status(ErrorCode::kCorruption, "malformed selection");
  *bytes = reader.rest();
  return Selection(std::move(named), head % 2 == 1);
}

}  // namespace tidemark
