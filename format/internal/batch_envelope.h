// The 32 bytes before a batch's payload: magic, version, sizes, checksum. They keep their meaning
// in every version of the format, so that a reader can tell "newer" from "damaged".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "format/record.h"
#include "format/status.h"

namespace tidemark::internal {

inline constexpr size_t kEnvelopeBytes = 32;
/// Ids and values of the largest batch, with room for its columns, names and ended lives.
inline constexpr size_t kBatchPayloadBytesMax =
    kBatchBytesMax + kValueBytesMax + kIdBytesMax + size_t{1024} * 1024;

/// Begins a batch: appends an envelope whose checksum is still zero.
void AppendEnvelope(std::string* out, size_t payload_bytes, size_t rows);
/// Completes a batch of envelope and payload: fills in the checksum.
void SealEnvelope(std::string* batch);

/// What an intact envelope says.
struct Envelope {
  std::string_view payload;  ///< points into the batch
  size_t rows = 0;
};

/// `kMalformedBatch`, or `kNewerFormat` for an intact batch of a later major version.
Result<Envelope> OpenEnvelope(std::string_view batch, bool check_checksum);

/// `kMalformedBatch` with "batch: " before `what`.
Status MalformedBatch(std::string_view what);

}  // namespace tidemark::internal
