// The first frame of a bundle: what it is, and for whom.
#pragma once

#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/bundle.h"

namespace tidemark::internal {

std::string EncodeBundleHeader(const BundleHeader& header);
/// `kMalformedBatch` for what no bundle begins with; `kNewerFormat`.
Result<BundleHeader> DecodeBundleHeader(std::string_view bytes);

}  // namespace tidemark::internal
