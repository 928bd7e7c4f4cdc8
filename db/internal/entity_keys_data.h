// What `EntityKeys` holds.
#pragma once

#include <vector>

#include "db/entity_keys.h"
#include "db/internal/store_state.h"

namespace tidemark {

struct EntityKeys::Data {
  HashSecret secret;
  std::vector<internal::DeclaredKey> keys;
};

namespace internal {

EntityKeys KeysOf(const StoreState& state, const EntityState& entity);

}  // namespace internal
}  // namespace tidemark
