// The first frame of a bundle: what it is, and for whom.
#pragma once

#include <string>
#include <string_view>

#include "db/runtime.h"
#include "format/status.h"
#include "replication/bundle.h"

namespace tidemark::internal {

/// 16 random bytes: names a bundle, or the replica that is to begin with it.
std::string MakeBundleId(Runtime& runtime);

std::string EncodeBundleHeader(const BundleHeader& header);
/// `kMalformedBatch` for what no bundle begins with; `kNewerFormat`.
Result<BundleHeader> DecodeBundleHeader(std::string_view bytes);

}  // namespace tidemark::internal
