// Whether a server could start with a configuration.
#pragma once

#include "format/status.h"
#include "server/config.h"

namespace tidemark::server {

/// Tries what can be tried without serving: the data root can be written, an address that others
/// can reach has tokens behind it, the files of TLS can be read. Leaves nothing behind. The first
/// thing that is wrong is `kInvalidArgument`, or `kNotAllowed` for an address without tokens.
Status CheckConfig(const ServerConfig& config);

/// Whether only this machine can reach `address`, IPv4 or IPv6.
bool IsLoopbackAddress(const std::string& address);

/// `kNotAllowed` for an address that others can reach when the data root has no token.
Status CheckReach(const std::string& address, bool has_tokens);

}  // namespace tidemark::server
