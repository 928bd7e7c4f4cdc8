// An operation of the outbox as the row of `_commandQueue` that it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/outbox.h"

namespace tidemark::internal {

/// The number in twenty digits, so that rows sort in the order of their numbers.
std::string OperationId(uint64_t number);

/// `{"id","queue","type","entity","record","state",...,"payload"}`.
std::string EncodeOperation(const OutboxOperation& operation);
/// `kCorruption` names what is damaged.
Result<OutboxOperation> DecodeOperation(std::string_view json);

}  // namespace tidemark::internal
