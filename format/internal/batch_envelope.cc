#include "format/internal/batch_envelope.h"

#include <bit>
#include <cassert>
#include <cstring>

#include "format/batch.h"
#include "format/checksum.h"

namespace tidemark::internal {
namespace {

static_assert(std::endian::native == std::endian::little,
              "columns are read in place, as little-endian numbers");

constexpr std::string_view kMagic = "TDMB";
constexpr size_t kMajorAt = 4;
constexpr size_t kMinorAt = 5;
constexpr size_t kFlagsAt = 6;
constexpr size_t kPayloadBytesAt = 8;
constexpr size_t kRowsAt = 12;
constexpr size_t kChecksumAt = 16;  // covers everything before it and after it

template <typename Number>
Number Load(std::string_view bytes, size_t at) {
  Number value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

Hash128 ChecksumOf(std::string_view batch) {
  return Checksum128(batch.substr(0, kChecksumAt), batch.substr(kEnvelopeBytes));
}

Status CheckLength(std::string_view batch) {
  const size_t given = batch.size() - kEnvelopeBytes;
  const size_t stated = Load<uint32_t>(batch, kPayloadBytesAt);
  if (given != stated) {
    return MalformedBatch("byte 8 states a payload of " + std::to_string(stated) + " bytes, " +
                          std::to_string(given) + " follow");
  }
  if (stated > kBatchPayloadBytesMax) {
    return MalformedBatch("a payload of " + std::to_string(stated) + " bytes, the limit is " +
                          std::to_string(kBatchPayloadBytesMax));
  }
  return {};
}

Status CheckVersion(std::string_view batch) {
  const auto major = Load<uint8_t>(batch, kMajorAt);
  const auto minor = Load<uint8_t>(batch, kMinorAt);
  if (major > kBatchFormatMajor) {
    return {ErrorCode::kNewerFormat,
            "batch: format " + std::to_string(major) + "." + std::to_string(minor) +
                ", this build reads up to " + std::to_string(kBatchFormatMajor) + ".x"};
  }
  if (major != kBatchFormatMajor) {
    return MalformedBatch("byte 4: there is no format " + std::to_string(major));
  }
  if (Load<uint16_t>(batch, kFlagsAt) != 0) return MalformedBatch("byte 6: unknown flags");
  return {};
}

}  // namespace

void AppendEnvelope(std::string* out, size_t payload_bytes, size_t rows) {
  assert(payload_bytes <= kBatchPayloadBytesMax && rows <= kBatchRecordsMax);
  const auto stated_bytes = static_cast<uint32_t>(payload_bytes);
  const auto stated_rows = static_cast<uint32_t>(rows);
  char bytes[kEnvelopeBytes] = {};
  std::memcpy(bytes, kMagic.data(), kMagic.size());
  bytes[kMajorAt] = kBatchFormatMajor;
  bytes[kMinorAt] = kBatchFormatMinor;
  std::memcpy(bytes + kPayloadBytesAt, &stated_bytes, sizeof(stated_bytes));
  std::memcpy(bytes + kRowsAt, &stated_rows, sizeof(stated_rows));
  out->append(bytes, sizeof(bytes));
}

void SealEnvelope(std::string* batch) {
  const Hash128 checksum = ChecksumOf(*batch);
  std::memcpy(batch->data() + kChecksumAt, &checksum.low, sizeof(checksum.low));
  std::memcpy(
      batch->data() + kChecksumAt + sizeof(checksum.low), &checksum.high, sizeof(checksum.high));
}

Result<Envelope> OpenEnvelope(std::string_view batch, bool check_checksum) {
  if (batch.size() < kEnvelopeBytes) {
    return MalformedBatch(std::to_string(batch.size()) + " bytes are too few for the envelope");
  }
  if (!batch.starts_with(kMagic)) return MalformedBatch("byte 0: no batch begins like this");
  TIDEMARK_RETURN_IF_ERROR(CheckLength(batch));
  if (check_checksum && ChecksumOf(batch) != LoadHash(batch.data() + kChecksumAt)) {
    return MalformedBatch("byte 16: the checksum does not fit the bytes");
  }
  // The version is believed only now: a damaged byte must not read as a newer format.
  TIDEMARK_RETURN_IF_ERROR(CheckVersion(batch));
  const size_t rows = Load<uint32_t>(batch, kRowsAt);
  if (rows > kBatchRecordsMax) {
    return MalformedBatch("byte 12: " + std::to_string(rows) + " rows, the limit is " +
                          std::to_string(kBatchRecordsMax));
  }
  return Envelope{batch.substr(kEnvelopeBytes), rows};
}

Status MalformedBatch(std::string_view what) {
  return {ErrorCode::kMalformedBatch, std::string("batch: ").append(what)};
}

}  // namespace tidemark::internal

namespace tidemark {

Hash128 BatchChecksum(std::string_view batch) {
  return LoadHash(batch.data() + internal::kChecksumAt);
}

}  // namespace tidemark
