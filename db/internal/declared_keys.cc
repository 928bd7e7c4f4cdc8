#include "db/internal/declared_keys.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "format/coding.h"

namespace tidemark::internal {
namespace {

// First byte of a value as it is hashed: what cannot be equal must not look equal.
constexpr char kTextTag = 's';
constexpr char kIntegerTag = 'i';
constexpr char kDoubleTag = 'd';
constexpr char kBoolTag = 'b';

// A double that is an integer, exactly, is that integer: 7.0 is 7.
bool IsExactInteger(double value) {
  constexpr double kLimit = 9'223'372'036'854'775'808.0;  // 2^63
  return value >= -kLimit && value < kLimit && std::trunc(value) == value;
}

// False if the value is no scalar.
bool AppendScalar(const JsonField& field, std::string* out) {
  switch (field.type) {
    case JsonType::kString:
      out->push_back(kTextTag);
      AppendBytes(out, field.text);
      return true;
    case JsonType::kBool:
      out->push_back(kBoolTag);
      out->push_back(field.boolean ? '1' : '0');
      return true;
    case JsonType::kInteger:
      out->push_back(kIntegerTag);
      AppendBigEndian64(out, static_cast<uint64_t>(field.integer));
      return true;
    case JsonType::kDouble: {
      double value = 0;
      std::from_chars(field.text.data(), field.text.data() + field.text.size(), value);
      if (IsExactInteger(value)) {
        out->push_back(kIntegerTag);
        AppendBigEndian64(out, static_cast<uint64_t>(static_cast<int64_t>(value)));
      } else {
        uint64_t bits = 0;
        std::memcpy(&bits, &value, sizeof(bits));
        out->push_back(kDoubleTag);
        AppendBigEndian64(out, bits);
      }
      return true;
    }
    case JsonType::kNull:
    case JsonType::kArray:
    case JsonType::kObject:
      break;
  }
  return false;
}

void AppendKeyValues(const HashSecret& secret,
                     std::span<const DeclaredKey> keys,
                     ValueKind kind,
                     std::string_view value,
                     std::vector<KeyValue>* out) {
  if (kind != ValueKind::kJson || keys.empty()) return;
  std::vector<std::string> names;
  for (const DeclaredKey& key : keys) {
    names.insert(names.end(), key.key.fields.begin(), key.key.fields.end());
  }
  const auto read = ReadJsonFields(value, names);
  if (!read.ok()) return;  // no object: it has no fields
  size_t begin = 0;
  for (const DeclaredKey& key : keys) {
    const auto fields = std::span(*read).subspan(begin, key.key.fields.size());
    begin += fields.size();
    if (const auto hash = HashKeyValue(secret, fields)) out->push_back({key.number, *hash});
  }
}

}  // namespace

std::vector<DeclaredKey> NumberKeys(const std::vector<DeclaredKey>& before,
                                    const std::vector<EntityKey>& keys,
                                    SequenceNumber now,
                                    uint16_t* next) {
  std::vector<DeclaredKey> numbered = before;
  for (DeclaredKey& known : numbered) known.declared = false;
  for (const EntityKey& key : keys) {
    const auto found = std::find_if(numbered.begin(),
                                    numbered.end(),
                                    [&](const DeclaredKey& known) { return known.key == key; });
    if (found != numbered.end()) {
      found->declared = true;
    } else {
      numbered.push_back({.number = (*next)++, .since = now, .key = key});
    }
  }
  return numbered;
}

std::optional<uint64_t> HashKeyValue(const HashSecret& secret,
                                     std::span<const std::optional<JsonField>> values) {
  std::string bytes;
  for (const std::optional<JsonField>& value : values) {
    if (!value.has_value() || !AppendScalar(*value, &bytes)) return std::nullopt;
  }
  return KeyedHash128(secret, bytes).low;
}

std::vector<KeyValue> ReadKeyValues(const HashSecret& secret,
                                    std::span<const DeclaredKey> keys,
                                    ValueKind kind,
                                    std::string_view value) {
  std::vector<KeyValue> values;
  AppendKeyValues(secret, keys, kind, value, &values);
  return values;
}

bool LacksStays(std::span<const DeclaredKey> keys, SequenceNumber head) {
  return std::any_of(
      keys.begin(), keys.end(), [head](const DeclaredKey& key) { return head <= key.since; });
}

void AddUnsaidStays(const HashSecret& secret,
                    std::span<const DeclaredKey> keys,
                    SequenceNumber head,
                    ValueKind kind,
                    std::string_view value,
                    std::vector<OpenStay>* stays) {
  for (const DeclaredKey& key : keys) {
    if (head > key.since) continue;
    std::vector<KeyValue> values;
    AppendKeyValues(secret, std::span(&key, 1), kind, value, &values);
    for (const KeyValue& found : values) stays->push_back({found, key.since});
  }
}

}  // namespace tidemark::internal
