#include "format/stored_row.h"

#include <string>

namespace tidemark {

Result<uint8_t> ReadRowVersion(ByteReader* reader, uint8_t newest, std::string_view what) {
  const uint8_t version = reader->Byte();
  if (!reader->ok() || version == 0) return DamagedRow(what);
  if (version <= newest) return version;
  return {ErrorCode::kNewerFormat,
          std::string(what) + " has version " + std::to_string(version) +
              ", this program reads up to " + std::to_string(newest)};
}

Status CheckRowRead(const ByteReader& reader, std::string_view what) {
  return reader.Finished() ? Status() : DamagedRow(what);
}

Status DamagedRow(std::string_view what) {
  return {ErrorCode::kCorruption, std::string(what) + " is damaged"};
}

}  // namespace tidemark
