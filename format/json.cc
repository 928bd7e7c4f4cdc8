#include "format/json.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>

#include "format/internal/utf8.h"
#include "format/record.h"

namespace tidemark {
namespace {

namespace ondemand = simdjson::ondemand;

// Beyond this many members, duplicates are found by sorting instead of by comparing pairs.
constexpr size_t kPairwiseMembersMax = 16;
// Buffers for larger documents are given back after use.
constexpr size_t kKeptBytesMax = 1024 * 1024;

// A copy of a document with the slack behind it that the parser wants, and the parser's own memory.
// Kept by each thread: making one costs more than reading a typical record.
class Scratch {
 public:
  // Opens `[text]`: as an element of an array, every document is read alike, also a lone number,
  // and whatever follows it is seen. Valid until the next call.
  simdjson::error_code Open(std::string_view text, ondemand::document* document) {
    padded_.reserve(text.size() + 2 + simdjson::SIMDJSON_PADDING);
    padded_.assign(1, '[').append(text).append(1, ']');
    const size_t size = padded_.size();
    padded_.append(simdjson::SIMDJSON_PADDING, ' ');
    const simdjson::padded_string_view view(padded_.data(), size, padded_.size());
    return parser_->iterate(view).get(*document);
  }

  // Offset in the text that was opened.
  size_t OffsetOf(const char* location) const {
    const auto offset = static_cast<size_t>(location - padded_.data());
    return offset == 0 ? 0 : offset - 1;
  }

  std::vector<std::string_view>& names() { return names_; }

  void Release() {
    names_.clear();
    if (padded_.size() <= kKeptBytesMax) return;
    padded_ = std::string();
    names_ = std::vector<std::string_view>();
    parser_ = std::make_unique<ondemand::parser>();
  }

 private:
  std::string padded_;
  std::unique_ptr<ondemand::parser> parser_ = std::make_unique<ondemand::parser>();
  std::vector<std::string_view> names_;
};

// Lends a thread's scratch for one document.
class ScratchUse {
 public:
  ScratchUse() = default;
  ScratchUse(const ScratchUse&) = delete;
  ScratchUse& operator=(const ScratchUse&) = delete;
  ~ScratchUse() { Of().Release(); }

  Scratch* operator->() { return &Of(); }

 private:
  static Scratch& Of() {
    thread_local Scratch scratch;
    return scratch;
  }
};

std::string_view TrimRight(std::string_view token) {
  return token.substr(0, token.find_last_not_of(" \t\r\n") + 1);
}

Status Malformed(size_t offset, std::string_view what) {
  return {ErrorCode::kMalformedJson,
          "JSON, byte " + std::to_string(offset) + ": " + std::string(what)};
}

// What is wrong with a document whose first stage failed; the parser does not say where.
Status FirstStageError(std::string_view text) {
  const size_t well_formed = internal::Utf8PrefixBytes(text);
  if (well_formed < text.size()) return Malformed(well_formed, "not UTF-8");
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (in_string && static_cast<uint8_t>(text[i]) < 0x20) {
      return Malformed(i, "a control character in a string must be escaped");
    }
  }
  return Malformed(text.size(), "ends too early");
}

std::string_view DescribeNumber(std::string_view token) {
  const bool is_integer = token.find_first_not_of("-0123456789") == std::string_view::npos;
  return is_integer && token.size() > 18 ? "an integer beyond 64 bits, signed"
                                         : "not a number that a finite double holds";
}

// Visits every value of one document, so that nothing in it goes unchecked.
class Checker {
 public:
  Checker(std::string_view text, int depth_max, ScratchUse* scratch)
      : text_(text), depth_max_(depth_max), scratch_(*scratch) {}

  Status Check() {
    if (scratch_->Open(text_, &document_) != simdjson::SUCCESS) return FirstStageError(text_);
    ondemand::array wrapper;
    if (document_.get_array().get(wrapper) != simdjson::SUCCESS) return Fail("not JSON");
    size_t documents = 0;
    for (auto element : wrapper) {
      if (documents++ > 0) return Fail("bytes after the end of the document");
      ondemand::value value;
      if (element.get(value) != simdjson::SUCCESS) return Fail("not JSON");
      TIDEMARK_RETURN_IF_ERROR(CheckValue(value, 1));
    }
    if (documents == 0) return Malformed(0, "empty");
    if (document_.current_location().error() == simdjson::SUCCESS) {
      return Fail("bytes after the end of the document");
    }
    return {};
  }

 private:
  // An error at the place that the parser has reached.
  Status Fail(std::string_view what) {
    const char* location = nullptr;
    if (document_.current_location().get(location) != simdjson::SUCCESS) {
      return Malformed(text_.size(), what);
    }
    return Malformed(std::min(scratch_->OffsetOf(location), text_.size()), what);
  }

  // A container at `depth` is the depth-th that is open.
  Status CheckValue(ondemand::value value, int depth) {
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return Fail("a value is expected");
    switch (type) {
      case ondemand::json_type::array:
        return CheckArray(value, depth);
      case ondemand::json_type::object:
        return CheckObject(value, depth);
      case ondemand::json_type::string:
        return CheckString(value);
      case ondemand::json_type::number:
        return CheckNumber(value);
      case ondemand::json_type::boolean:
        if (value.get_bool().error() != simdjson::SUCCESS) return Fail("true or false is meant");
        return {};
      case ondemand::json_type::null:
        break;
    }
    const bool is_null = TrimRight(value.raw_json_token()) == "null";
    if (!is_null || !value.is_null()) return Fail("null is meant");
    return {};
  }

  Status CheckArray(ondemand::value value, int depth) {
    if (depth > depth_max_) return Fail("nested deeper than 32");
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return Fail("an array is not closed");
    for (auto element : array) {
      ondemand::value inner;
      if (element.get(inner) != simdjson::SUCCESS) return Fail("a comma or ] is missing");
      TIDEMARK_RETURN_IF_ERROR(CheckValue(inner, depth + 1));
    }
    return {};
  }

  Status CheckObject(ondemand::value value, int depth) {
    if (depth > depth_max_) return Fail("nested deeper than 32");
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return Fail("an object is not closed");
    const size_t first_name = scratch_->names().size();
    for (auto member : object) {
      ondemand::field field;
      if (std::move(member).get(field) != simdjson::SUCCESS) {
        return Fail("a name, comma or } is missing");
      }
      std::string_view name;
      if (field.unescaped_key().get(name) != simdjson::SUCCESS || !IsUtf8(name)) {
        return Fail("a name has a wrong escape");
      }
      scratch_->names().push_back(name);
      TIDEMARK_RETURN_IF_ERROR(CheckValue(field.value(), depth + 1));
    }
    return CheckNames(first_name);
  }

  // Names of the object that ends here, from `first` to the newest; forgets them.
  Status CheckNames(size_t first) {
    std::vector<std::string_view>& names = scratch_->names();
    const auto begin = names.begin() + static_cast<std::ptrdiff_t>(first);
    if (names.size() - first <= kPairwiseMembersMax) {
      for (auto name = begin; name != names.end(); ++name) {
        if (std::find(begin, name, *name) != name) return Duplicate(*name);
      }
    } else {
      std::sort(begin, names.end());
      const auto twin = std::adjacent_find(begin, names.end());
      if (twin != names.end()) return Duplicate(*twin);
    }
    names.resize(first);
    return {};
  }

  Status Duplicate(std::string_view name) {
    return Fail("an object that ends here has the member \"" + std::string(name) + "\" twice");
  }

  Status CheckString(ondemand::value value) {
    std::string_view text;
    // The parser lets a lone low surrogate pass, as bytes that are not UTF-8.
    if (value.get_string().get(text) != simdjson::SUCCESS || !IsUtf8(text)) {
      return Fail("a string has a wrong escape");
    }
    return {};
  }

  Status CheckNumber(ondemand::value value) {
    const std::string_view token = TrimRight(value.raw_json_token());
    ondemand::number number;
    const bool is_number = value.get_number().get(number) == simdjson::SUCCESS;
    if (is_number && !number.is_uint64()) return {};
    return Malformed(scratch_->OffsetOf(token.data()), DescribeNumber(token));
  }

  std::string_view text_;
  const int depth_max_;
  ScratchUse& scratch_;
  ondemand::document document_;
};

// Stored text turned out not to be what was stored.
Status NotChecked() {
  return {ErrorCode::kMalformedJson, "JSON that was checked before is damaged"};
}

// Requires a value of checked, minified text. False when it is not.
bool ReadField(ondemand::value value, JsonField* field) {
  ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  std::string_view text = TrimRight(value.raw_json_token());
  bool good = true;
  switch (type) {
    case ondemand::json_type::null:
      field->type = JsonType::kNull;
      break;
    case ondemand::json_type::boolean:
      field->type = JsonType::kBool;
      good = value.get_bool().get(field->boolean) == simdjson::SUCCESS;
      break;
    case ondemand::json_type::number:
      // Integers are what is written without a point or an exponent.
      field->type = text.find_first_of(".eE") == std::string_view::npos ? JsonType::kInteger
                                                                        : JsonType::kDouble;
      if (field->type == JsonType::kInteger) {
        good = value.get_int64().get(field->integer) == simdjson::SUCCESS;
      }
      break;
    case ondemand::json_type::string:
      field->type = JsonType::kString;
      good = value.get_string().get(text) == simdjson::SUCCESS;
      break;
    case ondemand::json_type::array: {
      field->type = JsonType::kArray;
      ondemand::array array;
      good = value.get_array().get(array) == simdjson::SUCCESS &&
             array.raw_json().get(text) == simdjson::SUCCESS;
      break;
    }
    case ondemand::json_type::object: {
      field->type = JsonType::kObject;
      ondemand::object object;
      good = value.get_object().get(object) == simdjson::SUCCESS &&
             object.raw_json().get(text) == simdjson::SUCCESS;
      break;
    }
  }
  if (good) field->text = text;
  return good;
}

// The one value that Scratch::Open put into an array. False when there is none.
bool FirstValue(ondemand::document* document, ondemand::value* value) {
  ondemand::array wrapper;
  if (document->get_array().get(wrapper) != simdjson::SUCCESS) return false;
  auto begin = wrapper.begin();
  return begin.error() == simdjson::SUCCESS && (*begin).get(*value) == simdjson::SUCCESS;
}

// Calls visit(name, value) for each member of a checked object until it returns false.
template <typename Visit>
Status ForEachMember(std::string_view checked, Visit visit) {
  ScratchUse scratch;
  ondemand::document document;
  ondemand::value root;
  ondemand::object object;
  if (scratch->Open(checked, &document) != simdjson::SUCCESS || !FirstValue(&document, &root) ||
      root.get_object().get(object) != simdjson::SUCCESS) {
    return NotChecked();
  }
  for (auto member : object) {
    ondemand::field field;
    std::string_view name;
    if (std::move(member).get(field) != simdjson::SUCCESS ||
        field.unescaped_key().get(name) != simdjson::SUCCESS) {
      return NotChecked();
    }
    TIDEMARK_ASSIGN_OR_RETURN(const bool go_on, visit(name, field.value()));
    if (!go_on) break;
  }
  return {};
}

void AppendEscape(std::string* out, char c) {
  constexpr char kDigits[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default:
      out->append("\\u00");
      out->push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
      out->push_back(kDigits[c & 15]);
  }
}

Result<std::string> Minify(std::string_view text, int depth_max) {
  {
    ScratchUse scratch;
    TIDEMARK_RETURN_IF_ERROR(Checker(text, depth_max, &scratch).Check());
  }
  std::string minified(text.size(), '\0');
  size_t size = 0;
  if (simdjson::minify(text.data(), text.size(), minified.data(), size) != simdjson::SUCCESS) {
    return Malformed(0, "not JSON");
  }
  minified.resize(size);
  return minified;
}

}  // namespace

Result<std::string> MinifyJson(std::string_view text) {
  return Minify(text, kJsonDepthMax);
}

Result<std::vector<JsonField>> ReadJsonObject(std::string_view text, int depth_max) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::string minified, Minify(text, depth_max));
  if (!minified.starts_with('{')) {
    return {ErrorCode::kInvalidArgument, "a JSON object is expected"};
  }
  std::vector<JsonField> fields;
  const auto add = [&fields](std::string_view name, ondemand::value value) -> Result<bool> {
    fields.emplace_back().name = name;
    if (!ReadField(value, &fields.back())) return NotChecked();
    return true;
  };
  TIDEMARK_RETURN_IF_ERROR(ForEachMember(minified, add));
  return fields;
}

Result<std::vector<JsonField>> ReadJsonArray(std::string_view text, int depth_max) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::string minified, Minify(text, depth_max));
  if (!minified.starts_with('[')) {
    return {ErrorCode::kInvalidArgument, "a JSON array is expected"};
  }
  ScratchUse scratch;
  ondemand::document document;
  ondemand::value root;
  ondemand::array array;
  if (scratch->Open(minified, &document) != simdjson::SUCCESS || !FirstValue(&document, &root) ||
      root.get_array().get(array) != simdjson::SUCCESS) {
    return NotChecked();
  }
  std::vector<JsonField> fields;
  for (auto element : array) {
    ondemand::value value;
    fields.emplace_back();
    if (element.get(value) != simdjson::SUCCESS || !ReadField(value, &fields.back())) {
      return NotChecked();
    }
  }
  return fields;
}

Result<std::vector<std::optional<JsonField>>> ReadJsonFields(
    std::string_view object, const std::vector<std::string>& names) {
  std::vector<std::optional<JsonField>> fields(names.size());
  size_t missing = names.size();
  if (missing == 0) return fields;
  const auto pick = [&](std::string_view name, ondemand::value value) -> Result<bool> {
    JsonField found;
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] != name) continue;
      if (found.name.empty()) {
        if (!ReadField(value, &found)) return NotChecked();
        found.name = name;
      }
      fields[i] = found;
      --missing;
    }
    return missing > 0;
  };
  TIDEMARK_RETURN_IF_ERROR(ForEachMember(object, pick));
  return fields;
}

JsonWriter& JsonWriter::BeginObject() {
  Separate();
  out_.push_back('{');
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::EndObject() {
  out_.push_back('}');
  need_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::BeginArray() {
  Separate();
  out_.push_back('[');
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::EndArray() {
  out_.push_back(']');
  need_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view name) {
  String(name);
  out_.push_back(':');
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  out_.push_back('"');
  size_t plain = 0;  // begin of the run that needs no escape
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<uint8_t>(c) >= 0x20 && c != '"' && c != '\\') continue;
    out_.append(text, plain, i - plain);
    plain = i + 1;
    AppendEscape(&out_, c);
  }
  out_.append(text, plain);
  out_.push_back('"');
  return *this;
}

JsonWriter& JsonWriter::Integer(int64_t value) {
  return Raw(std::to_string(value));
}

JsonWriter& JsonWriter::Unsigned(uint64_t value) {
  return Raw(std::to_string(value));
}

JsonWriter& JsonWriter::Double(double value) {
  if (!std::isfinite(value)) return Null();  // JSON has no word for it
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return Raw({text, static_cast<size_t>(end - text)});
}

JsonWriter& JsonWriter::Bool(bool value) {
  return Raw(value ? "true" : "false");
}

JsonWriter& JsonWriter::Null() {
  return Raw("null");
}

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  out_.append(json);
  return *this;
}

void JsonWriter::Separate() {
  if (need_comma_) out_.push_back(',');
  need_comma_ = true;
}

}  // namespace tidemark
