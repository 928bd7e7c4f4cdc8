#pragma once

#include <cstddef>
#include <string_view>

namespace tidemark::internal {

/// Bytes at the front of `text` that are well-formed UTF-8; all of them if it is.
size_t Utf8PrefixBytes(std::string_view text);

}  // namespace tidemark::internal
