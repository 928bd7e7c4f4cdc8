// A page as the Sell protocol shows it: JSON items with their ack keys.
#pragma once

#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/source.h"
#include "server/instance.h"

namespace tidemark::server {

/// `{"items":[...],"meta":{...}}` of `page`, which `session` handed out. Values are spliced in as
/// they are stored; an object without its entity's id field gets it put first.
Result<std::string> PageToJson(Instance& instance, std::string_view session, const Page& page);

}  // namespace tidemark::server
