// Id pools and leases as JSON, for both ends of a call.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"
#include "replication/id_pool.h"

namespace tidemark::server {

std::string IdPoolToJson(const IdPoolInfo& pool);
std::string IdHolderToJson(const IdHolderInfo& holder);
std::string IdLeaseInfoToJson(const IdLeaseInfo& lease);
std::string IdLeaseToJson(const IdLease& lease);
std::string VoidLeasesToJson(const std::vector<VoidLease>& leases);

std::string IdPoolDefinitionToJson(const IdPoolDefinition& definition);
std::string WriteIdLeaseBody(const IdLeaseRequest& request);
std::string WriteIdReportBody(const IdReport& report);
std::string WriteIdReclaimBody(const IdReclaim& reclaim);

// Bodies of calls; `kInvalidArgument` names the member. A body without a device is of `own`, the
// device of the token.
Result<IdPoolDefinition> IdPoolDefinitionFromJson(std::string_view json);
Result<IdLeaseRequest> IdLeaseRequestFromJson(std::string_view json, std::string_view own);
/// Without `pool` and `release`, which are in the path.
Result<IdReport> IdReportFromJson(std::string_view json, std::string_view own);
Result<IdReclaim> IdReclaimFromJson(std::string_view json);

// The member `data` of answers. `kUnavailable`: what answered is no Tidemark server.
Result<IdLease> IdLeaseFromJson(std::string_view data);
Result<std::vector<VoidLease>> VoidLeasesFromJson(std::string_view data);

}  // namespace tidemark::server
