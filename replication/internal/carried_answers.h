// Answers to a push that was carried as a file, on their way back as one. A replica knows its
// operations by number and content: numbers alone may be those of a later life of an older copy.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/batch.h"
#include "format/status.h"
#include "replication/internal/push_rows.h"
#include "replication/push.h"

namespace tidemark::internal {

/// What an operation says, but for the version that it builds on: a resend may know a newer one.
uint64_t OperationHash(const BatchRow& row, std::string_view entity);

/// The answers to one push, in order, with what each is an answer to.
std::string EncodeCarriedAnswers(const std::vector<KeptAnswer>& answers);
/// `kMalformedBatch`.
Result<std::vector<KeptAnswer>> DecodeCarriedAnswers(std::string_view bytes);

}  // namespace tidemark::internal
