// What may happen to a sync, and what each step makes of its row. Pure: the committer runs these
// steps, one after the other, so races between start, page, finish and abort are decided here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "db/entity.h"
#include "format/status.h"
#include "replication/internal/upload_rows.h"
#include "replication/upload.h"

namespace tidemark::internal {

/// Pages and aborts are taken while a sync is started, or failed; else `kSyncClosed` with the
/// state.
Status CheckOpen(const SyncRow& sync);

/// The pages of `entity` came by another call before: `kWrongKind`. More entities of a kind than a
/// store can hold: `kTooLarge`.
Status CheckPageEntity(const SyncRow& sync, const std::string& entity, EntityKind kind);

/// Replaces `before` by `after` in the counts of `sync`. Decides how many of the page's rejected
/// rows are listed and writes it into `after`.
void ReplacePage(SyncRow* sync,
                 const std::string& entity,
                 EntityKind kind,
                 const std::optional<PageRow>& before,
                 PageRow* after);

/// A page was refused as strict: what it held before stays, and a finish is refused until it is
/// sent again.
void RefusePage(SyncRow* sync,
                const std::string& entity,
                EntityKind kind,
                const std::optional<PageRow>& before,
                PageRow* after);

/// Every page is there and none was refused: else `kMissingPages` or `kStrictRejected`.
Status CheckComplete(const SyncRow& sync, const FinishOptions& options);

/// Started or failed becomes processing; what an earlier finish left is forgotten.
Status BeginFinish(SyncRow* sync, const FinishOptions& options);

/// True for errors that refuse a finish and leave the sync started; others fail it.
bool IsRefusal(ErrorCode code);

}  // namespace tidemark::internal
