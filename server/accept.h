// Which of two representations a client asked for.
#pragma once

#include <string_view>

#include "http/message.h"

namespace tidemark::server {

/// True when the `Accept` fields of a request name `type` itself, with a weight above zero and no
/// lower than that of `usual`, if they name that one too. Wildcards mean the usual one: who does
/// not ask for another representation never gets it. Types compare without case (RFC 9110, 12.5.1).
bool Prefers(const http::Headers& headers, std::string_view type, std::string_view usual);

}  // namespace tidemark::server
