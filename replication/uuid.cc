#include "replication/uuid.h"

#include <array>
#include <cstdint>
#include <string_view>

#include "format/hex.h"

namespace tidemark {

std::string MakeUuid7(Runtime& runtime) {
  std::array<uint8_t, 16> bytes{};
  runtime.random().Fill(bytes);
  auto time = static_cast<uint64_t>(runtime.clock().WallMilliseconds());
  for (size_t i = 6; i > 0; --i) {
    bytes[i - 1] = static_cast<uint8_t>(time & 0xFFU);
    time >>= 8U;
  }
  bytes[6] = static_cast<uint8_t>(0x70U | (bytes[6] & 0x0FU));  // version 7
  bytes[8] = static_cast<uint8_t>(0x80U | (bytes[8] & 0x3FU));  // variant of RFC 9562
  std::string text = EncodeHex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  for (const size_t at : {size_t{20}, size_t{16}, size_t{12}, size_t{8}}) text.insert(at, 1, '-');
  return text;
}

}  // namespace tidemark
