// Values of single staged rows, for merges that have to look into them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "db/internal/staging.h"
#include "format/batch.h"
#include "format/status.h"

namespace tidemark::internal {

/// Keeps the block that was read last of each of some pages: neighbouring ids lie in few blocks of
/// each page. Thread-compatible.
class StagedValues {
 public:
  explicit StagedValues(const StagingReader& reader) : reader_(reader) {}

  /// The row as it was uploaded; its views are valid until the next call. `kCorruption`.
  Result<BatchRow> Read(std::string_view entity, const StagedPlace& place);

 private:
  static constexpr size_t kPagesMax = 64;
  struct Block {
    StagedPlace place;
    std::string bytes;
    std::optional<BatchView> rows;
  };

  const StagingReader& reader_;
  std::map<uint32_t, Block> blocks_;  // by page
};

}  // namespace tidemark::internal
