// Grants as they are typed: `ENTITY:FIELD=VALUE[,VALUE...][;FIELD=...]`.
#pragma once

#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/selection_rule.h"

namespace tidemark::tools {

/// A value is a JSON scalar if it reads as one, and otherwise the text itself: `owner=17` is a
/// number, `owner="17"` and `owner=seventeen` are strings. `kInvalidArgument` says what is wrong.
Result<Grant> ParseGrant(std::string_view text);

/// What `ParseGrant` would read, or the entity's name alone.
std::string DescribeGrant(const Grant& grant);

}  // namespace tidemark::tools
