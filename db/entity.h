// Entities: named kinds of data, and what is declared about them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/record.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

/// Identity of an entity within its store. Never given to another name, nor reused once removed.
using EntityNumber = uint32_t;

/// Entities from here on are local: tables of the engine, whose names begin with `_`. No device is
/// served them, no tombstone is kept for them, and no follower of the log sees them (contract 39).
inline constexpr EntityNumber kLocalEntityFirst = 0x8000'0000;
inline constexpr bool IsLocal(EntityNumber number) {
  return number >= kLocalEntityFirst;
}

inline constexpr size_t kEntitiesOfAKindMax = 256;  ///< snapshot, and as many incremental ones

enum class FieldType : uint8_t {
  kAny,
  kString,
  kInteger,
  kNumber,
  kBoolean,
  kTimestamp,
  kArray,
  kObject,
};

/// A declared field of an entity's JSON values.
struct EntityField {
  std::string name = {};
  FieldType type = FieldType::kAny;
  bool required = false;
  std::vector<std::string> allowed = {};  ///< values of an enumeration; empty allows any
  bool operator==(const EntityField&) const = default;
};

/// `field` holds the id of a record of `entity`.
struct EntityReference {
  std::string field;
  std::string entity;
  bool operator==(const EntityReference&) const = default;
};

/// A key of an entity, for selections: one field, or a list of fields, by whose values a device may
/// be shown some of the records (contract 7 and "part"). A record in which one of the fields is
/// absent, null, an array or an object has no value of the key.
struct EntityKey {
  std::vector<std::string> fields;
  bool operator==(const EntityKey&) const = default;
};

inline constexpr size_t kEntityKeysMax = 16;
/// Of an entity over all time: what was dropped is still known.
inline constexpr size_t kEntityKeysEverMax = 64;
inline constexpr size_t kKeyFieldsMax = 4;

/// What a finish does with rows whose references dangle (contract 32, decision B6).
enum class ReferencePolicy : uint8_t { kWarn, kStrict, kOff };

/// What becomes of a device's own write whose record was changed by somebody else meanwhile
/// (contract 36, decision B22).
enum class ConflictPolicy : uint8_t {
  kReject,      ///< it is refused, and kept at the device as one that failed
  kLastWriter,  ///< it goes, and the version that it replaces is kept in `_conflicts`
  kByField,   ///< the fields that it changed go, the others stay; the same is kept. Deletions, and
              ///< values that are no JSON objects, are refused
  kCallback,  ///< the application decides (`SourceOptions::conflict_resolver`); without: refused
};

/// "reject", "last_writer", "by_field", "callback".
std::string_view ConflictPolicyName(ConflictPolicy policy);
/// nullopt for a name that is none.
std::optional<ConflictPolicy> ConflictPolicyNamed(std::string_view name);

/// Events older or further back than any set bound are trimmed (contract 24).
struct Retention {
  std::optional<int64_t> age_ms = {};
  std::optional<uint64_t> count = {};
  std::optional<uint64_t> bytes = {};
  bool operator==(const Retention&) const = default;
};

/// What is declared about an entity. Schemas are data (contract 32).
struct EntityDeclaration {
  EntityKind kind = EntityKind::kSnapshot;
  std::string type_label = {};  ///< shown to devices; the name by default
  std::vector<std::string> id_fields = {"id"};
  std::vector<EntityField> fields = {};  ///< fields not named are kept as they come
  std::vector<EntityReference> references = {};
  ReferencePolicy reference_policy = ReferencePolicy::kWarn;
  double dangling_share_max = 0.75;  ///< of rows with references; above it a finish is refused
  bool strict = false;               ///< a bad row refuses the page instead of being set aside
  std::optional<double> delete_share_max = {};  ///< delete guard; applies from 100 deletions up
  std::string time_field = "timestamp";  ///< incremental: the event's time, for retention only
  Retention retention = {};
  ConflictPolicy conflicts = ConflictPolicy::kReject;
  std::vector<EntityKey> keys = {};  ///< what selections may go by; may be declared at any time
  bool operator==(const EntityDeclaration&) const = default;
};

/// An entity as it stands.
struct EntityInfo {
  EntityNumber number = 0;
  std::string name;
  EntityDeclaration declaration;
  uint64_t generation = 0;         ///< counts replacements of the whole entity
  uint64_t record_count = 0;       ///< live records
  uint64_t tombstone_count = 0;    ///< deletions kept for devices
  SequenceNumber trimmed_through;  ///< incremental: events at or below are gone
  uint64_t trimmed_count = 0;      ///< incremental: how many are gone
  /// With keys: the log up to here is indexed by all of them; what is above is read from the log.
  SequenceNumber keys_indexed_through;
};

/// One text for a declaration: `{"kind":"snapshot","id":["id"],"fields":[...],...}`, the form that
/// schemas have in files and on the wire.
std::string DeclarationToJson(const EntityDeclaration& declaration);
/// `kInvalidArgument` names the member that is wrong; unknown members are refused.
Result<EntityDeclaration> DeclarationFromJson(std::string_view json);

}  // namespace tidemark
