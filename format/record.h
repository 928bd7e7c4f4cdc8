// Names, ids and values: what a record is made of, and what is allowed in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

// Public limits, each tested at n and n + 1 (docs/limits.md).
inline constexpr size_t kNameBytesMax = 64;            ///< entity and instance names
inline constexpr size_t kIdBytesMax = 512;             ///< record ids, as text
inline constexpr size_t kValueBytesMax = 1024 * 1024;  ///< one value; larger ones are blobs
inline constexpr size_t kLocalValueBytesMax = 2 * kValueBytesMax;  ///< of the engine's own tables,
                                                                   ///< which wrap others' values
inline constexpr size_t kDeviceIdBytesMax = 128;                   ///< device ids
inline constexpr size_t kChangedBytesMax =
    256 * 1024;                                   ///< names of the members that a device changed
inline constexpr size_t kBatchRecordsMax = 1000;  ///< records in one batch
inline constexpr size_t kBatchBytesMax = 4 * 1024 * 1024;  ///< a batch, encoded; one record may
                                                           ///< exceed it only by its own size

/// How a record's id was written. `7` and `"7"` name the same record; the form only decides how
/// the id is shown (interfaces: "Ids").
enum class IdForm : uint8_t { kText = 0, kInteger = 1 };

/// What the bytes of a value are to the faces of the engine; to the engine they are opaque.
enum class ValueKind : uint8_t { kBytes = 0, kJson = 1, kReference = 2 };

enum class EntityKind : uint8_t {
  kSnapshot,     ///< keyed current state, changed record by record or replaced whole
  kIncremental,  ///< append-only, time-stamped events
};

/// A record's id: text of 1 to 512 bytes without control characters, or a signed 64-bit integer,
/// which is its canonical decimal text. Value type.
class RecordId {
 public:
  RecordId(std::string_view text) : text_(text) {}  // NOLINT(google-explicit-constructor): reads as
  RecordId(const char* text) : text_(text) {}  // NOLINT(google-explicit-constructor): a literal
  RecordId(std::string text) : text_(std::move(text)) {}  // NOLINT(google-explicit-constructor)
  RecordId(int64_t number)                                // NOLINT(google-explicit-constructor)
      : text_(std::to_string(number)), form_(IdForm::kInteger) {}
  RecordId(std::string_view text, IdForm form) : text_(text), form_(form) {}

  const std::string& text() const { return text_; }
  IdForm form() const { return form_; }

 private:
  std::string text_;
  IdForm form_ = IdForm::kText;
};

/// Entity and instance names: `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`. A leading `_` is `kReserved`.
Status CheckName(std::string_view name);
/// Names of local entities, which the engine keeps for itself: `_` and then a name.
Status CheckLocalName(std::string_view name);
inline bool IsLocalName(std::string_view name) {
  return name.starts_with('_');
}
/// 1 to 512 bytes of UTF-8 without control characters.
Status CheckRecordId(std::string_view id);
/// The same; and one that is an integer is its canonical decimal text.
Status CheckIdOfForm(std::string_view id, IdForm form);
/// 1 to 128 bytes of UTF-8 without control characters, not only white space.
Status CheckDeviceId(std::string_view id);
/// True for well-formed UTF-8 (no surrogates, no overlong forms).
bool IsUtf8(std::string_view text);

}  // namespace tidemark
