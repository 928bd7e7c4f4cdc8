// Compression of answers, for clients that ask for it.
#pragma once

#include <cstddef>

#include "http/message.h"

namespace tidemark::http {

inline constexpr size_t kGzipBytesMin = 1025;  ///< shorter bodies go out as they are

/// Whether `Accept-Encoding` names gzip, with a weight above zero (RFC 9110, 12.5.3). Who says
/// nothing, or `*`, gets no compression.
bool AsksForGzip(const Headers& headers);

/// Compresses the body of `response`, if it is long enough, is no stream and becomes shorter.
void Compress(Response* response);

}  // namespace tidemark::http
