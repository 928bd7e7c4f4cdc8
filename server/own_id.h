// One rule for where the id of a record comes from, on every way in: what a value says of its own
// id counts, and may not contradict what is said beside it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/record.h"
#include "format/record_json.h"
#include "format/status.h"

namespace tidemark::server {

/// The fields that the ids of entities are made of, as schemas say; `id` unless one names others.
class IdFields {
 public:
  /// `store` must outlive it. What is asked for is remembered: a schema that changes later is not
  /// seen.
  explicit IdFields(const Store& store) : store_(store) {}
  const std::vector<std::string>& Of(std::string_view entity);

 private:
  const Store& store_;
  std::map<std::string, std::vector<std::string>, std::less<>> known_;
};

/// The id that a value gives itself, to be put under `id`: the same, in the form that the value's
/// field has. nullopt when the value says nothing: it is no object, has no such field, or the id is
/// made of several. `kInvalidArgument` names a field that contradicts `id`.
Result<std::optional<RecordId>> OwnIdOf(const TypedValue& value,
                                        std::string_view id,
                                        const std::vector<std::string>& id_fields);

/// The id of an event: `given`, which may also be a later event of the value's own id (`ID~N`);
/// else the one that the value has; nullopt when it has none, so that the store makes one.
Result<std::optional<RecordId>> EventIdOf(const TypedValue& value,
                                          const std::optional<RecordId>& given,
                                          const std::vector<std::string>& id_fields);

}  // namespace tidemark::server
