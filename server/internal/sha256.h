// SHA-256 and comparison of secrets. The one door to the library that has them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark::server {

using Sha256Digest = std::array<uint8_t, 32>;

Sha256Digest Sha256(std::string_view bytes);
/// In a time that does not depend on where the two differ.
bool SameDigest(const Sha256Digest& left, const Sha256Digest& right);

}  // namespace tidemark::server
