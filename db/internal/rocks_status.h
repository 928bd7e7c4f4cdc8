// RocksDB's statuses as ours.
#pragma once

#include <string_view>

#include <rocksdb/status.h>

#include "format/status.h"

namespace tidemark::internal {

/// The same outcome in our catalogue, `context` put before RocksDB's own text. An IOStatus is a
/// rocksdb::Status. RocksDB says "Incomplete", "Aborted" and the like only about calls that this
/// engine does not make; they become `kInternal`.
Status FromRocks(const rocksdb::Status& status, std::string_view context);

}  // namespace tidemark::internal
