// Comparing header names and words of the protocol, which are ASCII and have no case.
#pragma once

#include <algorithm>
#include <string_view>

namespace tidemark::http::internal {

constexpr char LowerAscii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

inline bool EqualsIgnoringCase(std::string_view left, std::string_view right) {
  return left.size() == right.size() &&
         std::equal(left.begin(), left.end(), right.begin(), [](char a, char b) {
           return LowerAscii(a) == LowerAscii(b);
         });
}

}  // namespace tidemark::http::internal
