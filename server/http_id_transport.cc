#include "server/http_id_transport.h"

#include <utility>

#include "format/json.h"
#include "format/record.h"
#include "server/answers.h"
#include "server/id_pool_json.h"

namespace tidemark::server {

HttpIdTransport::HttpIdTransport(HttpIdTransportOptions options)
    : options_(std::move(options)), client_(options_.client) {}

Result<std::string> HttpIdTransport::Post(std::string_view pool,
                                          std::string_view what,
                                          std::string body) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(pool));  // so it needs no escapes
  http::ClientRequest request;
  request.method = http::Method::kPost;
  request.url =
      AddressOf(options_.url, "/v1/id-pools/" + std::string(pool) + "/" + std::string(what));
  if (!options_.token.empty()) request.headers.Add("Authorization", "Bearer " + options_.token);
  request.content_type = "application/json";
  request.body = std::move(body);
  TIDEMARK_ASSIGN_OR_RETURN(const http::ClientResponse response, client_.Send(request));
  if (response.status != 200) return StatusOfAnswer(response);
  const auto fields = ReadJsonFields(response.body, {"data"});
  if (!fields.ok() || !fields->front() || fields->front()->type != JsonType::kObject) {
    return {ErrorCode::kUnavailable, "what answered is no Tidemark server"};
  }
  return fields->front()->text;
}

Result<IdLease> HttpIdTransport::LeaseIds(const IdLeaseRequest& request) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::string data,
                            Post(request.pool, "lease", WriteIdLeaseBody(request)));
  return IdLeaseFromJson(data);
}

Result<std::vector<VoidLease>> HttpIdTransport::ReportIds(const IdReport& report) {
  const std::string_view what = report.release ? "release" : "report";
  TIDEMARK_ASSIGN_OR_RETURN(const std::string data,
                            Post(report.pool, what, WriteIdReportBody(report)));
  return VoidLeasesFromJson(data);
}

}  // namespace tidemark::server
