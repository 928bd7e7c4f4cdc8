// The parts of an open store, put together.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "db/internal/committer.h"
#include "db/internal/store_state.h"
#include "db/internal/upkeep.h"
#include "db/store.h"

namespace tidemark {

class Store::Impl {
 public:
  Impl() = default;
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Writes the descriptor of an entity, which is made, or revived, if there is none. `describe` is
  /// given the one there is, or null, under the commit mutex.
  Result<EntityInfo> Describe(
      std::string_view name,
      const std::function<Result<EntityDeclaration>(const internal::EntityState* existing)>&
          describe);

  Status WriteDownForgotten();

  internal::StoreState state;
  internal::Committer committer{state};
  std::unique_ptr<internal::Upkeep> upkeep;  // null when read-only
  bool closed = false;
};

}  // namespace tidemark
