#include "db/entity_keys.h"

#include <algorithm>

#include "db/internal/entity_keys_data.h"

namespace tidemark {
namespace internal {

EntityKeys KeysOf(const StoreState& state, const EntityState& entity) {
  if (entity.keys.empty()) return {};
  return EntityKeys(std::make_shared<const EntityKeys::Data>(
      EntityKeys::Data{.secret = state.identity.secret, .keys = entity.keys}));
}

}  // namespace internal

std::optional<std::vector<std::string>> EntityKeys::FindFields(
    std::vector<std::string> fields) const {
  if (data_ == nullptr) return std::nullopt;
  std::sort(fields.begin(), fields.end());
  for (const internal::DeclaredKey& key : data_->keys) {
    if (!key.declared) continue;
    std::vector<std::string> sorted = key.key.fields;
    std::sort(sorted.begin(), sorted.end());
    if (sorted == fields) return key.key.fields;
  }
  return std::nullopt;
}

std::optional<KeyValue> EntityKeys::Find(const std::vector<std::string>& fields,
                                         const std::vector<JsonField>& values) const {
  if (data_ == nullptr) return std::nullopt;
  const auto key = std::find_if(
      data_->keys.begin(), data_->keys.end(), [&](const internal::DeclaredKey& declared) {
        return declared.declared && declared.key.fields == fields;
      });
  if (key == data_->keys.end() || values.size() != fields.size()) return std::nullopt;
  const std::vector<std::optional<JsonField>> given(values.begin(), values.end());
  const auto hash = internal::HashKeyValue(data_->secret, given);
  if (!hash.has_value()) return std::nullopt;
  return KeyValue{key->number, *hash};
}

std::span<const OpenStay> EntityKeys::StaysOf(const BatchRow& row,
                                              std::vector<OpenStay>* scratch) const {
  if (data_ == nullptr || row.op == RowOp::kDelete ||
      !internal::LacksStays(data_->keys, row.sequence)) {
    return row.stays;
  }
  scratch->assign(row.stays.begin(), row.stays.end());
  internal::AddUnsaidStays(
      data_->secret, data_->keys, row.sequence, row.value_kind, row.value, scratch);
  return *scratch;
}

}  // namespace tidemark
