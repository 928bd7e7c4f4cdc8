// One row of a segment, for readers that want no other: a point get, a scan in the order of ids.
#pragma once

#include <string_view>

#include "format/batch.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

/// The row with this sequence in the bytes of a segment, just read through a checksum. Views point
/// into the bytes. Its ended lives and its origin are left out. What `BatchView::Parse` checks of
/// every row is checked of this one: `kMalformedBatch`, also when the row is not there.
Result<BatchRow> ReadSegmentRow(std::string_view segment, SequenceNumber sequence);

}  // namespace tidemark
