#include "server/answers.h"

#include <optional>

#include "server/reply.h"

namespace tidemark::server {
namespace {

std::optional<ErrorCode> CodeNamed(std::string_view name) {
  for (int i = 1; i < kErrorCodeCount; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    if (GetErrorInfo(code).name == name) return code;
  }
  return std::nullopt;
}

}  // namespace

std::string AddressOf(std::string_view base, std::string_view path) {
  while (base.ends_with('/')) base.remove_suffix(1);
  return std::string(base) + std::string(path);
}

Status StatusOfAnswer(const http::ClientResponse& response) {
  const std::string said = "the server answered " + std::to_string(response.status) + " " +
                           std::string(http::ReasonPhrase(response.status));
  const auto name = response.headers.Find(kErrorHeader);
  const std::string message = name ? said + ", " + std::string(*name) : said;
  if (response.status == 401 || response.status == 403) return {ErrorCode::kNotAllowed, message};
  // What failed inside of the server is its business: it could not be asked.
  if (response.status >= 500 || response.status == 429) return {ErrorCode::kUnavailable, message};
  if (!name) return {ErrorCode::kUnavailable, message + ": is it a Tidemark server?"};
  return {CodeNamed(*name).value_or(ErrorCode::kUnavailable), message};
}

}  // namespace tidemark::server
