#include "replication/internal/sync_rows.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "format/json.h"

namespace tidemark {
namespace {

constexpr std::array<std::string_view, 5> kStateNames = {
    "notStarted", "syncing", "synced", "failed", "interrupted"};

Status Damaged(std::string_view what) {
  return {ErrorCode::kCorruption, "a row of sync progress is damaged: " + std::string(what)};
}

void WriteTime(JsonWriter* out, std::string_view name, const std::optional<int64_t>& time) {
  out->Key(name);
  if (time.has_value()) {
    out->Integer(*time);
  } else {
    out->Null();
  }
}

void WriteText(JsonWriter* out, std::string_view name, std::string_view text) {
  out->Key(name);
  if (text.empty()) {
    out->Null();
  } else {
    out->String(text);
  }
}

void WriteStatusFields(JsonWriter* out, const SyncStatus& status, SyncState state) {
  WriteText(out, "provider", status.target.provider);
  out->Key("entity").String(status.target.entity);
  WriteText(out, "functionId", status.target.function_id);
  out->Key("state").String(SyncStateName(state));
  out->Key("timestamp").Integer(status.timestamp);
  WriteText(out, "error", status.error);
  out->Key("records").Unsigned(status.records);
  out->Key("bytes").Unsigned(status.bytes);
}

/// The members of a JSON object that a row consists of; the first that is missing or of another
/// type makes the row damaged.
class RowReader {
 public:
  explicit RowReader(std::string_view json) {
    auto read = ReadJsonObject(json);
    if (!read.ok()) {
      status_ = Damaged(read.status().message());
    } else {
      fields_ = *std::move(read);
    }
  }

  std::string Text(std::string_view name) {
    const JsonField* field = Find(name);
    if (field == nullptr || field->type == JsonType::kNull) return {};
    return Expect(*field, JsonType::kString) ? field->text : std::string();
  }
  uint64_t Count(std::string_view name) {
    const JsonField* field = Find(name);
    if (field == nullptr || !Expect(*field, JsonType::kInteger)) return 0;
    return static_cast<uint64_t>(field->integer);
  }
  std::optional<int64_t> Time(std::string_view name) {
    const JsonField* field = Find(name);
    if (field == nullptr || field->type == JsonType::kNull) return std::nullopt;
    return Expect(*field, JsonType::kInteger) ? std::optional(field->integer) : std::nullopt;
  }
  SyncState State(std::string_view name) {
    const std::string text = Text(name);
    for (size_t i = 0; i < kStateNames.size(); ++i) {
      if (text == kStateNames[i]) return static_cast<SyncState>(i);
    }
    if (status_.ok()) status_ = Damaged(name);
    return SyncState::kNotStarted;
  }
  std::string Nested(std::string_view name, JsonType type) {
    const JsonField* field = Find(name);
    return field != nullptr && Expect(*field, type) ? field->text : std::string();
  }
  std::vector<JsonField> Elements(std::string_view name) {
    auto elements = ReadJsonArray(Nested(name, JsonType::kArray));
    if (elements.ok()) return *std::move(elements);
    if (status_.ok()) status_ = Damaged(name);
    return {};
  }

  const Status& status() const { return status_; }

 private:
  const JsonField* Find(std::string_view name) {
    for (const JsonField& field : fields_) {
      if (field.name == name) return &field;
    }
    if (status_.ok()) status_ = Damaged(name);
    return nullptr;
  }
  bool Expect(const JsonField& field, JsonType type) {
    if (field.type == type) return true;
    if (status_.ok()) status_ = Damaged(field.name);
    return false;
  }

  std::vector<JsonField> fields_;
  Status status_;
};

SyncStatus ReadStatusFields(RowReader* row) {
  SyncStatus status;
  status.target.provider = row->Text("provider");
  status.target.entity = row->Text("entity");
  status.target.function_id = row->Text("functionId");
  status.state = row->State("state");
  status.timestamp = row->Time("timestamp").value_or(0);
  status.error = row->Text("error");
  status.records = row->Count("records");
  status.bytes = row->Count("bytes");
  return status;
}

Result<SyncMember> MemberFromJson(std::string_view json) {
  RowReader row(json);
  SyncMember member;
  member.id = row.Text("id");
  member.state = row.State("state");
  for (const JsonField& element : row.Elements("entities")) {
    RowReader entity(element.text);
    member.entities.push_back(ReadStatusFields(&entity));
    SyncStatus& status = member.entities.back();
    status.id = internal::SyncStatusId(member.id, status.target.entity);
    TIDEMARK_RETURN_IF_ERROR(entity.status());
  }
  member.started_at = row.Time("startedAt");
  member.ended_at = row.Time("endedAt");
  member.attempts = row.Count("attempts");
  member.error = row.Text("error");
  TIDEMARK_RETURN_IF_ERROR(row.status());
  return member;
}

}  // namespace

std::string_view SyncStateName(SyncState state) {
  return kStateNames[static_cast<size_t>(state)];
}

std::string SyncStatusToJson(const SyncStatus& status) {
  // The seed gives a status three states: one that was interrupted failed, and says why.
  const bool interrupted = status.state == SyncState::kInterrupted;
  JsonWriter out;
  out.BeginObject().Key("id").String(status.id);
  WriteStatusFields(&out, status, interrupted ? SyncState::kFailed : status.state);
  out.EndObject();
  return out.Take();
}

std::string SyncScopeDetailsToJson(const SyncScope& scope) {
  JsonWriter out;
  out.BeginObject().Key("run").Unsigned(scope.run);
  out.Key("interrupted").Unsigned(scope.interrupted);
  out.Key("members").BeginArray();
  for (const SyncMember& member : scope.members) {
    out.BeginObject().Key("id").String(member.id);
    out.Key("state").String(SyncStateName(member.state));
    out.Key("entities").BeginArray();
    for (const SyncStatus& entity : member.entities) {
      out.BeginObject();
      WriteStatusFields(&out, entity, entity.state);
      out.EndObject();
    }
    out.EndArray();
    WriteTime(&out, "startedAt", member.started_at);
    WriteTime(&out, "endedAt", member.ended_at);
    out.Key("attempts").Unsigned(member.attempts);
    WriteText(&out, "error", member.error);
    out.EndObject();
  }
  out.EndArray().EndObject();
  return out.Take();
}

std::string SyncScopeToJson(const SyncScope& scope) {
  JsonWriter out;
  out.BeginObject().Key("id").String(scope.id);
  out.Key("state").String(SyncStateName(scope.state));
  out.Key("notStarted").Unsigned(scope.not_started);
  out.Key("syncing").Unsigned(scope.syncing);
  out.Key("failed").Unsigned(scope.failed);
  out.Key("synced").Unsigned(scope.synced);
  WriteTime(&out, "lastStartedAt", scope.last_started_at);
  WriteTime(&out, "lastFailedAt", scope.last_failed_at);
  WriteTime(&out, "lastSyncedAt", scope.last_synced_at);
  out.Key("timestamp").Integer(scope.timestamp);
  out.Key("details").Raw(SyncScopeDetailsToJson(scope));
  out.EndObject();
  return out.Take();
}

namespace internal {

std::string SyncStatusId(std::string_view member, std::string_view entity) {
  std::string id;
  for (const char c : member) {
    if (c == ':' || c == '\\') id.push_back('\\');
    id.push_back(c);
  }
  return id.append(":").append(entity);
}

Result<SyncStatus> SyncStatusFromJson(std::string_view json) {
  RowReader row(json);
  const std::string id = row.Text("id");
  SyncStatus status = ReadStatusFields(&row);
  status.id = id;
  TIDEMARK_RETURN_IF_ERROR(row.status());
  return status;
}

Result<SyncScope> SyncScopeFromJson(std::string_view json) {
  RowReader row(json);
  SyncScope scope;
  scope.id = row.Text("id");
  scope.state = row.State("state");
  scope.not_started = row.Count("notStarted");
  scope.syncing = row.Count("syncing");
  scope.failed = row.Count("failed");
  scope.synced = row.Count("synced");
  scope.last_started_at = row.Time("lastStartedAt");
  scope.last_failed_at = row.Time("lastFailedAt");
  scope.last_synced_at = row.Time("lastSyncedAt");
  scope.timestamp = row.Time("timestamp").value_or(0);
  const std::string details = row.Nested("details", JsonType::kObject);
  TIDEMARK_RETURN_IF_ERROR(row.status());
  RowReader nested(details);
  scope.run = nested.Count("run");
  scope.interrupted = nested.Count("interrupted");
  for (const JsonField& element : nested.Elements("members")) {
    TIDEMARK_ASSIGN_OR_RETURN(SyncMember member, MemberFromJson(element.text));
    scope.members.push_back(std::move(member));
  }
  TIDEMARK_RETURN_IF_ERROR(nested.status());
  return scope;
}

std::string TransitionId(int64_t timestamp, size_t index) {
  const auto padded = [](const std::string& digits, size_t width) {
    return std::string(width - std::min(width, digits.size()), '0') + digits;
  };
  return padded(std::to_string(timestamp), 15) + "-" + padded(std::to_string(index), 5);
}

int64_t TimeOfTransition(std::string_view json) {
  const auto fields = ReadJsonFields(json, {"timestamp"});
  const bool known =
      fields.ok() && fields->front().has_value() && fields->front()->type == JsonType::kInteger;
  return known ? fields->front()->integer : 0;
}

std::string TransitionToJson(const SyncTransition& transition) {
  const auto write_state = [](JsonWriter* out, const std::optional<SyncState>& state) {
    if (state.has_value()) {
      out->String(SyncStateName(*state));
    } else {
      out->Null();
    }
  };
  JsonWriter out;
  out.BeginObject().Key("timestamp").Integer(transition.timestamp);
  out.Key("subject").String(transition.subject == SyncTransition::Subject::kScope ? "scope"
                                                                                  : "status");
  out.Key("id").String(transition.id).Key("from");
  write_state(&out, transition.from);
  out.Key("to");
  write_state(&out, transition.to);
  WriteText(&out, "error", transition.error);
  out.EndObject();
  return out.Take();
}

}  // namespace internal
}  // namespace tidemark
