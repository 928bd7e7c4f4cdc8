#include "format/coding.h"

#include <array>
#include <cstddef>

namespace tidemark {
namespace {

constexpr char kOrderedEscape = '\x00';
constexpr char kOrderedNul = '\xff';  // after the escape: a NUL of the text
constexpr char kOrderedEnd = '\x01';  // after the escape: the end of the text

template <typename Number>
void AppendBigEndian(std::string* out, Number value) {
  char bytes[sizeof(Number)];
  for (size_t i = 0; i < sizeof(Number); ++i) {
    bytes[i] = static_cast<char>(value >> (8 * (sizeof(Number) - 1 - i)));
  }
  out->append(bytes, sizeof(bytes));
}

template <typename Number>
Number LoadBigEndian(const char* bytes) {
  Number value = 0;
  for (size_t i = 0; i < sizeof(Number); ++i) {
    value = static_cast<Number>(value << 8 | static_cast<uint8_t>(bytes[i]));
  }
  return value;
}

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr uint8_t kNotBase64 = 64;

constexpr std::array<uint8_t, 256> MakeBase64Values() {
  std::array<uint8_t, 256> values{};
  values.fill(kNotBase64);
  for (size_t i = 0; i < kBase64Alphabet.size(); ++i) {
    values[static_cast<uint8_t>(kBase64Alphabet[i])] = static_cast<uint8_t>(i);
  }
  return values;
}
constexpr std::array<uint8_t, 256> kBase64Values = MakeBase64Values();

}  // namespace

void AppendVarint(std::string* out, uint64_t value) {
  if (value < 0x80) return out->push_back(static_cast<char>(value));
  char bytes[kVarintBytesMax];
  out->append(bytes, static_cast<size_t>(WriteVarint(bytes, value) - bytes));
}

void AppendBigEndian32(std::string* out, uint32_t value) {
  AppendBigEndian(out, value);
}

void AppendBigEndian64(std::string* out, uint64_t value) {
  AppendBigEndian(out, value);
}

void AppendBytes(std::string* out, std::string_view bytes) {
  AppendVarint(out, bytes.size());
  out->append(bytes);
}

void AppendOrdered(std::string* out, std::string_view text) {
  for (const char c : text) {
    out->push_back(c);
    if (c == kOrderedEscape) out->push_back(kOrderedNul);
  }
  out->push_back(kOrderedEscape);
  out->push_back(kOrderedEnd);
}

uint32_t LoadBigEndian32(const char* bytes) {
  return LoadBigEndian<uint32_t>(bytes);
}

uint64_t LoadBigEndian64(const char* bytes) {
  return LoadBigEndian<uint64_t>(bytes);
}

uint64_t ByteReader::LongVarint() {
  uint64_t value = 0;
  for (size_t i = 0; i < kVarintBytesMax && i < rest_.size(); ++i) {
    const auto byte = static_cast<uint8_t>(rest_[i]);
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      // A number has one form: no more than 64 bits, and no zero byte at its end.
      const bool too_long = i == kVarintBytesMax - 1 && byte > 1;
      const bool padded = i > 0 && byte == 0;
      if (too_long || padded) break;
      rest_.remove_prefix(i + 1);
      return value;
    }
  }
  Fail();
  return 0;
}

uint8_t ByteReader::Byte() {
  if (rest_.empty()) {
    Fail();
    return 0;
  }
  const auto byte = static_cast<uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  return byte;
}

uint32_t ByteReader::BigEndian32() {
  if (rest_.size() < sizeof(uint32_t)) {
    Fail();
    return 0;
  }
  const uint32_t value = LoadBigEndian32(rest_.data());
  rest_.remove_prefix(sizeof(value));
  return value;
}

uint64_t ByteReader::BigEndian64() {
  if (rest_.size() < sizeof(uint64_t)) {
    Fail();
    return 0;
  }
  const uint64_t value = LoadBigEndian64(rest_.data());
  rest_.remove_prefix(sizeof(value));
  return value;
}

std::string_view ByteReader::Bytes() {
  const uint64_t size = Varint();
  if (!ok_ || size > rest_.size()) {
    Fail();
    return {};
  }
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

std::string ByteReader::Ordered() {
  std::string text;
  for (size_t i = 0; i < rest_.size(); ++i) {
    if (rest_[i] != kOrderedEscape) {
      text.push_back(rest_[i]);
      continue;
    }
    if (++i == rest_.size()) break;
    if (rest_[i] == kOrderedEnd) {
      rest_.remove_prefix(i + 1);
      return text;
    }
    if (rest_[i] != kOrderedNul) break;
    text.push_back('\0');
  }
  Fail();
  return {};
}

Hash128 ByteReader::Hash() {
  constexpr size_t kHashBytes = 16;
  if (rest_.size() < kHashBytes) {
    Fail();
    return {};
  }
  const Hash128 hash = LoadHash(rest_.data());
  rest_.remove_prefix(kHashBytes);
  return hash;
}

void ByteReader::Fail() {
  ok_ = false;
  rest_ = {};
}

std::string Base64UrlEncode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(c);
    for (count += 8; count >= 6; count -= 6) {
      text.push_back(kBase64Alphabet[bits >> (count - 6) & 63]);
    }
  }
  if (count > 0) text.push_back(kBase64Alphabet[bits << (6 - count) & 63]);
  return text;
}

std::optional<std::string> Base64UrlDecode(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const uint8_t value = kBase64Values[static_cast<uint8_t>(c)];
    if (value == kNotBase64) return std::nullopt;
    bits = bits << 6 | value;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count));
    }
  }
  // Bytes have one text: no lone last character, and no bits set beyond the last byte.
  const uint32_t spare = bits & ((1U << count) - 1);
  if (count >= 6 || spare != 0) return std::nullopt;
  return bytes;
}

}  // namespace tidemark
