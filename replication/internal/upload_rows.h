// The rows in which uploads keep their state, as bytes. Pure. Every value begins with a version.
//
//   u/active                      ordinal of the active sync; absent when there is none
//   u/next                        next ordinal, oldest ordinal in the history
//   u/i/<id>                      ordinal of a sync
//   u/s/<ordinal>                 SyncRow
//   u/p/<ordinal><entity><page>   PageRow
//   u/r/<ordinal><entity><page>   rows set aside from that page
//   u/k/<ordinal><entity><page>   KeepRow: ids set aside from that page of a snapshot
//   u/d/<ordinal><chunk>          rows set aside by the reference checks of a finish
//   u/x/<ordinal>                 to be cleaned up: a Cleanup; what a crash leaves undone
//
// Ordinals count syncs from 1 and also name their stages. Numbers in keys are big-endian and
// entity names are in their ordered form, so that keys sort as (ordinal, entity, page).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "replication/upload.h"

namespace tidemark::internal {

inline constexpr size_t kUploadHistoryMax = 1000;        ///< syncs, the active one included
inline constexpr size_t kRejectedRowsMax = 100'000;      ///< listed; more are counted only
inline constexpr size_t kUploadWarningsMax = 1000;       ///< listed
inline constexpr size_t kRejectedRowsChunkMax = 1000;    ///< in one row `u/d/`
inline constexpr size_t kUploadPageBytesMax = 16 << 20;  ///< JSON text of one page

/// One entity of a sync.
struct SyncEntity {
  EntityKind kind = EntityKind::kSnapshot;  ///< of the call its pages came by
  uint64_t pages = 0;                       ///< distinct pages that are staged
  uint64_t refused = 0;                     ///< pages whose last upload was refused as strict
  uint64_t accepted = 0;
  uint64_t rejected = 0;  ///< set aside when uploaded
  uint64_t dangling = 0;  ///< set aside by the last finish
  ReplaceCounts counts;   ///< of the finish
  bool operator==(const SyncEntity& other) const = default;
};

/// A sync: its history entry and what its next step needs to know.
struct SyncRow {
  std::string id;
  UploadState state = UploadState::kStarted;
  int64_t started_at_ms = 0;
  int64_t ended_at_ms = 0;
  std::map<std::string, SyncEntity> entities;
  std::vector<std::string> warnings;
  std::string error;
  std::string finish_options;    ///< of the finish that closed it: see `FingerprintOf`
  uint64_t rejected_listed = 0;  ///< rows under `u/r/`
  uint64_t dangling_chunks = 0;  ///< rows `u/d/` that count
  bool operator==(const SyncRow& other) const = default;
};

/// One page of a sync.
struct PageRow {
  uint64_t accepted = 0;
  uint64_t rejected = 0;
  uint64_t rejected_listed = 0;
  std::string hash;
  int64_t uploaded_at_ms = 0;
  bool staged = false;   ///< there is content in the stage
  bool refused = false;  ///< the last upload was refused as strict; older content stays
  bool operator==(const PageRow& other) const = default;
};

/// What a page of a snapshot set aside: these ids stay as they are.
struct KeepRow {
  std::vector<std::string> ids;
  uint64_t unreadable = 0;  ///< rows whose id could not be read
  bool operator==(const KeepRow& other) const = default;
  bool empty() const { return ids.empty() && unreadable == 0; }
};

struct NextRow {
  uint64_t next = 1;    ///< ordinal of the next sync
  uint64_t oldest = 1;  ///< of the history
  bool operator==(const NextRow& other) const = default;
};

enum class Cleanup : uint8_t {
  kStage = 1,    ///< forget what was staged
  kHistory = 2,  ///< forget everything of the sync
};

// Keys.

std::string ActiveKey();
std::string NextKey();
std::string IdKey(std::string_view id);
std::string SyncKey(uint64_t ordinal);
std::string CleanupPrefix();
std::string CleanupKey(uint64_t ordinal);
/// Ordinal of a key made by `CleanupKey`.
Result<uint64_t> OrdinalOfCleanupKey(std::string_view key);

/// The families of rows that a sync has by page.
enum class PageFamily : char { kPage = 'p', kRejected = 'r', kKeep = 'k' };
std::string PagePrefix(PageFamily family, uint64_t ordinal);
std::string PagePrefix(PageFamily family, uint64_t ordinal, std::string_view entity);
std::string PageKey(PageFamily family, uint64_t ordinal, std::string_view entity, uint32_t page);
/// (entity, page) of a key made by `PageKey`.
Result<std::pair<std::string, uint32_t>> EntityAndPageOfKey(std::string_view key);
std::string DanglingPrefix(uint64_t ordinal);
std::string DanglingKey(uint64_t ordinal, uint64_t chunk);

// Values. Decoding answers `kCorruption` for bytes that are no such row and `kNewerFormat` for a
// later version.

std::string EncodeOrdinal(uint64_t ordinal);
Result<uint64_t> DecodeOrdinal(std::string_view bytes);
std::string EncodeNext(const NextRow& row);
Result<NextRow> DecodeNext(std::string_view bytes);
std::string EncodeSync(const SyncRow& row);
Result<SyncRow> DecodeSync(std::string_view bytes);
std::string EncodePage(const PageRow& row);
Result<PageRow> DecodePage(std::string_view bytes);
std::string EncodeKeep(const KeepRow& row);
Result<KeepRow> DecodeKeep(std::string_view bytes);
std::string EncodeCleanup(Cleanup cleanup);
Result<Cleanup> DecodeCleanup(std::string_view bytes);
/// The first `count` of `rows`.
std::string EncodeRejected(const std::vector<RejectedRow>& rows, size_t count);
Result<std::vector<RejectedRow>> DecodeRejected(std::string_view bytes);
/// How many rows `bytes` lists, without decoding them.
Result<uint64_t> CountRejected(std::string_view bytes);

/// What makes a finish the same call as another one.
std::string FingerprintOf(const FinishOptions& options);

/// True from the finish, abort or force that ended it.
bool IsClosed(UploadState state);
UploadInfo InfoOf(const SyncRow& row);

}  // namespace tidemark::internal
