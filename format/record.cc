#include "format/record.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "format/internal/utf8.h"

namespace tidemark {
namespace {

bool IsAsciiAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool IsNameCharacter(char c) {
  return IsAsciiAlphanumeric(c) || c == '_' || c == '.' || c == '-';
}

// C0, DEL, and C1, which UTF-8 writes as C2 80 to C2 9F. Requires well-formed UTF-8.
bool HasControlCharacter(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && static_cast<uint8_t>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

Status CheckText(std::string_view what, std::string_view text, size_t bytes_max) {
  const auto refuse = [what](std::string_view why) {
    return Status(ErrorCode::kInvalidArgument, std::string(what).append(why));
  };
  if (text.empty()) return refuse(" is empty");
  if (text.size() > bytes_max) {
    return refuse(" has " + std::to_string(text.size()) + " bytes, the limit is " +
                  std::to_string(bytes_max));
  }
  if (!IsUtf8(text)) return refuse(" is not UTF-8");
  if (HasControlCharacter(text)) return refuse(" has a control character");
  return {};
}

// Takes one white space character from the front of well-formed UTF-8 (Unicode: White_Space).
bool SkipWhiteSpace(std::string_view* text) {
  static constexpr std::string_view kSpaces[] = {
      " ",
      "\xc2\xa0",
      "\xe1\x9a\x80",
      "\xe2\x80\x80",
      "\xe2\x80\x81",
      "\xe2\x80\x82",
      "\xe2\x80\x83",
      "\xe2\x80\x84",
      "\xe2\x80\x85",
      "\xe2\x80\x86",
      "\xe2\x80\x87",
      "\xe2\x80\x88",
      "\xe2\x80\x89",
      "\xe2\x80\x8a",
      "\xe2\x80\xa8",
      "\xe2\x80\xa9",
      "\xe2\x80\xaf",
      "\xe2\x81\x9f",
      "\xe3\x80\x80",
  };
  for (const std::string_view space : kSpaces) {
    if (text->starts_with(space)) {
      text->remove_prefix(space.size());
      return true;
    }
  }
  return false;
}

}  // namespace

Status CheckName(std::string_view name) {
  if (IsLocalName(name)) {
    return {ErrorCode::kReserved, "names that begin with _ belong to the engine"};
  }
  if (name.empty() || name.size() > kNameBytesMax) {
    return {ErrorCode::kInvalidArgument,
            "a name has 1 to " + std::to_string(kNameBytesMax) + " characters, not " +
                std::to_string(name.size())};
  }
  if (!IsAsciiAlphanumeric(name.front())) {
    return {ErrorCode::kInvalidArgument, "a name begins with a letter or a digit"};
  }
  if (!std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    return {ErrorCode::kInvalidArgument, "a name is made of letters, digits, '_', '.' and '-'"};
  }
  return {};
}

Status CheckLocalName(std::string_view name) {
  if (!IsLocalName(name)) {
    return {ErrorCode::kInvalidArgument, "the name of a local entity begins with _"};
  }
  if (name.size() > kNameBytesMax) {
    return {ErrorCode::kInvalidArgument,
            "a name has at most " + std::to_string(kNameBytesMax) + " characters"};
  }
  return CheckName(name.substr(1));
}

Status CheckRecordId(std::string_view id) {
  return CheckText("record id", id, kIdBytesMax);
}

Status CheckIdOfForm(std::string_view id, IdForm form) {
  TIDEMARK_RETURN_IF_ERROR(CheckRecordId(id));
  if (form == IdForm::kText) return {};
  int64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  const bool whole = error == std::errc() && end == id.data() + id.size();
  if (whole && std::to_string(number) == id) return {};
  return {ErrorCode::kInvalidArgument, "the id is no integer in its canonical form"};
}

Status CheckDeviceId(std::string_view id) {
  TIDEMARK_RETURN_IF_ERROR(CheckText("device id", id, kDeviceIdBytesMax));
  while (SkipWhiteSpace(&id)) {
  }
  if (id.empty()) return {ErrorCode::kInvalidArgument, "device id is blank"};
  return {};
}

bool IsUtf8(std::string_view text) {
  return internal::Utf8PrefixBytes(text) == text.size();
}

}  // namespace tidemark
