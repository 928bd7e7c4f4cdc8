#include "format/checksum.h"

#include <bit>
#include <cstring>

// Inlined: most inputs are ids of a few bytes, where a call costs as much as the hash.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tidemark {
namespace {

static_assert(std::tuple_size_v<HashSecret> >= XXH3_SECRET_SIZE_MIN);

Hash128 FromXxh(XXH128_hash_t hash) {
  return {hash.low64, hash.high64};
}

// Hashes `head`, then `bytes`, without joining them first.
Hash128 HashJoined(XXH3_state_t* state, std::string_view head, std::string_view bytes) {
  XXH3_128bits_update(state, head.data(), head.size());
  XXH3_128bits_update(state, bytes.data(), bytes.size());
  return FromXxh(XXH3_128bits_digest(state));
}

uint64_t LittleEndian(uint64_t value) {
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  return value;
}

}  // namespace

uint64_t Hash64(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Hash128 Checksum128(std::string_view bytes) {
  return FromXxh(XXH3_128bits(bytes.data(), bytes.size()));
}

Hash128 Checksum128(std::string_view head, std::string_view bytes) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  return HashJoined(&state, head, bytes);
}

Hash128 ChainHash(const Hash128& previous, std::string_view bytes) {
  std::string link;
  AppendHash(&link, previous);
  return Checksum128(link, bytes);
}

Hash128 KeyedHash128(const HashSecret& secret, std::string_view bytes) {
  return FromXxh(XXH3_128bits_withSecret(bytes.data(), bytes.size(), secret.data(), secret.size()));
}

Hash128 KeyedHash128(const HashSecret& secret, uint8_t tag, std::string_view bytes) {
  XXH3_state_t state;
  XXH3_128bits_reset_withSecret(&state, secret.data(), secret.size());
  const char head = static_cast<char>(tag);
  return HashJoined(&state, std::string_view(&head, 1), bytes);
}

void AppendHash(std::string* out, const Hash128& hash) {
  const uint64_t halves[2] = {LittleEndian(hash.low), LittleEndian(hash.high)};
  char bytes[sizeof(halves)];
  std::memcpy(bytes, halves, sizeof(halves));
  out->append(bytes, sizeof(bytes));
}

Hash128 LoadHash(const char* bytes) {
  uint64_t halves[2];
  std::memcpy(halves, bytes, sizeof(halves));
  return {LittleEndian(halves[0]), LittleEndian(halves[1])};
}

std::string ToHex(const Hash128& hash) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(32);
  for (const uint64_t half : {hash.high, hash.low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text.push_back(kDigits[(half >> shift) & 15]);
  }
  return text;
}

}  // namespace tidemark
