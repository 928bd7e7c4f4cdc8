// Ids that a device makes without asking anybody (seed 003).
#pragma once

#include <string>

#include "db/runtime.h"

namespace tidemark {

/// A UUID of version 7 (RFC 9562) as text: sorts by the clock's milliseconds, and is unique by 74
/// random bits, whatever the clock says.
std::string MakeUuid7(Runtime& runtime);

}  // namespace tidemark
