// Bodies of the calls of upload syncs. Unknown members are refused: a misspelt guard must not pass
// for none.
#pragma once

#include "http/message.h"
#include "replication/upload.h"

namespace tidemark::server {

/// `{"force":true}`, or nothing.
Result<bool> ReadStart(const http::Request& request);
/// `{"entity_name":...,"page_number":...,"records":[...]}`
Result<UploadPage> ReadUploadPage(const http::Request& request, EntityKind kind);
/// `{"expected_pages":{...},"dry_run":...,"max_delete_share":...,"force_deletes":...}`, or nothing.
Result<FinishOptions> ReadFinish(const http::Request& request);

}  // namespace tidemark::server
