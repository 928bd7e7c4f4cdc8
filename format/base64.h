// Base64 as RFC 4648 has it, with padding: how binary values appear in JSON.
#pragma once

#include <string>
#include <string_view>

#include "format/status.h"

namespace tidemark {

std::string EncodeBase64(std::string_view bytes);
/// Strict: `kInvalidArgument` for other characters, missing padding, or bits that encode nothing.
Result<std::string> DecodeBase64(std::string_view text);

}  // namespace tidemark
