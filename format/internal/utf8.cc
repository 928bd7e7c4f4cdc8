#include "format/internal/utf8.h"

#include <cstdint>
#include <cstring>

namespace tidemark::internal {
namespace {

// Bytes of the well-formed character at the front of `text`, 0 if there is none.
size_t CharacterBytes(std::string_view text) {
  const auto at = [text](size_t i) {
    return static_cast<uint8_t>(text[i]);
  };
  const auto continues = [&](size_t i) {
    return i < text.size() && (at(i) & 0xc0) == 0x80;
  };
  const uint8_t lead = at(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || !continues(1)) return 0;  // a continuation, an overlong form, or the end
  if (lead < 0xe0) return 2;
  if (!continues(2)) return 0;
  if (lead < 0xf0) {
    const bool overlong = lead == 0xe0 && at(1) < 0xa0;
    const bool surrogate = lead == 0xed && at(1) >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  if (!continues(3)) return 0;
  const bool overlong = lead == 0xf0 && at(1) < 0x90;
  const bool beyond_unicode = lead > 0xf4 || (lead == 0xf4 && at(1) >= 0x90);
  return overlong || beyond_unicode ? 0 : 4;
}

}  // namespace

size_t Utf8PrefixBytes(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    // Most text is ASCII: eight bytes at a time.
    uint64_t word = 0;
    if (rest.size() >= sizeof(word)) {
      std::memcpy(&word, rest.data(), sizeof(word));
      if ((word & 0x8080808080808080U) == 0) {
        rest.remove_prefix(sizeof(word));
        continue;
      }
    }
    const size_t bytes = CharacterBytes(rest);
    if (bytes == 0) break;
    rest.remove_prefix(bytes);
  }
  return text.size() - rest.size();
}

}  // namespace tidemark::internal
