// What the frames of a bundle hold, and that they belong into theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "replication/bundle.h"

namespace tidemark::internal {

enum class BundleFrameType : uint8_t {
  kHead = 1,     ///< the first one, and only that
  kPage = 2,     ///< pull: a batch of kind 2
  kPush = 3,     ///< push: a batch of kind 5
  kKeys = 4,     ///< push: keys of pages that the device applied, at most 1,000
  kAnswers = 5,  ///< answers: to one push
  kEnd = 6,      ///< the last one, and only that: how much there is
};

/// A frame as it was before it was packed. Refers to its reader, until the next is read.
struct BundleFrame {
  BundleFrameType type = BundleFrameType::kHead;
  std::string_view bytes;
  uint64_t number = 0;  ///< from 1 for the header
  uint64_t offset = 0;  ///< of its first byte in the file
};

inline constexpr size_t kBundleKeysOfAFrame = 1000;

std::string EncodeBundleKeys(const std::vector<std::string>& keys);
/// `kMalformedBatch`.
Result<std::vector<std::string>> DecodeBundleKeys(std::string_view bytes);

/// Checks that the frame is one that a bundle with this header may have next, of the same device,
/// and adds what is in it to `*totals`.
Status CountBundleFrame(const BundleHeader& header, const BundleFrame& frame, BundleTotals* totals);

}  // namespace tidemark::internal
