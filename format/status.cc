#include "format/status.h"

#include <array>
#include <cstddef>

namespace tidemark {
namespace {

// Exit codes of the executable.
constexpr int kExitOk = 0;
constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNotFound = 3;
constexpr int kExitCorrupt = 4;
constexpr int kExitConflict = 5;
constexpr int kExitNetwork = 6;
constexpr int kExitNotAllowed = 7;
constexpr int kExitBusy = 8;

struct CatalogueRow {
  ErrorCode code = ErrorCode::kOk;
  ErrorInfo info;
};

// In the order of the enumeration. docs/errors.md repeats every row.
constexpr std::array<CatalogueRow, kErrorCodeCount> kCatalogue = {{
    {ErrorCode::kOk, {"ok", kExitOk, "Nothing to do."}},
    {ErrorCode::kInvalidArgument,
     {"invalid_argument", kExitUsage, "Correct the argument that the message names."}},
    {ErrorCode::kTooLarge,
     {"too_large", kExitUsage, "Split it, or store a large value as a blob; see docs/limits.md."}},
    {ErrorCode::kTooManyRecords,
     {"too_many_records", kExitUsage, "Send at most 1,000 records in one page or batch."}},
    {ErrorCode::kMalformedBatch,
     {"malformed_batch",
      kExitCorrupt,
      "Fetch or send the batch again; if that does not help, its source is damaged."}},
    {ErrorCode::kMalformedJson,
     {"malformed_json", kExitUsage, "Correct the JSON at the byte that the message names."}},
    {ErrorCode::kWrongKind,
     {"wrong_kind",
      kExitConflict,
      "Put and delete records of snapshot entities; append to incremental ones."}},
    {ErrorCode::kReserved,
     {"reserved", kExitNotAllowed, "Choose a name that does not begin with an underscore."}},
    {ErrorCode::kUnsupported,
     {"unsupported", kExitUsage, "Leave the option out, or use a build that knows it."}},
    {ErrorCode::kNotFound,
     {"not_found", kExitNotFound, "Check the spelling, and that it was not deleted."}},
    {ErrorCode::kConditionFailed,
     {"condition_failed",
      kExitConflict,
      "Read the record again, decide anew, and write with its present version."}},
    {ErrorCode::kIdempotencyMismatch,
     {"idempotency_mismatch", kExitConflict, "Use a new operation id for a new operation."}},
    {ErrorCode::kConflict,
     {"conflict", kExitConflict, "Read the present state and decide which side holds."}},
    {ErrorCode::kSuperseded,
     {"superseded", kExitConflict, "Go on with the newest session of the device."}},
    {ErrorCode::kSessionExpired,
     {"session_expired",
      kExitConflict,
      "Start a new session; what was not acknowledged is delivered again."}},
    {ErrorCode::kSyncActive,
     {"sync_active",
      kExitConflict,
      "Finish or abort the active upload sync, or supersede it by force."}},
    {ErrorCode::kSyncClosed, {"sync_closed", kExitConflict, "Start a new upload sync."}},
    {ErrorCode::kDeleteGuard,
     {"delete_guard",
      kExitConflict,
      "Make sure that the upload is complete, then finish with a larger delete share."}},
    {ErrorCode::kMissingPages,
     {"missing_pages", kExitConflict, "Send the missing pages, then finish again."}},
    {ErrorCode::kStrictRejected,
     {"strict_rejected",
      kExitConflict,
      "Correct the rows that the message names, or leave strict mode."}},
    {ErrorCode::kDanglingReferences,
     {"dangling_references",
      kExitConflict,
      "Upload the records that are referred to, or allow more dangling references."}},
    {ErrorCode::kTrimmed,
     {"trimmed", kExitConflict, "Start over from a full copy; the changes between are gone."}},
    {ErrorCode::kWrongDevice,
     {"wrong_device", kExitConflict, "Apply the page on the device and store it was made for."}},
    {ErrorCode::kWrongEpoch,
     {"wrong_epoch",
      kExitConflict,
      "Drop the page and start a new session; its store went on from another history."}},
    {ErrorCode::kStalePage,
     {"stale_page", kExitConflict, "Drop the page; a newer session was applied already."}},
    {ErrorCode::kIdsExhausted,
     {"ids_exhausted",
      kExitConflict,
      "Lease more ids while there is a network, widen the pool, or use ids of your own making."}},
    {ErrorCode::kQuotaExceeded,
     {"quota_exceeded",
      kExitConflict,
      "Try again the next day, or raise the pool's quota for a device and user."}},
    {ErrorCode::kLeaseVoid,
     {"lease_void",
      kExitConflict,
      "Use no further id of this lease, and lease anew with a new request id."}},
    {ErrorCode::kPoolSuspended,
     {"pool_suspended",
      kExitConflict,
      "Find out which ids were given out last, then run `tidemark id-pool resume`."}},
    {ErrorCode::kBusy,
     {"busy", kExitBusy, "Wait until the other process has closed the store, or close it there."}},
    {ErrorCode::kDiskFull, {"disk_full", kExitError, "Free space on the disk and try again."}},
    {ErrorCode::kIoError,
     {"io_error", kExitError, "Check the disk and its permissions, then open the store again."}},
    {ErrorCode::kReadOnly,
     {"read_only",
      kExitNotAllowed,
      "Write to a replica at its source. Otherwise open the store for writing; after a failed "
      "sync, close it and check the disk first."}},
    {ErrorCode::kUnavailable,
     {"unavailable", kExitNetwork, "Check that the server runs and can be reached, then retry."}},
    {ErrorCode::kCorruption,
     {"corruption",
      kExitCorrupt,
      "Run `tidemark verify` to see what is damaged, and restore a backup."}},
    {ErrorCode::kDataLoss,
     {"data_loss",
      kExitCorrupt,
      "Restore the missing files or a backup, or accept the loss with `tidemark recover "
      "--accept-loss`."}},
    {ErrorCode::kNewerFormat,
     {"newer_format", kExitError, "Use a version of Tidemark at least as new as the writer."}},
    {ErrorCode::kNotAllowed,
     {"not_allowed", kExitNotAllowed, "Use a token whose role and device allow the call."}},
    {ErrorCode::kClosed, {"closed", kExitError, "Open the object again before using it."}},
    {ErrorCode::kInternal,
     {"internal", kExitError, "Report it, with the message and the steps that led to it."}},
}};

constexpr bool InOrder() {
  for (size_t i = 0; i < kCatalogue.size(); ++i) {
    if (static_cast<size_t>(kCatalogue[i].code) != i) return false;
  }
  return true;
}
static_assert(InOrder(), "the catalogue lists every code, in the order of the enumeration");

}  // namespace

const ErrorInfo& GetErrorInfo(ErrorCode code) {
  const auto index = static_cast<size_t>(code);
  assert(index < kCatalogue.size());
  return kCatalogue[index].info;
}

std::string Status::ToString() const {
  std::string text(GetErrorInfo(code_).name);
  if (!message_.empty()) text.append(": ").append(message_);
  return text;
}

Status Status::WithContext(std::string_view context) const {
  if (ok()) return *this;
  std::string message(context);
  if (!message_.empty()) message.append(": ").append(message_);
  return {code_, std::move(message)};
}

}  // namespace tidemark
