// What a server is told: by a file, and by options that win over it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "format/status.h"
#include "server/server.h"

namespace tidemark::server {

/// Where to listen.
struct ListenAddress {
  std::string address = "127.0.0.1";
  uint16_t port = 8787;
};
/// "127.0.0.1:8787", "[::1]:8787"; port 0 is any free one. `kInvalidArgument`.
Result<ListenAddress> ParseListenAddress(std::string_view text);
/// How it stands in a URL: IPv6 in brackets.
std::string FormatListenAddress(const ListenAddress& listen);

struct ServerConfig {
  std::string data;
  ListenAddress listen;
  bool log_requests = false;
  ServerOptions options;  ///< all but data and address
};

/// Reads a TOML file. A key that is not known, a value of the wrong type or out of its range is
/// `kInvalidArgument` and named with its line.
Result<ServerConfig> ReadServerConfig(const std::filesystem::path& path);

}  // namespace tidemark::server
