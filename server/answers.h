// What callers of a server share: addresses of calls, and what answers mean to them.
#pragma once

#include <string>
#include <string_view>

#include "format/status.h"
#include "http/client.h"

namespace tidemark::server {

/// `path` at the server whose URL is `base`, with or without a slash at its end.
std::string AddressOf(std::string_view base, std::string_view path);

/// What an answer that is no success means to a device. `kUnavailable`: the server could not be
/// asked, failed, or is none of Tidemark.
Status StatusOfAnswer(const http::ClientResponse& response);

}  // namespace tidemark::server
