#include "server/change_routes.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/json.h"
#include "server/change_line.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/schemas.h"

namespace tidemark::server {
namespace {

constexpr size_t kIdempotencyKeyBytesMax = 128;

// The changes of a body, and where each of them stands.
struct Changes {
  WriteBatch batch;
  std::vector<uint64_t> lines;  // of its operations, counted from 1
};

Status AtLine(const Status& status, uint64_t line) {
  return status.WithContext("line " + std::to_string(line));
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

Result<Changes> ReadChanges(const Store& store, std::string_view body) {
  IdFields id_fields(store);
  Changes changes;
  for (uint64_t number = 1; !body.empty(); ++number) {
    const size_t end = body.find('\n');
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (IsBlank(line)) continue;
    if (changes.lines.size() == kChangeLinesMax) {
      return AtLine({ErrorCode::kTooManyRecords,
                     "a request has at most " + std::to_string(kChangeLinesMax) + " lines"},
                    number);
    }
    if (Status status = AddChangeLine(line, id_fields, changes.batch); !status.ok()) {
      return AtLine(status, number);
    }
    changes.lines.push_back(number);
  }
  return changes;
}

Status SetIdempotencyKey(const http::Request& request, WriteBatch* batch) {
  const std::optional<std::string_view> key = request.headers.Find("Idempotency-Key");
  if (!key) return {};
  if (key->empty() || key->size() > kIdempotencyKeyBytesMax) {
    return FieldError("Idempotency-Key",
                      "must have 1 to " + std::to_string(kIdempotencyKeyBytesMax) + " bytes");
  }
  // A key that came with nothing is still free.
  if (!batch->empty()) batch->SetOperationId(*key);
  return {};
}

Status DeclareBuiltIns(Store& store, const WriteBatch& batch) {
  std::string_view last;
  for (size_t i = 0; i < batch.size(); ++i) {
    const std::string_view entity = batch.operation(i).entity;
    if (entity == last) continue;
    TIDEMARK_RETURN_IF_ERROR(DeclareBuiltIn(store, entity));
    last = entity;
  }
  return {};
}

// The store names an operation by its index, the client knows its line.
Status NameLine(const Status& status, const std::vector<uint64_t>& lines) {
  constexpr std::string_view kOperation = "operation ";
  const std::string& message = status.message();
  if (!message.starts_with(kOperation)) return status;
  size_t index = lines.size();
  const auto [stop, error] =
      std::from_chars(message.data() + kOperation.size(), message.data() + message.size(), index);
  if (error != std::errc() || index >= lines.size()) return status;
  const auto rest = std::string_view(message).substr(static_cast<size_t>(stop - message.data()));
  const size_t begin = std::min(rest.find_first_not_of(",: "), rest.size());
  return AtLine({status.code(), std::string(rest.substr(begin))}, lines[index]);
}

// "line 7" of a message that begins with it, else nothing.
std::string_view LineNamedBy(std::string_view message) {
  return message.starts_with("line ") ? message.substr(0, message.find(':')) : std::string_view();
}

http::Response RefuseChanges(const Call& call, const Status& status) {
  return Refuse(call, status, LineNamedBy(status.message()));
}

http::Response PostChanges(const Call& call) {
  Store& store = call.instance->store();
  Result<Changes> changes = ReadChanges(store, call.request->body);
  if (!changes.ok()) return RefuseChanges(call, changes.status());
  if (Status keyed = SetIdempotencyKey(*call.request, &changes->batch); !keyed.ok()) {
    return Refuse(call, keyed);
  }
  if (Status declared = DeclareBuiltIns(store, changes->batch); !declared.ok()) {
    return Refuse(call, declared);
  }
  const Result<CommitResult> result = store.Commit(changes->batch);
  if (!result.ok()) return RefuseChanges(call, NameLine(result.status(), changes->lines));

  JsonWriter data;
  data.BeginObject().Key("sequence").Unsigned(result->sequence.value());
  data.Key("applied").Unsigned(result->applied);
  data.Key("unchanged").Unsigned(result->unchanged).EndObject();
  http::Response response = DataReply(200, data.text(), "commit");
  if (result->replayed) response.headers.Add("Idempotent-Replay", "true");
  return response;
}

}  // namespace

std::vector<Route> ChangeRoutes() {
  return {{http::Method::kPost, "/v1/changes", Role::kWriter, Answer(PostChanges)}};
}

}  // namespace tidemark::server
