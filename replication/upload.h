// Upload syncs: bulk ingestion in pages, visible at once, at finish (contract 26 to 33; decisions
// B2 to B11).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/replacement.h"
#include "db/store.h"
#include "format/status.h"

namespace tidemark {

enum class UploadState : uint8_t {
  kStarted,
  kProcessing,
  kFinished,
  kFinishedWithWarnings,
  kFailed,
  kAborted,
  kSuperseded,
};
std::string_view UploadStateName(UploadState state);

/// One row set aside, and why.
struct RejectedRow {
  std::string entity;
  uint32_t page = 0;
  uint32_t row = 0;  ///< counts from 0
  std::string field;
  std::string code;  ///< required, type, not_allowed, id, reference, ...
  std::string message;
};

/// A record as uploaded: JSON text.
struct UploadPage {
  std::string entity = {};
  uint32_t page = 0;
  EntityKind kind = EntityKind::kSnapshot;  ///< the call it came by; the other kind is kWrongKind
  std::vector<std::string> records = {};
};

struct UploadPageResult {
  uint64_t accepted = 0;
  std::vector<RejectedRow> rejected;
  std::string hash;  ///< 32 hexadecimal digits, of the page as staged
};

struct UploadEntityCounts {
  ReplaceCounts counts;
  uint64_t pages = 0;
  uint64_t accepted = 0;  ///< rows that are staged
  uint64_t rejected = 0;
};

struct FinishOptions {
  std::map<std::string, uint64_t> expected_pages = {};
  bool dry_run = false;
  bool force_deletes = false;
  std::optional<double> delete_share_max = {};
  std::function<void(uint64_t done, uint64_t total)> progress = {};
};

struct UploadPageInfo {
  std::string entity;
  uint32_t page = 0;
  uint64_t accepted = 0;
  uint64_t rejected = 0;
  std::string hash;
  int64_t uploaded_at_ms = 0;
};

/// A sync, active or past: its history entry.
struct UploadInfo {
  std::string id;  ///< 32 hexadecimal digits; never reused
  UploadState state = UploadState::kStarted;
  int64_t started_at_ms = 0;  ///< wall clock, as data
  int64_t ended_at_ms = 0;
  std::map<std::string, UploadEntityCounts> entities;
  std::vector<std::string> warnings;  ///< at most 1,000
  /// Why the last finish failed or, of a started sync, was refused: the name of the code, ": ", and
  /// a message.
  std::string error;
};

/// Told of each step - a start, a page, an outcome - after it is durable, by the thread that caused
/// it. Threads that upload at once may tell of pages after the outcome.
using UploadListener = std::function<void(const UploadInfo&)>;

/// Thread-safe. One for a store. Destroy it before its store.
class Uploads {
 public:
  static Result<std::unique_ptr<Uploads>> Open(Store& store);
  ~Uploads();
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  /// `kSyncActive`, naming the active sync, unless `force` supersedes it.
  Result<std::string> Start(bool force = false);
  Result<UploadPageResult> PutPage(std::string_view sync, const UploadPage& page);
  Result<UploadInfo> Finish(std::string_view sync, const FinishOptions& options = {});
  Status Abort(std::string_view sync);

  std::optional<std::string> active() const;
  Result<UploadInfo> Get(std::string_view sync) const;
  /// Newest first.
  std::vector<UploadInfo> List(size_t limit = 100) const;
  /// Page-level history in (entity, page) order.
  Result<std::vector<UploadPageInfo>> Pages(std::string_view sync,
                                            size_t offset,
                                            size_t limit) const;
  Result<std::vector<RejectedRow>> Rejected(std::string_view sync,
                                            size_t offset,
                                            size_t limit) const;
  void AddListener(UploadListener listener);

 private:
  class Impl;
  explicit Uploads(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark
