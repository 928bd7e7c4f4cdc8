#include "server/operation_routes.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "format/json.h"
#include "server/reply.h"
#include "server/requests.h"
#include "server/sync_operations.h"

namespace tidemark::server {
namespace {

constexpr std::string_view kType = "sync_operation";

SyncOperations& OperationsOf(const Call& call) {
  return call.instance->sync_operations();
}
const std::string& IdOf(const Call& call) {
  return call.captures[0];
}

/// `{"entity":"customer","provider":"crm","functionId":"list"}`, where only `entity` is needed.
Result<SyncTarget> ReadTarget(std::string_view json) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(json));
  SyncTarget target;
  for (const JsonField& field : fields) {
    if (field.name == "entity") {
      TIDEMARK_ASSIGN_OR_RETURN(target.entity, ReadText(field));
    } else if (field.name == "provider") {
      TIDEMARK_ASSIGN_OR_RETURN(target.provider, ReadText(field));
    } else if (field.name == "functionId") {
      TIDEMARK_ASSIGN_OR_RETURN(target.function_id, ReadText(field));
    } else {
      return UnknownMember(field);
    }
  }
  if (target.entity.empty()) return FieldError("entity", "must be given");
  return target;
}

/// Names, or targets.
Result<std::vector<SyncTarget>> ReadTargets(const JsonField& field) {
  if (field.type != JsonType::kArray) return FieldError(field.name, "must be an array");
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> elements, ReadJsonArray(field.text));
  std::vector<SyncTarget> targets;
  for (const JsonField& element : elements) {
    if (element.type == JsonType::kString) {
      targets.push_back({.entity = element.text});
    } else if (element.type == JsonType::kObject) {
      TIDEMARK_ASSIGN_OR_RETURN(SyncTarget target, ReadTarget(element.text));
      targets.push_back(std::move(target));
    } else {
      return FieldError(field.name, "must hold names or objects");
    }
  }
  return targets;
}

struct Beginning {
  std::string member;
  std::vector<SyncTarget> targets;
  std::chrono::seconds lease = kSyncLeaseDefault;
};

Result<Beginning> ReadBeginning(std::string_view json) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadJsonObject(json));
  Beginning beginning;
  for (const JsonField& field : fields) {
    if (field.name == "member") {
      TIDEMARK_ASSIGN_OR_RETURN(beginning.member, ReadText(field));
    } else if (field.name == "entities") {
      TIDEMARK_ASSIGN_OR_RETURN(beginning.targets, ReadTargets(field));
    } else if (field.name == "lease") {
      const auto most = static_cast<uint64_t>(kSyncLeaseMax.count());
      TIDEMARK_ASSIGN_OR_RETURN(const uint64_t seconds, ReadUnsigned(field, most));
      if (seconds == 0) return FieldError(field.name, "must be at least a second");
      beginning.lease = std::chrono::seconds(seconds);
    } else {
      return UnknownMember(field);
    }
  }
  if (beginning.member.empty()) return FieldError("member", "must be given");
  return beginning;
}

http::Response Reply(int status, const std::string& id, bool ended) {
  JsonWriter data;
  data.BeginObject().Key("id").String(id).Key("ended").Bool(ended).EndObject();
  return DataReply(status, data.text(), kType);
}

http::Response ReplyOrRefuse(const Call& call, const Status& status) {
  return status.ok() ? Reply(200, IdOf(call), /*ended=*/false) : Refuse(call, status);
}

http::Response Begin(const Call& call) {
  const Result<Beginning> beginning = ReadBeginning(call.request->body);
  if (!beginning.ok()) return Refuse(call, beginning.status());
  const Result<std::string> id =
      OperationsOf(call).Begin(beginning->member, beginning->targets, beginning->lease);
  if (!id.ok()) return Refuse(call, id.status());
  return Reply(201, *id, /*ended=*/false);
}

http::Response Add(const Call& call) {
  const Result<SyncTarget> target = ReadTarget(call.request->body);
  if (!target.ok()) return Refuse(call, target.status());
  return ReplyOrRefuse(call, OperationsOf(call).Add(IdOf(call), *target));
}

/// `{"entity":"customer","records":500,"bytes":120000}`; nothing renews the lease alone.
Status NoteProgress(const Call& call) {
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> fields, ReadOptionalBody(*call.request));
  std::optional<std::string> entity;
  uint64_t records = 0;
  uint64_t bytes = 0;
  for (const JsonField& field : fields) {
    if (field.name == "entity") {
      TIDEMARK_ASSIGN_OR_RETURN(entity, ReadText(field));
    } else if (field.name == "records") {
      TIDEMARK_ASSIGN_OR_RETURN(records, ReadUnsigned(field, kSyncCountMax));
    } else if (field.name == "bytes") {
      TIDEMARK_ASSIGN_OR_RETURN(bytes, ReadUnsigned(field, kSyncCountMax));
    } else {
      return UnknownMember(field);
    }
  }
  if (fields.empty()) return OperationsOf(call).Renew(IdOf(call));
  if (!entity) return FieldError("entity", "must be given");
  return OperationsOf(call).Progress(IdOf(call), *entity, records, bytes);
}

http::Response Progress(const Call& call) {
  return ReplyOrRefuse(call, NoteProgress(call));
}

/// `{"entity":"customer","error":"the CRM answered 503"}`, both optional.
http::Response Finish(const Call& call) {
  const auto fields = ReadOptionalBody(*call.request);
  if (!fields.ok()) return Refuse(call, fields.status());
  std::optional<std::string> entity;
  std::optional<std::string> error;
  for (const JsonField& field : *fields) {
    if (field.name != "entity" && field.name != "error") return Refuse(call, UnknownMember(field));
    const Result<std::string> text = ReadText(field);
    if (!text.ok()) return Refuse(call, text.status());
    if (text->empty()) return Refuse(call, FieldError(field.name, "must not be empty"));
    (field.name == "entity" ? entity : error) = *text;
  }
  const Result<bool> ended = OperationsOf(call).Finish(IdOf(call), entity, error);
  if (!ended.ok()) return Refuse(call, ended.status());
  return Reply(200, IdOf(call), *ended);
}

}  // namespace

std::vector<Route> OperationRoutes() {
  using http::Method;
  const std::string operations = "/v1/sync-operations";
  const std::string operation = operations + "/{id}";
  return {
      {Method::kPost, operations, Role::kWriter, Answer(Begin)},
      {Method::kPost, operation + "/entities", Role::kWriter, Answer(Add)},
      {Method::kPost, operation + "/progress", Role::kWriter, Answer(Progress)},
      {Method::kPost, operation + "/finish", Role::kWriter, Answer(Finish)},
  };
}

}  // namespace tidemark::server
