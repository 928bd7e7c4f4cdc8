// How a device stands, as JSON.
#pragma once

#include <string>

#include "format/sequence.h"
#include "replication/source.h"

namespace tidemark::server {

/// `last` is the newest sequence number of the store.
std::string DeviceToJson(const DeviceInfo& device, SequenceNumber last);

}  // namespace tidemark::server
