// What whoever wants to write is told after a write failed.
#pragma once

#include "format/status.h"

namespace tidemark::internal {

/// `write_error` is why writing has stopped. A full disk is named, since it may have room again;
/// all else is `kReadOnly` until the store is opened again.
inline Status WritingStopped(const Status& write_error) {
  const bool full = write_error.code() == ErrorCode::kDiskFull;
  return {full ? ErrorCode::kDiskFull : ErrorCode::kReadOnly,
          "writing has stopped: " + write_error.ToString()};
}

}  // namespace tidemark::internal
