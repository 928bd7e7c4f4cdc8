// Upload syncs as sync statuses: whoever watches `_syncStatus` sees what is being uploaded, how far
// it is, and how it ended.
#pragma once

#include <memory>

#include "replication/sync_tracker.h"
#include "replication/upload.h"

namespace tidemark {

/// The member that upload syncs are to sync scopes; statuses are `upload:<entity>`.
inline constexpr std::string_view kUploadMember = "upload";

/// Follows `uploads` from now on, an active sync included. The tracker must live as long as calls
/// of `uploads` are made. An upload sync that survives a restart goes on as a run of its own.
void TrackUploads(Uploads& uploads, SyncTracker& tracker);

}  // namespace tidemark
