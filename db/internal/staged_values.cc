#include "db/internal/staged_values.h"

#include <utility>

namespace tidemark::internal {

Result<BatchRow> StagedValues::Read(std::string_view entity, const StagedPlace& place) {
  const auto found = blocks_.find(place.page);
  const bool known = found != blocks_.end() && found->second.place.version == place.version &&
                     found->second.place.block == place.block;
  if (!known) {
    TIDEMARK_ASSIGN_OR_RETURN(std::string bytes, reader_.ReadValues(entity, place));
    if (found == blocks_.end() && blocks_.size() >= kPagesMax) blocks_.clear();
    Block& block = blocks_[place.page];
    block = {.place = place, .bytes = std::move(bytes), .rows = {}};
    auto rows = BatchView::Parse(block.bytes, BatchKind::kUpload, Trust::kNone);
    if (!rows.ok()) {
      blocks_.erase(place.page);
      return {ErrorCode::kCorruption,
              std::string(entity) + ", staged page " + std::to_string(place.page) + ": " +
                  rows.status().message()};
    }
    block.rows = std::move(*rows);
  }
  const BatchView& rows = *blocks_.at(place.page).rows;
  if (place.index >= rows.size()) {
    return {ErrorCode::kCorruption,
            std::string(entity) + ", staged page " + std::to_string(place.page) + " lacks values"};
  }
  return rows.row(place.index);
}

}  // namespace tidemark::internal
