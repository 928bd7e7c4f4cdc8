// What every Debian machine has: its package index and its package log, as records and events.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"

namespace tidemark::examples {

/// One record or event, as JSON text.
using Emit = std::function<void(std::string json)>;

/// Reads a package index (stanzas of `Field: value` lines, folded lines begin with a blank) and
/// emits one JSON object a package: `id` is the package's name, every field keeps its own name.
Status ReadPackageIndex(const std::filesystem::path& file, const Emit& emit);

/// Reads a package log (`2031-05-01 10:00:00 status installed gcc:amd64 12.2`) and emits one JSON
/// object a line: `timestamp`, `action`, and what follows it.
Status ReadPackageLog(const std::filesystem::path& file, const Emit& emit);

}  // namespace tidemark::examples
