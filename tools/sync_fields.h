// How pulls and pushes are told, by the commands that make them.
#pragma once

#include "format/status.h"
#include "replication/replica.h"
#include "tools/output.h"

namespace tidemark::tools {

void AddPullFields(const PullResult& result, Fields* fields);
void AddPushFields(const PushTotals& totals, const OutboxStatus& outbox, Fields* fields);
/// `kConflict` if anything was refused: somebody has to look at it.
Status CheckRefused(const PushTotals& totals);

}  // namespace tidemark::tools
