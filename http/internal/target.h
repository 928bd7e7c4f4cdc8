// The request target: path and query, percent-decoded once.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace tidemark::http::internal {

/// Fills `path`, `segments` and `query` of `*request`. False for a bad percent-encoding, and for
/// control characters once decoded. A leading double slash is one; another empty segment stays, and
/// matches nothing.
bool ParseTarget(std::string_view target, Request* request);

/// nullopt for a `%` without two hexadecimal digits, and for control characters in the result.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);

}  // namespace tidemark::http::internal
