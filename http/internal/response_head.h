// The head of an answer, as bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace tidemark::http::internal {

/// What the connection knows and the answer does not.
struct ResponseFraming {
  std::string_view request_id;
  bool keep_alive = false;
  bool http_1_0 = false;
  bool chunked = false;                ///< a stream follows, as chunks
  std::optional<uint64_t> body_bytes;  ///< absent: a stream
};

/// Status line, fields and the empty line.
std::string EncodeResponseHead(const Response& response, const ResponseFraming& framing);

/// 16 hexadecimal digits, unlike any other of this process.
std::string MakeRequestId();
/// True for what may be taken over from a client: 1 to 64 letters, digits, `.`, `_` and `-`.
bool IsRequestId(std::string_view text);

}  // namespace tidemark::http::internal
