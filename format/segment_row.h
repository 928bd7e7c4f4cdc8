// Single rows of a segment, for readers that want no others: a point get, a scan in the order of
// ids.
#pragma once

#include <cstddef>
#include <string_view>

#include "format/batch.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

/// The bytes of a segment, just read through a checksum, of which rows are wanted one by one.
/// Refers to the bytes, which must outlive it. Immutable, so thread-safe.
class SegmentRows {
 public:
  /// Checks what rows have in common; `kMalformedBatch`.
  static Result<SegmentRows> Open(std::string_view segment);

  /// The row with this sequence. Views point into the bytes. Its stays and its origin are left
  /// out. What `BatchView::Parse` checks of every row is checked of this one:
  /// `kMalformedBatch`, also when the row is not there.
  Result<BatchRow> Find(SequenceNumber sequence) const;

 private:
  SegmentRows(std::string_view payload, size_t rows) : payload_(payload), rows_(rows) {}

  std::string_view payload_;
  size_t rows_;
};

}  // namespace tidemark
