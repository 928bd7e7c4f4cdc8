#include "server/sell_wire.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "format/hex.h"
#include "format/json.h"
#include "format/record.h"

namespace tidemark::server {
namespace {

Status FieldError(std::string_view name, std::string_view what) {
  return {ErrorCode::kInvalidArgument, "field \"" + std::string(name) + "\" " + std::string(what)};
}

// Java's client reads these into 32 bits.
int64_t Clamped(uint64_t count) {
  constexpr uint64_t kMost = std::numeric_limits<int32_t>::max();
  return static_cast<int64_t>(std::min(count, kMost));
}

const JsonField* FindMember(const std::vector<JsonField>& members, std::string_view name) {
  const auto at = std::find_if(
      members.begin(), members.end(), [&](const JsonField& member) { return member.name == name; });
  return at == members.end() ? nullptr : &*at;
}

void WriteQueue(JsonWriter& writer, const std::string& session, const QueueInfo& queue) {
  writer.BeginObject().Key("data").BeginObject();
  writer.Key("name").String(queue.name);
  writer.Key("pages").Integer(Clamped(queue.pages));
  writer.Key("total_count").Integer(Clamped(queue.owed));
  writer.EndObject();
  const std::string self = "/v2/sync/" + session + "/queues/" + queue.name;
  writer.Key("meta").BeginObject().Key("type").String("sync_queue");
  writer.Key("links").BeginObject().Key("self").String(self).EndObject().EndObject();
  writer.EndObject();
}

void WriteGaps(JsonWriter& writer, const std::vector<Gap>& gaps) {
  writer.BeginArray();
  for (const Gap& gap : gaps) {
    writer.BeginObject();
    writer.Key("entity").String(gap.entity);
    writer.Key("from").Unsigned(gap.range.first.value());
    writer.Key("to").Unsigned(gap.range.limit.value());
    writer.Key("count").Unsigned(gap.count);
    writer.EndObject();
  }
  writer.EndArray();
}

uint64_t UnsignedOf(const std::vector<JsonField>& members, std::string_view name) {
  const JsonField* member = FindMember(members, name);
  const bool good = member != nullptr && member->type == JsonType::kInteger && member->integer >= 0;
  return good ? static_cast<uint64_t>(member->integer) : 0;
}

Result<std::vector<Gap>> ReadGaps(std::string_view json) {
  std::vector<Gap> gaps;
  TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadJsonArray(json));
  for (const JsonField& element : elements) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(element.text));
    Gap gap;
    if (const JsonField* entity = FindMember(members, "entity")) gap.entity = entity->text;
    gap.range = {.first = SequenceNumber(UnsignedOf(members, "from")),
                 .limit = SequenceNumber(UnsignedOf(members, "to"))};
    gap.count = UnsignedOf(members, "count");
    gaps.push_back(std::move(gap));
  }
  return gaps;
}

/// Those beside `main`, in their order.
Result<std::vector<QueueInfo>> ReadQueues(std::string_view json) {
  std::vector<QueueInfo> queues;
  TIDEMARK_ASSIGN_OR_RETURN(const auto elements, ReadJsonArray(json));
  for (const JsonField& element : elements) {
    TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(element.text));
    const JsonField* data = FindMember(members, "data");
    if (data == nullptr) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonObject(data->text));
    const JsonField* name = FindMember(fields, "name");
    if (name == nullptr || name->text == kMainQueue) continue;
    TIDEMARK_RETURN_IF_ERROR(CheckName(name->text));
    queues.push_back({name->text, UnsignedOf(fields, "total_count"), UnsignedOf(fields, "pages")});
  }
  return queues;
}

Status ReadHelloMember(const JsonField& member, Hello* hello) {
  if (member.name == "fresh") {
    if (member.type != JsonType::kBool) return FieldError(member.name, "must be true or false");
    hello->fresh = member.boolean;
    return {};
  }
  if (member.name == "sent_through" || member.name == "answered_through") {
    if (member.type != JsonType::kInteger || member.integer < 0) {
      return FieldError(member.name, "must be a whole number");
    }
    auto& number = member.name == "sent_through" ? hello->sent_through : hello->answered_through;
    number = static_cast<uint64_t>(member.integer);
    return {};
  }
  if (member.name != "position" && member.name != "incarnation") return {};
  if (member.type == JsonType::kNull) return {};
  if (member.type != JsonType::kString) return FieldError(member.name, "must be a string");
  if (member.name == "position") {
    hello->position = member.text;
    return {};
  }
  const auto bytes = DecodeHex(member.text);
  if (!bytes || (bytes->size() != 16 && !bytes->empty())) {
    return FieldError(member.name, "must have 32 hexadecimal digits");
  }
  hello->incarnation = *bytes;
  return {};
}

}  // namespace

Status ReadStartBody(std::string_view body, Hello* hello) {
  if (body.empty()) return {};
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(body));
  const JsonField* data = FindMember(members, "data");
  if (data == nullptr || data->type == JsonType::kNull) return {};
  if (data->type != JsonType::kObject) return FieldError("data", "must be an object");
  TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonObject(data->text));
  for (const JsonField& field : fields) TIDEMARK_RETURN_IF_ERROR(ReadHelloMember(field, hello));
  return {};
}

std::string WriteStartBody(const Hello& hello) {
  JsonWriter writer;
  writer.BeginObject().Key("data").BeginObject();
  if (!hello.position.empty()) writer.Key("position").String(hello.position);
  if (!hello.incarnation.empty()) writer.Key("incarnation").String(EncodeHex(hello.incarnation));
  writer.Key("fresh").Bool(hello.fresh);
  if (hello.sent_through.has_value()) writer.Key("sent_through").Unsigned(*hello.sent_through);
  if (hello.answered_through.has_value()) {
    writer.Key("answered_through").Unsigned(*hello.answered_through);
  }
  writer.EndObject().EndObject();
  return writer.Take();
}

std::string SessionToJson(const SessionInfo& session) {
  JsonWriter writer;
  writer.BeginObject().Key("data").BeginObject();
  writer.Key("id").String(session.id);
  // `main` first: there are clients that know no other and take what they find there.
  writer.Key("queues").BeginArray();
  WriteQueue(writer, session.id, {std::string(kMainQueue), session.owed, session.pages});
  for (const QueueInfo& queue : session.queues) WriteQueue(writer, session.id, queue);
  writer.EndArray();
  writer.Key("reset").Bool(session.reset);
  WriteGaps(writer.Key("gaps"), session.gaps);
  writer.Key("epoch").String(EncodeHex(session.epoch));
  writer.Key("session").Unsigned(session.number);
  writer.Key("cut").Unsigned(session.cut.value());
  writer.Key("owed").Unsigned(session.owed);
  writer.EndObject();
  writer.Key("meta").BeginObject().Key("type").String("sync_session").EndObject().EndObject();
  return writer.Take();
}

Result<SessionInfo> SessionFromJson(std::string_view json) {
  const Status foreign(ErrorCode::kUnavailable, "what answered a start is no Tidemark server");
  const auto members = ReadJsonObject(json);
  if (!members.ok()) return foreign;
  const JsonField* data = FindMember(*members, "data");
  if (data == nullptr || data->type != JsonType::kObject) return foreign;
  const auto fields = ReadJsonObject(data->text);
  if (!fields.ok()) return foreign;
  const JsonField* id = FindMember(*fields, "id");
  const JsonField* epoch = FindMember(*fields, "epoch");
  if (id == nullptr || id->text.empty() || epoch == nullptr) return foreign;
  const auto epoch_bytes = DecodeHex(epoch->text);
  if (!epoch_bytes) return foreign;

  SessionInfo session;
  session.id = id->text;
  session.epoch = *epoch_bytes;
  session.number = UnsignedOf(*fields, "session");
  session.cut = SequenceNumber(UnsignedOf(*fields, "cut"));
  session.owed = UnsignedOf(*fields, "owed");
  if (const JsonField* reset = FindMember(*fields, "reset")) session.reset = reset->boolean;
  if (const JsonField* queues = FindMember(*fields, "queues")) {
    auto list = ReadQueues(queues->text);
    if (!list.ok()) return foreign;
    session.queues = std::move(*list);
  }
  if (const JsonField* gaps = FindMember(*fields, "gaps")) {
    auto list = ReadGaps(gaps->text);
    if (!list.ok()) return foreign;
    session.gaps = std::move(*list);
  }
  return session;
}

Result<std::vector<std::string>> ReadAckBody(std::string_view body) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(body));
  const JsonField* data = FindMember(members, "data");
  if (data == nullptr) return FieldError("data", "is missing");
  if (data->type != JsonType::kObject) return FieldError("data", "must be an object");
  TIDEMARK_ASSIGN_OR_RETURN(const auto fields, ReadJsonObject(data->text));
  const JsonField* list = FindMember(fields, "ack_keys");
  if (list == nullptr) return FieldError("ack_keys", "is missing");
  if (list->type != JsonType::kArray) return FieldError("ack_keys", "must be an array");
  TIDEMARK_ASSIGN_OR_RETURN(auto elements, ReadJsonArray(list->text));
  if (elements.size() > kAckKeysMax) {
    return FieldError("ack_keys", "must have at most " + std::to_string(kAckKeysMax) + " keys");
  }
  std::vector<std::string> keys;
  keys.reserve(elements.size());
  for (JsonField& element : elements) {
    if (element.type != JsonType::kString) return FieldError("ack_keys", "must hold strings");
    keys.push_back(std::move(element.text));
  }
  return keys;
}

std::string WriteAckBody(const std::vector<std::string>& keys) {
  JsonWriter writer;
  writer.BeginObject().Key("data").BeginObject().Key("ack_keys").BeginArray();
  for (const std::string& key : keys) writer.String(key);
  writer.EndArray().EndObject().EndObject();
  return writer.Take();
}

}  // namespace tidemark::server
