// What all stored rows have in common: each begins with a byte for the version of its format, and
// ends where its last field ends.
#pragma once

#include <cstdint>
#include <string_view>

#include "format/coding.h"
#include "format/status.h"

namespace tidemark {

/// The version that the row begins with, from 1 to `newest`. `what` names the row for people, as in
/// "a device's descriptor". `kNewerFormat` beyond `newest`, `kCorruption` where there is none.
Result<uint8_t> ReadRowVersion(ByteReader* reader, uint8_t newest, std::string_view what);

/// `kCorruption` unless all of the row was read, and nothing missing.
Status CheckRowRead(const ByteReader& reader, std::string_view what);

/// For a row whose fields cannot be what they say.
Status DamagedRow(std::string_view what);

}  // namespace tidemark
