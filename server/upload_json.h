// Upload syncs as JSON and CSV.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "replication/upload.h"

namespace tidemark::server {

/// `{"accepted":n,"rejected":[...],"hash":...}`
std::string PageResultToJson(const UploadPageResult& result);
/// `{"sync_id":...,"state":...}`
std::string SyncStateToJson(std::string_view sync, UploadState state);
/// State, times, the six counts of each entity, warnings, error.
std::string UploadToJson(const UploadInfo& info);
/// The same with a page of the page-level history, as its member `pages`.
std::string UploadToJson(const UploadInfo& info, const std::vector<UploadPageInfo>& pages);

inline constexpr std::string_view kRejectedCsvHeader = "entity,page,row,field,code,message\r\n";
/// One line of the error report, with its end.
std::string RejectedToCsv(const RejectedRow& row);

}  // namespace tidemark::server
