// Amounts as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "format/status.h"

namespace tidemark::tools {

/// "90s", "15m", "12h", "30d", as milliseconds.
Result<int64_t> ParseDuration(std::string_view text);
/// "4096", "64KiB", "10MiB", "2GiB", as bytes.
Result<uint64_t> ParseByteCount(std::string_view text);
/// Decimal digits only, nothing around them.
std::optional<uint64_t> ParseUnsigned(std::string_view text);

}  // namespace tidemark::tools
