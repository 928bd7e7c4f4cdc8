// The entities of a store, as an immutable picture that readers share.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "db/internal/column_families.h"
#include "db/internal/declared_keys.h"
#include "db/internal/segment_filter.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark::internal {

/// An entity as one version of its descriptor row says, with its open column families.
struct EntityState {
  EntityNumber number = 0;
  std::string name;
  EntityDeclaration declaration;
  uint64_t generation = 1;
  /// The last sequence number that the generation's index holds; replay into the window starts
  /// above it.
  SequenceNumber generation_mark;
  bool dropped = false;            ///< its name is free; its tombstones may still be owed
  SequenceNumber trimmed_through;  ///< incremental: events at or below are gone
  uint64_t trimmed_count = 0;
  std::vector<DeclaredKey> keys;  ///< those of the declaration, by number
  uint16_t next_key = 1;

  /// Replaces the declaration. `now`: the newest sequence number there is.
  void Declare(EntityDeclaration declared, SequenceNumber now);

  Family log;
  Family index;
  std::shared_ptr<SegmentFilterFactory> filter;
};

/// `dropped`, declared anew: what it owes to devices goes on, so that a record created under an id
/// of the old one ends the older life.
EntityState Revived(const EntityState& dropped,
                    const EntityDeclaration& declaration,
                    SequenceNumber now);

using EntityPtr = std::shared_ptr<const EntityState>;

/// Immutable; a change makes a new one.
class Catalog {
 public:
  /// Only entities that are not dropped have names. nullptr when there is none.
  EntityPtr Find(std::string_view name) const;
  EntityPtr Find(EntityNumber number) const;
  /// The dropped entity that had this name; nullptr when there is none, or nothing of it is left.
  EntityPtr FindDropped(std::string_view name) const;
  const std::map<EntityNumber, EntityPtr>& all() const { return by_number_; }
  size_t CountOfKind(EntityKind kind) const;  ///< local ones left out
  EntityNumber next_number() const { return next_number_; }
  EntityNumber next_local_number() const { return next_local_number_; }
  /// Counts changes, within this process.
  uint64_t version() const { return version_; }

  /// A copy in which `entity` is, or replaces, the entity of its number.
  std::shared_ptr<const Catalog> With(EntityPtr entity) const;
  std::shared_ptr<const Catalog> Without(EntityNumber number) const;
  /// A copy whose next entity gets `number` or a higher one.
  std::shared_ptr<const Catalog> WithNextNumber(EntityNumber number) const;

 private:
  std::map<std::string, EntityPtr, std::less<>> by_name_;
  std::map<EntityNumber, EntityPtr> by_number_;
  uint64_t version_ = 1;
  EntityNumber next_number_ = 1;
  EntityNumber next_local_number_ = kLocalEntityFirst;  // local entities are never removed
};

/// The descriptor row of an entity, `families` left out.
std::string EncodeEntity(const EntityState& entity);
Result<EntityState> DecodeEntity(std::string_view bytes);

}  // namespace tidemark::internal
