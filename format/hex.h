// Bytes as lower-case hexadecimal digits, and back.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tidemark {

std::string EncodeHex(std::string_view bytes);
/// nullopt when `text` is not pairs of hexadecimal digits, of either case.
std::optional<std::string> DecodeHex(std::string_view text);

}  // namespace tidemark
