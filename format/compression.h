// Compression of bytes that travel as files: Zstandard, one piece at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tidemark {

/// One Zstandard frame of `bytes`; nullopt where that would be no shorter.
std::optional<std::string> Compress(std::string_view bytes);

/// What was compressed, which has exactly `size` bytes. nullopt: these bytes are not that. Takes
/// `size` bytes of memory and no more, so bound it before.
std::optional<std::string> Decompress(std::string_view bytes, size_t size);

}  // namespace tidemark
