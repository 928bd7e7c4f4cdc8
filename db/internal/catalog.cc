#include "db/internal/catalog.h"

#include <algorithm>

#include "format/coding.h"
#include "format/stored_row.h"

namespace tidemark::internal {
namespace {

constexpr uint8_t kEntityRowVersion = 2;
constexpr uint8_t kEntityRowVersionWithoutKeys = 1;
constexpr std::string_view kEntityRowName = "an entity's descriptor row";

void ReadKeys(ByteReader* reader, EntityState* entity) {
  entity->next_key = static_cast<uint16_t>(reader->Varint());
  const uint64_t count = reader->Varint();
  for (uint64_t i = 0; i < count && reader->ok(); ++i) {
    DeclaredKey key;
    key.number = static_cast<uint16_t>(reader->Varint());
    key.since = reader->Sequence();
    key.declared = reader->Varint() != 0;
    const uint64_t fields = reader->Varint();
    for (uint64_t field = 0; field < fields && reader->ok(); ++field) {
      key.key.fields.emplace_back(reader->Bytes());
    }
    entity->keys.push_back(std::move(key));
  }
}

}  // namespace

void EntityState::Declare(EntityDeclaration declared, SequenceNumber now) {
  declaration = std::move(declared);
  keys = NumberKeys(keys, declaration.keys, now, &next_key);
}

EntityState Revived(const EntityState& dropped,
                    const EntityDeclaration& declaration,
                    SequenceNumber now) {
  EntityState entity = dropped;
  entity.dropped = false;
  entity.Declare(declaration, now);
  entity.trimmed_count = 0;  // `trimmed_through` stays: events at or below it must not come back
  return entity;
}

EntityPtr Catalog::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

EntityPtr Catalog::Find(EntityNumber number) const {
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second;
}

EntityPtr Catalog::FindDropped(std::string_view name) const {
  for (const auto& [number, entity] : by_number_) {
    if (entity->dropped && entity->name == name) return entity;
  }
  return nullptr;
}

size_t Catalog::CountOfKind(EntityKind kind) const {
  return static_cast<size_t>(
      std::count_if(by_number_.begin(), by_number_.end(), [kind](const auto& numbered) {
        return !IsLocal(numbered.first) && !numbered.second->dropped &&
               numbered.second->declaration.kind == kind;
      }));
}

std::shared_ptr<const Catalog> Catalog::With(EntityPtr entity) const {
  auto copy = std::make_shared<Catalog>(*this);
  ++copy->version_;
  if (const EntityPtr before = Find(entity->number); before != nullptr && !before->dropped) {
    copy->by_name_.erase(before->name);
  }
  copy->by_number_[entity->number] = entity;
  EntityNumber& next = IsLocal(entity->number) ? copy->next_local_number_ : copy->next_number_;
  next = std::max(next, entity->number + 1);
  if (!entity->dropped) copy->by_name_[entity->name] = std::move(entity);
  return copy;
}

std::shared_ptr<const Catalog> Catalog::Without(EntityNumber number) const {
  auto copy = std::make_shared<Catalog>(*this);
  ++copy->version_;
  if (const EntityPtr before = Find(number); before != nullptr && !before->dropped) {
    copy->by_name_.erase(before->name);
  }
  copy->by_number_.erase(number);
  return copy;
}

std::shared_ptr<const Catalog> Catalog::WithNextNumber(EntityNumber number) const {
  auto copy = std::make_shared<Catalog>(*this);
  ++copy->version_;
  copy->next_number_ = std::max(next_number_, number);
  return copy;
}

std::string EncodeEntity(const EntityState& entity) {
  std::string out;
  out.push_back(static_cast<char>(kEntityRowVersion));
  AppendVarint(&out, entity.number);
  AppendBytes(&out, entity.name);
  AppendBytes(&out, DeclarationToJson(entity.declaration));
  AppendVarint(&out, entity.generation);
  AppendVarint(&out, entity.generation_mark.value());
  AppendVarint(&out, entity.dropped ? 1 : 0);
  AppendVarint(&out, entity.trimmed_through.value());
  AppendVarint(&out, entity.trimmed_count);
  AppendVarint(&out, entity.next_key);
  AppendVarint(&out, entity.keys.size());
  for (const DeclaredKey& key : entity.keys) {
    AppendVarint(&out, key.number);
    AppendVarint(&out, key.since.value());
    AppendVarint(&out, key.declared ? 1 : 0);
    AppendVarint(&out, key.key.fields.size());
    for (const std::string& field : key.key.fields) AppendBytes(&out, field);
  }
  return out;
}

Result<EntityState> DecodeEntity(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_ASSIGN_OR_RETURN(const uint8_t version,
                            ReadRowVersion(&reader, kEntityRowVersion, kEntityRowName));
  EntityState entity;
  entity.number = static_cast<EntityNumber>(reader.Varint());
  entity.name = reader.Bytes();
  const std::string_view declaration = reader.Bytes();
  entity.generation = reader.Varint();
  entity.generation_mark = reader.Sequence();
  entity.dropped = reader.Varint() != 0;
  entity.trimmed_through = reader.Sequence();
  entity.trimmed_count = reader.Varint();
  if (version != kEntityRowVersionWithoutKeys) ReadKeys(&reader, &entity);
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kEntityRowName));
  TIDEMARK_ASSIGN_OR_RETURN(entity.declaration, DeclarationFromJson(declaration));
  return entity;
}

}  // namespace tidemark::internal
