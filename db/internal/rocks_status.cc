#include "db/internal/rocks_status.h"

#include <string>

namespace tidemark::internal {
namespace {

ErrorCode CodeOf(const rocksdb::Status& status) {
  using Code = rocksdb::Status::Code;
  if (status.IsNoSpace()) return ErrorCode::kDiskFull;
  switch (status.code()) {
    case Code::kOk:
      return ErrorCode::kOk;
    case Code::kNotFound:
      return ErrorCode::kNotFound;
    case Code::kCorruption:
      return ErrorCode::kCorruption;
    case Code::kInvalidArgument:
      return ErrorCode::kInvalidArgument;
    case Code::kNotSupported:
      return ErrorCode::kUnsupported;
    case Code::kIOError:
      return ErrorCode::kIoError;
    case Code::kBusy:
      return ErrorCode::kBusy;
    case Code::kShutdownInProgress:
      return ErrorCode::kClosed;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

Status FromRocks(const rocksdb::Status& status, std::string_view context) {
  if (status.ok()) return {};
  return {CodeOf(status), std::string(context) + ": " + status.ToString()};
}

}  // namespace tidemark::internal
