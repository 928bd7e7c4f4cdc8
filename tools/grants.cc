#include "tools/grants.h"

#include <vector>

#include "format/json.h"

namespace tidemark::tools {
namespace {

Status Malformed(std::string_view text, std::string_view what) {
  return {ErrorCode::kInvalidArgument,
          "--where " + std::string(text) + ": " + std::string(what) +
              "; write ENTITY:FIELD=VALUE[,VALUE...][;FIELD=...]"};
}

// Pieces between separators that are in no JSON string.
std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> pieces(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\' && i + 1 < text.size()) {
      pieces.back().append({c, text[++i]});
      continue;
    }
    if (c == '"') quoted = !quoted;
    if (c == separator && !quoted) {
      pieces.emplace_back();
    } else {
      pieces.back().push_back(c);
    }
  }
  return pieces;
}

// The value as JSON; empty if it is no scalar.
std::string ToScalar(const std::string& text) {
  const auto read = ReadJsonArray(std::string("[").append(text).append("]"));
  if (!read.ok() || read->size() != 1) return JsonWriter().String(text).Take();
  const JsonType type = read->front().type;
  const bool is_scalar =
      type != JsonType::kNull && type != JsonType::kArray && type != JsonType::kObject;
  return is_scalar ? text : std::string();
}

}  // namespace

Result<Grant> ParseGrant(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return Malformed(text, "it names no entity");
  Grant grant{.entity = std::string(text.substr(0, colon))};
  for (const std::string& part : Split(text.substr(colon + 1), ';')) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) return Malformed(text, "a field is missing");
    Grant::Field& field = grant.where.emplace_back();
    field.name = part.substr(0, equals);
    for (const std::string& value : Split(std::string_view(part).substr(equals + 1), ',')) {
      field.values.push_back(ToScalar(value));
      if (field.values.back().empty()) {
        return Malformed(text, "values are strings, numbers and booleans");
      }
    }
  }
  return grant;
}

std::string DescribeGrant(const Grant& grant) {
  std::string text = grant.entity;
  char before = ':';
  for (const Grant::Field& field : grant.where) {
    text += before + field.name + "=";
    before = ';';
    for (size_t i = 0; i < field.values.size(); ++i) {
      if (i > 0) text += ",";
      text += field.values[i];
    }
  }
  return text;
}

}  // namespace tidemark::tools
