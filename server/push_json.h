// What became of a push, as JSON and back.
#pragma once

#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/push.h"

namespace tidemark::server {

/// `{"push","device","state","total","applied",...,"answers":[...]}`
std::string PushToJson(const PushResult& push);
/// What a replica reads from the answer to its push. `kUnavailable` when it is no such answer.
Result<PushResult> PushFromJson(std::string_view json);

}  // namespace tidemark::server
