// Where a request comes from, as a browser says: what protects a server that asks for no token.
#pragma once

#include "http/message.h"

namespace tidemark::server {

/// Whether `Host` is `localhost` or a loopback address, with any port. A name that somebody else
/// makes resolve to this machine (DNS rebinding) is neither. So is a request without `Host`, which
/// no browser sends.
bool IsForThisMachine(const http::Request& request);

/// Whether `request` may change something and was made by a page of another origin: browsers send
/// some such requests without asking first. Clients that are no browsers name no origin.
bool IsFromAnotherSite(const http::Request& request);

}  // namespace tidemark::server
