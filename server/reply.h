// Answers: the envelopes of success and of error, the same on every path.
#pragma once

#include <string>
#include <string_view>

#include "format/status.h"
#include "http/message.h"

namespace tidemark::server {

inline constexpr std::string_view kJsonType = "application/json; charset=utf-8";
/// Errors repeat their code in this header, for clients and counters that do not read bodies.
inline constexpr std::string_view kErrorHeader = "X-Tidemark-Error";

/// What an error says beside its status.
struct ErrorReply {
  int status = 500;
  std::string code;  ///< stable; see docs/errors.md
  std::string message;
  std::string resource;  ///< optional, like the two that follow
  std::string field;
  std::string details;
};

/// An error in the envelope that clients of the Sell protocol parse. Never empty.
http::Response MakeError(const ErrorReply& error, std::string_view request_id);
/// The answer to a status that is not ok: the HTTP status of its code, its name and its message.
/// Messages of internal errors are told to the log, not to the client.
http::Response MakeError(const Status& status, std::string_view request_id);
/// 401: no valid token, or none any more.
http::Response Unauthorized(std::string_view request_id);
/// 404: for what is not there and what is not the caller's, the same.
http::Response NothingHere(std::string_view request_id);
/// The HTTP status of an error code.
int HttpStatusOf(ErrorCode code);

/// `json` as it is, with the JSON content type.
http::Response JsonReply(int status, std::string json);
/// `{"data":DATA,"meta":{"type":TYPE}}`
http::Response DataReply(int status, std::string_view data_json, std::string_view type);
/// No body and no content type: 202 and 204.
http::Response EmptyReply(int status);

}  // namespace tidemark::server
