// Bytes of stored rows and tokens: varints, fixed-width integers, length-prefixed strings, and the
// order-preserving forms that keys are made of. `docs/storage_format.md` names every row.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "format/checksum.h"
#include "format/sequence.h"

namespace tidemark {

// Appending. Big-endian forms sort like the numbers they stand for.
void AppendVarint(std::string* out, uint64_t value);
/// Writes a varint where there is room for `kVarintBytesMax`, and returns where it ends.
inline char* WriteVarint(char* at, uint64_t value) {
  while (value >= 0x80) {
    *at++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<char>(value);
  return at;
}
inline constexpr size_t kVarintBytesMax = 10;
void AppendBigEndian32(std::string* out, uint32_t value);
void AppendBigEndian64(std::string* out, uint64_t value);
void AppendBytes(std::string* out, std::string_view bytes);  ///< varint length, then the bytes
/// Sorts like the text it stands for, and before every longer key that begins with it: NUL becomes
/// 00 FF, and 00 01 ends it.
void AppendOrdered(std::string* out, std::string_view text);

uint32_t LoadBigEndian32(const char* bytes);  ///< requires 4 readable bytes
uint64_t LoadBigEndian64(const char* bytes);  ///< requires 8 readable bytes

/// Reads what the functions above wrote. A read past the end, or of a malformed form, fails once
/// and for all: every later read returns zero or empty, and `ok()` is false. Holds a reference to
/// the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  uint64_t Varint() {
    if (rest_.empty() || static_cast<uint8_t>(rest_[0]) >= 0x80) return LongVarint();
    const auto value = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  uint8_t Byte();
  uint32_t BigEndian32();
  uint64_t BigEndian64();
  std::string_view Bytes();
  std::string Ordered();
  Hash128 Hash();
  SequenceNumber Sequence() { return SequenceNumber(Varint()); }

  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  /// True when everything was read and nothing failed.
  bool Finished() const { return ok_ && rest_.empty(); }

 private:
  uint64_t LongVarint();
  void Fail();

  std::string_view rest_;
  bool ok_ = true;
};

/// Text for people and URLs: unpadded base64url (RFC 4648, section 5).
std::string Base64UrlEncode(std::string_view bytes);
std::optional<std::string> Base64UrlDecode(std::string_view text);

}  // namespace tidemark
