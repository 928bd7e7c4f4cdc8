#include "server/requests.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>

#include "format/record.h"
#include "server/reply.h"

namespace tidemark::server {
namespace {

// The place that a message names as `field "x"`.
std::string FieldNamedBy(std::string_view message) {
  constexpr std::string_view kMark = "field \"";
  const size_t mark = message.find(kMark);
  if (mark == std::string_view::npos) return {};
  const size_t begin = mark + kMark.size();
  const size_t end = message.find('"', begin);
  if (end == std::string_view::npos) return {};
  return std::string(message.substr(begin, end - begin));
}

}  // namespace

http::Response RefuseAs(const Call& call,
                        std::string_view code,
                        const Status& status,
                        std::string_view details) {
  ErrorReply error;
  error.status = HttpStatusOf(status.code());
  error.code = code;
  error.message = status.message();
  error.field = FieldNamedBy(status.message());
  error.details = details;
  return MakeError(error, call.request->id);
}

http::Response Refuse(const Call& call, const Status& status, std::string_view details) {
  // What is wrong with the server itself is told to the log, not to the client.
  if (HttpStatusOf(status.code()) >= 500) return MakeError(status, call.request->id);
  return RefuseAs(call, GetErrorInfo(status.code()).name, status, details);
}

std::optional<http::Response> RefuseQuery(const http::Request& request, const Route& route) {
  const auto refuse = [&](const std::string& name, std::string_view what) {
    return MakeError({.status = 400,
                      .code = "bad_request",
                      .message = "the query parameter \"" + name + "\" " + std::string(what),
                      .field = name},
                     request.id);
  };
  std::vector<std::string_view> seen;
  for (const auto& [name, value] : request.query) {
    const bool read = std::find(route.query.begin(), route.query.end(), name) != route.query.end();
    if (!read && route.for_foreign_clients) continue;
    if (!read) return refuse(name, "means nothing to this call");
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return refuse(name, "may be given once only");
    }
    seen.push_back(name);
  }
  return std::nullopt;
}

std::optional<http::Response> RefuseForeignDevice(const Call& call, std::string_view device) {
  const std::string& own = call.caller.device;
  if (own.empty() || own == device) return std::nullopt;
  ErrorReply error;
  error.status = 403;
  error.code = "device";
  error.message = "the token acts for another device only";
  return MakeError(error, call.request->id);
}

Status FieldError(std::string_view name, std::string_view what) {
  return {ErrorCode::kInvalidArgument, "field \"" + std::string(name) + "\" " + std::string(what)};
}

Result<uint64_t> ReadNumber(const http::Request& request,
                            std::string_view name,
                            uint64_t fallback,
                            uint64_t least,
                            uint64_t most) {
  const std::optional<std::string_view> text = request.Query(name);
  if (!text) return fallback;
  uint64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc() || stop != end || number < least || number > most) {
    return FieldError(
        name,
        "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

Result<uint64_t> ReadLimit(const http::Request& request) {
  return ReadNumber(request, "limit", kListLimitDefault, 1, kListLimitMax);
}

Result<uint64_t> ReadOffset(const http::Request& request) {
  return ReadNumber(request, "offset", 0, 0, std::numeric_limits<uint32_t>::max());
}

Result<std::vector<JsonField>> ReadOptionalBody(const http::Request& request) {
  if (request.body.empty()) return std::vector<JsonField>();
  return ReadJsonObject(request.body);
}

Status UnknownMember(const JsonField& field) {
  return FieldError(field.name, "is not known");
}

Result<std::string> ReadText(const JsonField& field) {
  if (field.type != JsonType::kString) return FieldError(field.name, "must be a string");
  return field.text;
}

Result<bool> ReadBool(const JsonField& field) {
  if (field.type != JsonType::kBool) return FieldError(field.name, "must be true or false");
  return field.boolean;
}

Result<uint64_t> ReadUnsigned(const JsonField& field, uint64_t most) {
  if (field.type != JsonType::kInteger || field.integer < 0 ||
      static_cast<uint64_t>(field.integer) > most) {
    return FieldError(field.name, "must be a whole number from 0 to " + std::to_string(most));
  }
  return static_cast<uint64_t>(field.integer);
}

Result<double> ReadShare(const JsonField& field) {
  double share = -1;
  if (field.type == JsonType::kInteger || field.type == JsonType::kDouble) {
    std::from_chars(field.text.data(), field.text.data() + field.text.size(), share);
  }
  if (!(share >= 0 && share <= 1)) return FieldError(field.name, "must be a share from 0 to 1");
  return share;
}

Status CheckReadableName(std::string_view entity) {
  Status status = CheckName(entity);
  return status.code() == ErrorCode::kReserved ? Status() : status;
}

std::string TimeToJson(int64_t milliseconds) {
  if (milliseconds <= 0) return "null";
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
  char text[48];
  std::snprintf(text, sizeof(text), "\"%s.%03dZ\"", date, static_cast<int>(milliseconds % 1000));
  return text;
}

}  // namespace tidemark::server
