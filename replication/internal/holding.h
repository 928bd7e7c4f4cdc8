// How many deletions are kept for each of many devices.
#pragma once

#include <cstdint>
#include <vector>

#include "db/store.h"
#include "format/status.h"
#include "replication/internal/marks.h"

namespace tidemark {

/// For each of `marks`, the tombstones that the device still needs. Reads those that are newer than
/// the oldest of the devices, once for all: a device that keeps up costs what changed since.
Result<std::vector<uint64_t>> CountHolding(Store& store, const std::vector<DeviceMarks>& marks);

}  // namespace tidemark
