// One change as a line of JSON, as `POST /v1/changes` takes it:
//
//   {"op":"put","entity":"contact","id":1001,"data":{...}}
//   {"op":"delete","entity":"contact","id":1001,"if_version":17}
//   {"op":"append","entity":"visits","data":{...}}
#pragma once

#include <string_view>

#include "db/write_batch.h"
#include "format/status.h"
#include "server/own_id.h"

namespace tidemark::server {

/// Adds the change of `line` to `batch`. Without `op` it is a put, so that an export can be read
/// back. `sequence`, `version` and `cursor`, which `log tail` prints, are accepted and mean
/// nothing. An event without an id has the one of its data, if that has one; data that contradicts
/// the id is refused. `kMalformedJson` names the byte, other errors name the field; nothing is
/// added then.
Status AddChangeLine(std::string_view line, IdFields& id_fields, WriteBatch& batch);

}  // namespace tidemark::server
