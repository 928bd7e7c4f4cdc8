// Declared keys of an entity: which values of its fields put a record into which parts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "format/checksum.h"
#include "format/json.h"
#include "format/record.h"
#include "format/sequence.h"
#include "format/stay.h"

namespace tidemark::internal {

/// A key as its entity keeps it, for good: rows go on to say the values of one that was dropped, so
/// that what devices hold by it can be told deleted.
struct DeclaredKey {
  uint16_t number = 0;   ///< from 1; never given to other fields
  SequenceNumber since;  ///< rows up to it do not say their values of this key
  EntityKey key;
  bool declared = true;  ///< else dropped: no selection names it
  bool operator==(const DeclaredKey&) const = default;
};

/// The keys after a changed declaration: those that are known keep their numbers, new ones are
/// numbered from `*next` and begin at `now`.
std::vector<DeclaredKey> NumberKeys(const std::vector<DeclaredKey>& before,
                                    const std::vector<EntityKey>& keys,
                                    SequenceNumber now,
                                    uint16_t* next);

/// The name of these values in parts; values of one key's fields, in order. nullopt: one of them is
/// no scalar, and who has it is in no part of the key. Numbers are compared as numbers.
std::optional<uint64_t> HashKeyValue(const HashSecret& secret,
                                     std::span<const std::optional<JsonField>> values);

/// What a value has of each key: nothing where a field is absent, null, an array or an object.
std::vector<KeyValue> ReadKeyValues(const HashSecret& secret,
                                    std::span<const DeclaredKey> keys,
                                    ValueKind kind,
                                    std::string_view value);

/// True if a row written at `head` does not say its values of some key.
bool LacksStays(std::span<const DeclaredKey> keys, SequenceNumber head);

/// Adds what a row, written at `head` with this value, does not say: a record has been in a part
/// since the key was declared, as far as anybody can tell.
void AddUnsaidStays(const HashSecret& secret,
                    std::span<const DeclaredKey> keys,
                    SequenceNumber head,
                    ValueKind kind,
                    std::string_view value,
                    std::vector<OpenStay>* stays);

}  // namespace tidemark::internal
