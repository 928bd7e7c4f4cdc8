// JSON behind one strict reader and one small writer. Strict: UTF-8 without lone surrogates, no
// duplicate keys, no trailing bytes, depth at most 32, numbers that a 64-bit integer or a finite
// double holds. The parser is no part of this interface.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"

namespace tidemark {

inline constexpr int kJsonDepthMax = 32;

enum class JsonType : uint8_t { kNull, kBool, kInteger, kDouble, kString, kArray, kObject };

/// One member of an object, or one element of an array.
struct JsonField {
  std::string name;  ///< unescaped; empty for array elements
  JsonType type = JsonType::kNull;
  std::string text;      ///< string: unescaped; number, bool: as written; array, object: minified
  int64_t integer = 0;   ///< when type is kInteger
  bool boolean = false;  ///< when type is kBool
};

/// Checks `text` strictly and returns it minified, member order kept. `kMalformedJson` names the
/// byte offset.
Result<std::string> MinifyJson(std::string_view text);

/// The members of an object, in order. `kMalformedJson` when `text` is not strict JSON,
/// `kInvalidArgument` when it is JSON but no object. `depth_max` is that of the whole text: an
/// envelope is one more than the values in it, which have the whole depth to themselves.
Result<std::vector<JsonField>> ReadJsonObject(std::string_view text, int depth_max = kJsonDepthMax);
/// The elements of an array, in order.
Result<std::vector<JsonField>> ReadJsonArray(std::string_view text, int depth_max = kJsonDepthMax);

/// Reads only the named members of a stored, already checked JSON object; absent ones are nullopt.
/// The one door to fields of a value for schemas, selections and references.
Result<std::vector<std::optional<JsonField>>> ReadJsonFields(std::string_view object,
                                                             const std::vector<std::string>& names);

/// Writes JSON by appending; commas and escapes are its business. Calls must form one document.
class JsonWriter {
 public:
  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view name);
  JsonWriter& String(std::string_view text);
  JsonWriter& Integer(int64_t value);
  JsonWriter& Unsigned(uint64_t value);
  JsonWriter& Double(double value);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  JsonWriter& Raw(std::string_view json);  ///< a complete, valid JSON value

  const std::string& text() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  void Separate();

  std::string out_;
  bool need_comma_ = false;
};

}  // namespace tidemark
