// Every number we chose, with its reason. What a user may choose is in db/options.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tidemark::tuning {

/// Rows of one segment. A point get reads one segment, a drain eight for a page of 1,000: 128 is
/// where gets stay cheap and drains are still bound by memory bandwidth (docs/performance.md).
inline constexpr size_t kSegmentRecords = 128;
/// Payload at which a segment ends early, so that one get never reads much more than it needs.
inline constexpr size_t kSegmentBytes = 1024 * 1024;

/// What one group commit takes at most: it bounds the memory of a write and the wait of the next.
inline constexpr size_t kGroupOperations = 20'000;
inline constexpr size_t kGroupBytes = 16 * 1024 * 1024;
/// Operations and bytes of one write batch.
inline constexpr size_t kBatchOperations = 100'000;
inline constexpr size_t kBatchBytes = 64 * 1024 * 1024;

/// Ended stays of an id, and as many for each key, beyond which the committer asks whether anyone
/// still needs them.
inline constexpr size_t kEndedStaysSoftMax = 8;

/// A new epoch begins this far above everything known: further than a lost future can have reached.
inline constexpr uint64_t kEpochJump = uint64_t{1} << 36;

/// Rows that one step of the index of parts takes: about 24 bytes of memory a row and key.
inline constexpr size_t kPartIndexRows = 65'536;
/// Rows after which it follows the log: a device that sees parts of an entity reads so many more.
inline constexpr uint64_t kPartIndexLag = 1024;

/// Operation ids kept for idempotency.
inline constexpr uint64_t kOperationIds = 1'000'000;
inline constexpr int64_t kOperationIdMilliseconds = int64_t{7} * 24 * 3600 * 1000;

/// Write buffer of one log's column family. Segments arrive in key order, so larger buffers only
/// cost memory.
inline constexpr size_t kLogWriteBufferBytes = 8 * 1024 * 1024;
/// The write-ahead log that keeps column families with few writes from being flushed.
inline constexpr uint64_t kWalBytes = 64 * 1024 * 1024;
inline constexpr int kOpenFiles = 512;

/// The log of an entity is compacted when it has this many dead rows and more dead than live ones.
inline constexpr uint64_t kCompactDeadRows = 65'536;

/// A fold merges small segments of an entity's log when this many came since they were merged last.
inline constexpr uint64_t kMergeSegmentsMin = 4;
/// Small segments that it takes along from before: full ones never move again.
inline constexpr size_t kMergeBack = 16'384;
/// Merged segments planned at a time, 16 bytes each: more than come of one window.
inline constexpr size_t kMergeGroups = 128 * 1024;
/// What a merge writes at a time; commits wait meanwhile.
inline constexpr size_t kMergeWriteBytes = 1024 * 1024;

/// Ids and values of one staged page.
inline constexpr size_t kStagedPageBytes = 16 * 1024 * 1024;
/// A staged page is sorted and cut into blocks of this many rows, or fewer with this much payload.
/// A finish holds one block of ids for each page that it merges, about 3 KiB.
inline constexpr size_t kStagedBlockRows = 64;
inline constexpr size_t kStagedBlockBytes = 16 * 1024;
/// Pages that are merged at once; more are merged in groups into files first.
inline constexpr size_t kMergePages = 2048;
/// A replacement fetches staged values for this many changed rows, or this many bytes, at a time.
inline constexpr size_t kReplaceRows = 16'384;
inline constexpr size_t kReplaceBytes = 8 * 1024 * 1024;
/// A replacement merges beside commits if staged rows and records are more than this share of the
/// window; fewer are merged faster than anyone would notice.
inline constexpr size_t kReplaceBesideShare = 8;
/// How often it merges anew when commits changed what it merged, before commits have to wait.
inline constexpr int kReplaceAttempts = 2;
/// Sequence numbers left to the commits beside a merge: more than can be written while it holds up
/// the folds, and few enough for 2^25 replacements.
inline constexpr uint64_t kReplaceReserve = uint64_t{1} << 28;
/// What a replacement writes to the log at a time.
inline constexpr size_t kReplaceWriteBytes = 4 * 1024 * 1024;
/// Keys that discarding a stage deletes at a time, between commits.
inline constexpr size_t kDiscardBytes = 256 * 1024;

/// How often, and how far apart, a reader beside a running owner looks again when a file vanished
/// under it; an owner removes files a few times a minute at most.
inline constexpr int kReaderAttempts = 20;
inline constexpr std::chrono::milliseconds kReaderPause{10};

/// Records that a scan in the order of ids collects at a time: it begins with few, for callers that
/// want no more. The more they are, the more of them share a segment; 180 bytes each.
inline constexpr size_t kScanRecordsMin = 16;
inline constexpr size_t kScanRecordsMax = 16'384;
/// Values that it reads ahead for them; those beyond are read when their turn comes.
inline constexpr size_t kScanBytes = size_t{4} * 1024 * 1024;

/// Heads that a log cursor fetches from the liveness sets at a time.
inline constexpr size_t kCursorBlock = 512;

}  // namespace tidemark::tuning
