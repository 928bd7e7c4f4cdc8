#include "server/record_routes.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/json.h"
#include "format/record_json.h"
#include "server/entity_tags.h"
#include "server/own_id.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/schemas.h"

namespace tidemark::server {
namespace {

// A conditional write is decided against the record as it is read; if another writer comes between,
// it is decided again.
constexpr int kConditionalAttemptsMax = 8;

const std::string& EntityOf(const Call& call) {
  return call.captures[0];
}
const std::string& IdOf(const Call& call) {
  return call.captures[1];
}

std::optional<SequenceNumber> VersionOf(const std::optional<Record>& record) {
  return record ? std::optional(record->version) : std::nullopt;
}

std::string RecordItem(const Record& record, const std::string& type) {
  JsonWriter item;
  item.BeginObject().Key("data").Raw(ValueToJson(record.value, record.value_kind));
  item.Key("meta").BeginObject().Key("type").String(type);
  item.Key("id").Raw(IdToJson(record.id, record.id_form));
  item.Key("version").Unsigned(record.version.value()).EndObject().EndObject();
  return item.Take();
}

Status NoRecord(const Call& call) {
  return {ErrorCode::kNotFound, EntityOf(call) + " has no record \"" + IdOf(call) + "\""};
}

Status ConditionFailed(const std::optional<SequenceNumber>& version) {
  return {ErrorCode::kConditionFailed,
          version ? "the record is at version " + std::to_string(version->value())
                  : "the record does not exist"};
}

// --- Reading ---

http::Response GetRecord(const Call& call) {
  if (Status named = CheckReadableName(EntityOf(call)); !named.ok()) return Refuse(call, named);
  if (Status named = CheckRecordId(IdOf(call)); !named.ok()) return Refuse(call, named);
  const Result<TagConditions> conditions = TagConditions::Read(*call.request);
  if (!conditions.ok()) return Refuse(call, conditions.status());
  Store& store = call.instance->store();
  const Result<std::optional<Record>> record = store.Get(EntityOf(call), IdOf(call));
  if (!record.ok()) return Refuse(call, record.status());
  if (!*record) return Refuse(call, NoRecord(call));

  const std::optional<SequenceNumber> version = VersionOf(*record);
  if (!conditions->Matches(version)) return Refuse(call, ConditionFailed(version));
  http::Response response =
      conditions->NoneMatches(version)
          ? JsonReply(200, RecordItem(**record, TypeLabel(store, EntityOf(call))))
          : EmptyReply(304);
  response.headers.Add("ETag", EntityTag(*version));
  return response;
}

Result<std::string> ListRecordsJson(const Call& call) {
  TIDEMARK_RETURN_IF_ERROR(CheckReadableName(EntityOf(call)));
  const http::Request& request = *call.request;
  TIDEMARK_ASSIGN_OR_RETURN(const uint64_t limit, ReadLimit(request));
  ScanOptions scan;
  scan.after = request.Query("after").value_or("");
  scan.prefix = request.Query("prefix").value_or("");
  scan.limit = limit + 1;  // the one beyond tells whether there is more
  Store& store = call.instance->store();
  const std::string type = TypeLabel(store, EntityOf(call));

  JsonWriter list;
  list.BeginObject().Key("items").BeginArray();
  RecordIterator records = store.GetView().Scan(EntityOf(call), scan);
  uint64_t count = 0;
  std::string last = "null";
  bool more = false;
  while (records.Next()) {
    more = count == limit || list.text().size() > kListBytesMax;
    if (more) break;
    list.Raw(RecordItem(records.record(), type));
    last = IdToJson(records.id(), records.record().id_form);
    ++count;
  }
  TIDEMARK_RETURN_IF_ERROR(records.status());
  list.EndArray().Key("meta").BeginObject().Key("type").String("collection");
  list.Key("count").Unsigned(count);
  list.Key("next").Raw(more ? last : "null").EndObject().EndObject();
  return list.Take();
}

http::Response ListRecords(const Call& call) {
  Result<std::string> list = ListRecordsJson(call);
  if (!list.ok()) return Refuse(call, list.status());
  return JsonReply(200, std::move(*list));
}

// --- Writing ---

Result<TypedValue> ReadValue(const http::Request& request) {
  TypedValue value;
  TIDEMARK_ASSIGN_OR_RETURN(value.bytes, MinifyJson(request.body));
  if (value.bytes.starts_with('{')) {  // it may stand for bytes
    JsonField object;
    object.type = JsonType::kObject;
    object.text = std::move(value.bytes);
    TIDEMARK_ASSIGN_OR_RETURN(value, ValueFromField(object));
  }
  if (value.bytes.size() > kValueBytesMax) {
    return Status(ErrorCode::kTooLarge,
                  "the value has " + std::to_string(value.bytes.size()) + " bytes, the limit is " +
                      std::to_string(kValueBytesMax));
  }
  return value;
}

// The condition under which a write that was decided for `before` holds.
WriteCondition OnlyIf(const std::optional<Record>& before) {
  WriteCondition condition;
  if (before) {
    condition.if_version = before->version;
  } else {
    condition.if_absent = true;
  }
  return condition;
}

using MakeBatch =
    std::function<WriteBatch(const std::optional<Record>& before, const WriteCondition& condition)>;

// Commits the one operation of `make`, under the conditions of the request. `kNotFound` when
// `must_exist` and there is no record.
Result<CommitResult> Write(const Call& call, bool must_exist, const MakeBatch& make) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(EntityOf(call)));
  TIDEMARK_RETURN_IF_ERROR(CheckRecordId(IdOf(call)));
  TIDEMARK_ASSIGN_OR_RETURN(const TagConditions conditions, TagConditions::Read(*call.request));
  Store& store = call.instance->store();
  TIDEMARK_RETURN_IF_ERROR(DeclareBuiltIn(store, EntityOf(call)));
  CommitOptions options;
  options.want_outcomes = true;
  for (int attempt = 1;; ++attempt) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto before, store.Get(EntityOf(call), IdOf(call)));
    if (must_exist && !before) return NoRecord(call);
    const std::optional<SequenceNumber> version = VersionOf(before);
    if (!conditions.Matches(version) || !conditions.NoneMatches(version)) {
      return ConditionFailed(version);
    }
    const WriteCondition condition = conditions.empty() ? WriteCondition() : OnlyIf(before);
    Result<CommitResult> result = store.Commit(make(before, condition), options);
    const bool overtaken = result.status().code() == ErrorCode::kConditionFailed;
    if (!overtaken || attempt == kConditionalAttemptsMax) return result;
  }
}

http::Response CommitReply(int status, const CommitResult& result, std::string_view outcome) {
  const SequenceNumber version = result.outcomes.front().version;
  JsonWriter data;
  data.BeginObject().Key("sequence").Unsigned(result.sequence.value());
  if (version != kSequenceZero) data.Key("version").Unsigned(version.value());
  data.Key("outcome").String(outcome).EndObject();
  http::Response response = DataReply(status, data.text(), "commit");
  if (version != kSequenceZero) response.headers.Add("ETag", EntityTag(version));
  return response;
}

http::Response PutRecord(const Call& call) {
  const Result<TypedValue> value = ReadValue(*call.request);
  if (!value.ok()) return Refuse(call, value.status());
  const auto own = OwnIdOf(*value, IdOf(call), IdFields(call.instance->store()).Of(EntityOf(call)));
  if (!own.ok()) return Refuse(call, own.status());
  // Whether the id is a number is not to be seen in a path: the value's own id field says it, else
  // the record as it is, else the looks of the id.
  const auto make = [&](const std::optional<Record>& before, const WriteCondition& condition) {
    RecordId id = IdFromArgument(IdOf(call), /*as_text=*/false);
    if (before) id = RecordId(IdOf(call), before->id_form);
    WriteBatch batch;
    batch.Put(EntityOf(call), *own ? **own : id, value->bytes, value->kind, condition);
    return batch;
  };
  const Result<CommitResult> result = Write(call, /*must_exist=*/false, make);
  if (!result.ok()) return Refuse(call, result.status());
  switch (result->outcomes.front().outcome) {
    case WriteOutcome::kCreated:
      return CommitReply(201, *result, "created");
    case WriteOutcome::kUnchanged:
      return CommitReply(200, *result, "unchanged");
    default:
      return CommitReply(200, *result, "updated");
  }
}

http::Response DeleteRecord(const Call& call) {
  const std::optional<EntityInfo> entity = FindDeclared(call.instance->store(), EntityOf(call));
  if (entity && entity->declaration.kind == EntityKind::kIncremental) {
    return Refuse(call,
                  {ErrorCode::kWrongKind,
                   EntityOf(call) + " is incremental: its events are trimmed, not deleted"});
  }
  const auto make = [&](const std::optional<Record>& before, const WriteCondition& condition) {
    WriteBatch batch;
    batch.Delete(EntityOf(call), {IdOf(call), before->id_form}, condition);
    return batch;
  };
  const Result<CommitResult> result = Write(call, /*must_exist=*/true, make);
  if (!result.ok()) return Refuse(call, result.status());
  if (result->applied == 0) return Refuse(call, NoRecord(call));
  return CommitReply(200, *result, "deleted");
}

}  // namespace

std::vector<Route> RecordRoutes() {
  const std::string one = "/v1/entities/{entity}/records/{id}";
  return {
      Reading({"after", "prefix", "limit"},
              {http::Method::kGet,
               "/v1/entities/{entity}/records",
               Role::kReader,
               Answer(ListRecords)}),
      {http::Method::kGet, one, Role::kReader, Answer(GetRecord)},
      {http::Method::kPut, one, Role::kWriter, Answer(PutRecord)},
      {http::Method::kDelete, one, Role::kWriter, Answer(DeleteRecord)},
  };
}

}  // namespace tidemark::server
