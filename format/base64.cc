#include "format/base64.h"

#include <array>
#include <cstdint>

namespace tidemark {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> MakeDigits() {
  std::array<int8_t, 256> digits{};
  for (int8_t& digit : digits) digit = -1;
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  }
  return digits;
}
constexpr std::array<int8_t, 256> kDigits = MakeDigits();

Status Malformed(size_t offset) {
  return {ErrorCode::kInvalidArgument, "not base64 at character " + std::to_string(offset + 1)};
}

}  // namespace

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = (group << 8U) | (k < count ? static_cast<uint8_t>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      const uint32_t digit = (group >> (18 - 6 * k)) & 63U;
      text += k <= count ? kAlphabet[digit] : '=';
    }
  }
  return text;
}

Result<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) {
    return Status(ErrorCode::kInvalidArgument, "base64 comes in groups of four characters");
  }
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    size_t padding = 0;
    if (last && text[i + 3] == '=') padding = text[i + 2] == '=' ? 2 : 1;
    uint32_t group = 0;
    for (size_t k = 0; k < 4; ++k) {
      const bool pad = k >= 4 - padding;
      const int8_t digit = pad ? int8_t{0} : kDigits[static_cast<uint8_t>(text[i + k])];
      if (digit < 0) return Malformed(i + k);
      group = (group << 6U) | static_cast<uint32_t>(digit);
    }
    const uint32_t unused = padding == 0 ? 0U : padding == 1 ? 0xFFU : 0xFFFFU;
    if ((group & unused) != 0) return Malformed(i + 3 - padding);
    for (size_t k = 0; k < 3 - padding; ++k) {
      bytes += static_cast<char>((group >> (16 - 8 * k)) & 0xFFU);
    }
  }
  return bytes;
}

}  // namespace tidemark
