// The parts of an open store, put together.
#pragma once

#include <memory>

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

  internal::StoreState state;
  internal::Committer committer{state};
  std::unique_ptr<internal::Upkeep> upkeep;  // null when read-only
  bool closed = false;
};

}  // namespace tidemark
