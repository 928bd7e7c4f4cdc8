// Two versions of a JSON object that come from one, member by member. A member is a whole value:
// objects and arrays in it are not merged themselves.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "format/status.h"

namespace tidemark::internal {

/// The names of the members that `after` has and `before` has not, or otherwise, and of those that
/// only `before` has, as a JSON array. nullopt if either is no object, or the names take more than
/// `kChangedBytesMax`. Both must be minified JSON.
std::optional<std::string> ChangedMembers(std::string_view before, std::string_view after);

/// The names of a list. `kMalformedJson` when it is none.
Result<std::set<std::string>> ReadMembers(std::string_view list);

/// The names of either list. nullopt as above.
std::optional<std::string> JoinedMembers(const std::string& first, const std::string& second);

/// `current` with the members named in `changed` as `pushed` has them, or without those that it has
/// not. Members of `current` keep their places; new ones follow in the order of `pushed`. Where
/// that is all that `pushed` says, it is `pushed` itself. Errors: `kInvalidArgument` for values
/// that are no objects, `kMalformedJson` for a list that is none, `kTooLarge` above
/// `kValueBytesMax`.
Result<std::string> MergeMembers(std::string_view current,
                                 std::string_view pushed,
                                 std::string_view changed);
/// The same with all members of `pushed`: it comes from nothing.
Result<std::string> MergeMembers(std::string_view current, std::string_view pushed);

}  // namespace tidemark::internal
