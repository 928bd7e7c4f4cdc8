#include "server/reply.h"

#include <utility>

#include "format/json.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kMoreInfo = "docs/errors.md";

void WriteOptional(JsonWriter& writer, std::string_view name, const std::string& text) {
  if (!text.empty()) writer.Key(name).String(text);
}

}  // namespace

http::Response MakeError(const ErrorReply& error, std::string_view request_id) {
  JsonWriter writer;
  writer.BeginObject().Key("errors").BeginArray().BeginObject();
  writer.Key("error").BeginObject();
  writer.Key("code").String(error.code);
  writer.Key("message").String(error.message);
  WriteOptional(writer, "resource", error.resource);
  WriteOptional(writer, "field", error.field);
  WriteOptional(writer, "details", error.details);
  writer.EndObject();
  writer.Key("meta").BeginObject().Key("type").String("error");
  writer.Key("links").BeginObject().Key("more_info").String(kMoreInfo).EndObject().EndObject();
  writer.EndObject().EndArray();

  writer.Key("meta").BeginObject().Key("type").String("errors");
  writer.Key("http_status")
      .String(std::to_string(error.status) + " " + std::string(http::ReasonPhrase(error.status)));
  writer.Key("logref").String(request_id);
  writer.Key("links").BeginObject().Key("more_info").String(kMoreInfo).EndObject();
  writer.EndObject().EndObject();

  http::Response response = JsonReply(error.status, writer.Take());
  response.headers.Add("Content-Language", "en");
  response.headers.Add(kErrorHeader, error.code);
  if (error.status == 503 || error.status == 507) response.headers.Add("Retry-After", "1");
  return response;
}

http::Response MakeError(const Status& status, std::string_view request_id) {
  ErrorReply error;
  error.status = HttpStatusOf(status.code());
  error.code = GetErrorInfo(status.code()).name;
  error.message = error.status < 500 ? status.message() : "";
  if (error.message.empty()) error.message = GetErrorInfo(status.code()).advice;
  http::Response response = MakeError(error, request_id);
  if (error.status >= 500) response.failure = status.ToString();
  return response;
}

http::Response Unauthorized(std::string_view request_id) {
  http::Response response =
      MakeError({.status = 401,
                 .code = "unauthorized",
                 .message = "send a valid token: Authorization: Bearer TOKEN"},
                request_id);
  response.headers.Add("WWW-Authenticate", "Bearer");
  return response;
}

http::Response NothingHere(std::string_view request_id) {
  return MakeError({.status = 404, .code = "not_found", .message = "there is nothing at this path"},
                   request_id);
}

int HttpStatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOk:
      return 200;
    case ErrorCode::kMalformedJson:
      return 400;
    case ErrorCode::kReserved:
    case ErrorCode::kNotAllowed:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kWrongKind:
    case ErrorCode::kConflict:
    case ErrorCode::kSuperseded:
    case ErrorCode::kSyncActive:
    case ErrorCode::kSyncClosed:
    case ErrorCode::kDeleteGuard:
    case ErrorCode::kMissingPages:
    case ErrorCode::kStrictRejected:
    case ErrorCode::kDanglingReferences:
    case ErrorCode::kWrongDevice:
    case ErrorCode::kWrongEpoch:
    case ErrorCode::kStalePage:
    case ErrorCode::kIdsExhausted:
    case ErrorCode::kQuotaExceeded:
    case ErrorCode::kLeaseVoid:
    case ErrorCode::kPoolSuspended:
      return 409;
    case ErrorCode::kSessionExpired:
    case ErrorCode::kTrimmed:
      return 410;
    case ErrorCode::kConditionFailed:
      return 412;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kTooManyRecords:
    case ErrorCode::kMalformedBatch:
    case ErrorCode::kUnsupported:
    case ErrorCode::kIdempotencyMismatch:
      return 422;
    case ErrorCode::kBusy:
    case ErrorCode::kReadOnly:
    case ErrorCode::kUnavailable:
    case ErrorCode::kClosed:
      return 503;
    case ErrorCode::kDiskFull:
      return 507;
    case ErrorCode::kIoError:
    case ErrorCode::kCorruption:
    case ErrorCode::kDataLoss:
    case ErrorCode::kNewerFormat:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

http::Response JsonReply(int status, std::string json) {
  http::Response response;
  response.status = status;
  response.content_type = kJsonType;
  response.body = std::move(json);
  return response;
}

http::Response DataReply(int status, std::string_view data_json, std::string_view type) {
  JsonWriter writer;
  writer.BeginObject().Key("data").Raw(data_json);
  writer.Key("meta").BeginObject().Key("type").String(type).EndObject().EndObject();
  return JsonReply(status, writer.Take());
}

http::Response EmptyReply(int status) {
  http::Response response;
  response.status = status;
  return response;
}

}  // namespace tidemark::server
