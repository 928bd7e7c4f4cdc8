// The change log for followers that are no devices: lines of JSON after a cursor.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark::server {

/// How far a follower is. One that began at 0 sees every deletion after the moment it began, so old
/// rows that it has yet to read do not make its position too old.
struct FeedPosition {
  SequenceNumber head;   ///< of the last line; 0: at the beginning
  SequenceNumber begun;  ///< the newest sequence number when it began at 0
};

/// Opaque to whoever carries it, sealed by the store.
std::string SealCursor(const Store& store, const FeedPosition& position);
/// "0" is the beginning. `kInvalidArgument` when malformed or forged, `kTrimmed` when it is of
/// another epoch.
Result<FeedPosition> OpenCursor(const Store& store, std::string_view cursor);

struct FeedLine {
  std::string cursor;
  std::string json;  ///< without the line's end
};

struct FeedPage {
  std::vector<FeedLine> lines;
  FeedPosition end;   ///< after the last line; at the newest change when there is no more
  bool more = false;  ///< it ended by a limit
};

/// The next lines, at most `lines_max`, in the order of their sequence numbers; a page ends after
/// the line that exceeds `bytes_max`. What is current is shown, and deletions as long as they are
/// kept for followers. Entities of the engine, with a leading `_`, are left out. `kTrimmed` when
/// deletions since `position` are no longer kept.
Result<FeedPage> ReadFeed(const Store& store,
                          const FeedPosition& position,
                          uint64_t lines_max,
                          size_t bytes_max);

}  // namespace tidemark::server
