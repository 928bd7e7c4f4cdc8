// XXH3 behind one header: checksums, content hashes and keyed seals. None of them is a MAC against
// an attacker who can choose messages and see many seals; trust across machines needs TLS.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark {

/// 128 bits of XXH3.
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  constexpr auto operator<=>(const Hash128&) const = default;  // NOLINT(modernize-use-nullptr)
  bool empty() const { return low == 0 && high == 0; }
};

/// Secret material of a store; at least 136 bytes, as XXH3 wants it. Made once, at random.
using HashSecret = std::array<uint8_t, 192>;

uint64_t Hash64(std::string_view bytes);
Hash128 Checksum128(std::string_view bytes);
/// The checksum of `head` and `bytes` one after the other, without joining them.
Hash128 Checksum128(std::string_view head, std::string_view bytes);
/// Chains: the checksum of `bytes` seeded by the previous link.
Hash128 ChainHash(const Hash128& previous, std::string_view bytes);
/// Keyed by a secret of the store, so that nobody outside can craft two values that collide.
Hash128 KeyedHash128(const HashSecret& secret, std::string_view bytes);
Hash128 KeyedHash128(const HashSecret& secret, uint8_t tag, std::string_view bytes);

/// 16 bytes, little-endian, low half first.
void AppendHash(std::string* out, const Hash128& hash);
/// Requires 16 readable bytes at `bytes`.
Hash128 LoadHash(const char* bytes);
/// 32 lower-case hexadecimal digits, high half first, as `xxhsum -H2` prints it.
std::string ToHex(const Hash128& hash);

}  // namespace tidemark
