// ISO-8601 timestamps in values. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidemark::internal {

/// Milliseconds since 1970 of an ISO-8601 timestamp in extended form: a date, or a date and a time
/// with `Z`, an offset or neither, which then counts as UTC. nullopt: it is none.
std::optional<int64_t> ReadIsoTimestamp(std::string_view text);

inline bool IsIsoTimestamp(std::string_view text) {
  return ReadIsoTimestamp(text).has_value();
}

}  // namespace tidemark::internal
