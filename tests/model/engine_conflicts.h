// What a conflict ends in, told from texts alone: the judge of the policies by which a source
// decides about writes that did not know of each other. Values are flat JSON objects without commas
// or brackets in their members.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "db/entity.h"
#include "format/sequence.h"
#include "replication/conflict.h"

namespace tidemark::model {

/// What a device pushed onto a version that it had not seen. nullopt: deleted.
struct PlainConflict {
  std::optional<std::string> current;
  SequenceNumber birth;  // of the record as stored; zero: it is not there
  std::optional<std::string> pushed;
  SequenceNumber base;
  std::string changed;  // as the device says, or empty
};

/// What the record becomes.
struct PlainEnd {
  bool refused = false;
  std::optional<std::string> value = {};
};

/// The callback of the model: what it answers depends on both sides and nothing else.
ConflictResolution ResolveInModel(const Conflict& conflict);

PlainEnd EndOf(const PlainConflict& conflict, ConflictPolicy policy);

}  // namespace tidemark::model
