#include "tools/remote.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>

namespace tidemark::tools {
namespace {

constexpr uint64_t kListPage = 1000;

// nullopt also for null.
std::optional<JsonField> Member(std::string_view object, const std::string& name) {
  auto fields = ReadJsonFields(object, {name});
  if (!fields.ok() || !fields->front() || fields->front()->type == JsonType::kNull) return {};
  return std::move(fields->front());
}

std::optional<JsonField> At(std::string_view object, const std::vector<std::string>& path) {
  std::optional<JsonField> field =
      JsonField{.type = JsonType::kObject, .text = std::string(object)};
  for (const std::string& name : path) {
    if (field->type != JsonType::kObject) return std::nullopt;
    field = Member(field->text, name);
    if (!field) return std::nullopt;
  }
  return field;
}

Cell ToCell(const std::optional<JsonField>& field) {
  if (!field) return Cell::None();
  switch (field->type) {
    case JsonType::kString:
      return field->text;
    case JsonType::kBool:
      return field->boolean;
    case JsonType::kInteger:
      if (field->integer >= 0) return static_cast<uint64_t>(field->integer);
      return Cell::Json(field->text);
    default:
      return Cell::Json(field->text);
  }
}

Status NoAnswerOfTidemark() {
  return {ErrorCode::kUnavailable, "the answer is none of a Tidemark server"};
}

ErrorCode CodeOf(std::string_view name, int http_status) {
  const ErrorCode named = CodeNamed(name);
  if (named != ErrorCode::kUnavailable) return named;
  if (name == "strict") return ErrorCode::kStrictRejected;
  if (http_status == 401 || http_status == 403) return ErrorCode::kNotAllowed;
  if (http_status == 404) return ErrorCode::kNotFound;
  return http_status >= 400 && http_status < 429 ? ErrorCode::kInvalidArgument
                                                 : ErrorCode::kUnavailable;
}

Status ErrorOf(const http::ClientResponse& response) {
  const auto errors = Member(response.body, "errors");
  if (!errors || errors->type != JsonType::kArray) return NoAnswerOfTidemark();
  const auto list = ReadJsonArray(errors->text);
  if (!list.ok() || list->empty()) return NoAnswerOfTidemark();
  const auto code = At(list->front().text, {"error", "code"});
  const auto message = At(list->front().text, {"error", "message"});
  if (!code || !message) return NoAnswerOfTidemark();
  return {CodeOf(code->text, response.status), message->text};
}

}  // namespace

Result<std::string> ReadToken(const GlobalOptions& options) {
  if (!options.token.empty()) return options.token;
  if (!options.token_file.empty()) {
    std::ifstream file(options.token_file);
    std::string token;
    if (!(file >> token)) {
      return Status(ErrorCode::kInvalidArgument, options.token_file + " holds no token");
    }
    return token;
  }
  const char* token = std::getenv("TIDEMARK_TOKEN");
  return std::string(token == nullptr ? "" : token);
}

Result<std::unique_ptr<Remote>> Remote::Open(const GlobalOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(std::string token, ReadToken(options));
  std::string url = options.server;
  while (url.ends_with('/')) url.pop_back();
  http::ClientOptions client;
  client.certificate_authority = options.certificate_authority;
  return std::unique_ptr<Remote>(new Remote(std::move(url), std::move(token), std::move(client)));
}

Result<std::string> Remote::Ask(http::Method method,
                                const std::string& path,
                                std::string body,
                                const http::Headers& headers) {
  http::ClientRequest request;
  request.method = method;
  request.url = url_ + path;
  request.headers = headers;
  if (!token_.empty()) request.headers.Add("Authorization", "Bearer " + token_);
  request.body = std::move(body);
  if (!request.body.empty()) request.content_type = "application/json";
  TIDEMARK_ASSIGN_OR_RETURN(http::ClientResponse response, client_.Send(request));
  if (response.status < 200 || response.status > 299) return ErrorOf(response);
  return std::move(response.body);
}

std::string TextAt(std::string_view json, const std::vector<std::string>& path) {
  const auto field = At(json, path);
  return field ? field->text : std::string();
}

uint64_t NumberAt(std::string_view json, const std::vector<std::string>& path) {
  const auto field = At(json, path);
  const bool good = field && field->type == JsonType::kInteger && field->integer >= 0;
  return good ? static_cast<uint64_t>(field->integer) : 0;
}

ErrorCode CodeNamed(std::string_view name) {
  for (int i = 1; i < kErrorCodeCount; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    if (GetErrorInfo(code).name == name) return code;
  }
  return ErrorCode::kUnavailable;
}

std::string Escape(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string escaped;
  for (const char character : text) {
    if (kPlain.find(character) != std::string_view::npos) {
      escaped += character;
      continue;
    }
    const auto byte = static_cast<unsigned char>(character);
    escaped += '%';
    escaped += kDigits[byte >> 4];
    escaped += kDigits[byte & 15];
  }
  return escaped;
}

Status PrintRemoteList(Context& context,
                       const std::string& path,
                       const std::vector<RemoteColumn>& columns,
                       uint64_t limit) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto remote, Remote::Open(context.globals));
  std::vector<std::string> names;
  names.reserve(columns.size());
  for (const RemoteColumn& column : columns) names.push_back(column.name);
  Rows rows(context.output, std::move(names));
  std::string after;
  while (context.output.writable()) {
    const uint64_t wanted = limit == 0 ? kListPage : std::min(kListPage, limit - rows.count());
    std::string page = path + (path.find('?') == std::string::npos ? "?" : "&") +
                       "limit=" + std::to_string(wanted);
    if (!after.empty()) page += "&after=" + after;
    TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, remote->Ask(http::Method::kGet, page));
    const auto items = Member(answer, "items");
    if (!items) return NoAnswerOfTidemark();
    TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> list, ReadJsonArray(items->text));
    for (const JsonField& item : list) {
      std::vector<Cell> cells;
      cells.reserve(columns.size());
      for (const RemoteColumn& column : columns) {
        cells.push_back(ToCell(At(item.text, column.path)));
      }
      rows.Add(cells);
    }
    // Where the next page begins: a list of records says so, the others by the id of the last item.
    const auto next = At(answer, {"meta", "next"});
    const auto more = At(answer, {"meta", "more"});
    const bool ended = list.empty() || (!next && (!more || !more->boolean));
    if (ended || (limit > 0 && rows.count() >= limit)) break;
    const auto last = next ? next : At(list.back().text, {"data", "id"});
    if (!last) break;
    after = Escape(last->text);
  }
  rows.Finish();
  return {};
}

Status PrintObjects(Context& context,
                    const std::vector<std::string>& objects,
                    const std::vector<RemoteColumn>& columns) {
  std::vector<std::string> names;
  names.reserve(columns.size());
  for (const RemoteColumn& column : columns) names.push_back(column.name);
  Rows rows(context.output, std::move(names));
  for (const std::string& object : objects) {
    std::vector<Cell> cells;
    cells.reserve(columns.size());
    for (const RemoteColumn& column : columns) cells.push_back(ToCell(At(object, column.path)));
    rows.Add(cells);
  }
  rows.Finish();
  return {};
}

Status PrintRemoteObject(Context& context,
                         std::string_view answer,
                         const std::vector<RemoteColumn>& columns) {
  const auto data = Member(answer, "data");
  if (!data) return NoAnswerOfTidemark();
  Fields fields;
  for (const RemoteColumn& column : columns) {
    fields.emplace_back(column.name, ToCell(At(data->text, column.path)));
  }
  context.output.Object(fields);
  return {};
}

}  // namespace tidemark::tools
