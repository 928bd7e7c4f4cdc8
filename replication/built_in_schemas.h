// The schemas that an instance of the server starts with: the six entities of a directory feed
// (seed 000). The library itself declares nothing.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "db/entity.h"

namespace tidemark {

/// (name, declaration), by name. Fields that a schema does not name are kept as they come.
const std::vector<std::pair<std::string, EntityDeclaration>>& BuiltInDeclarations();

}  // namespace tidemark
