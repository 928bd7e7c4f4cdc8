#include "server/push_json.h"

#include <optional>
#include <utility>
#include <vector>

#include "format/json.h"
#include "format/record_json.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

/// Values have the whole depth to themselves; the answer around them has some of its own.
constexpr int kAnswerDepthMax = kJsonDepthMax + 8;

void WriteCurrent(JsonWriter* writer, const PushCurrent& current) {
  writer->Key("current").BeginObject().Key("version").Unsigned(current.version.value());
  if (current.value.has_value()) {
    writer->Key("data").Raw(ValueToJson(*current.value, current.value_kind));
  }
  writer->EndObject();
}

void WriteAnswer(JsonWriter* writer, const PushAnswer& answer) {
  writer->BeginObject().Key("operation").Unsigned(answer.operation);
  writer->Key("outcome").String(PushOutcomeName(answer.outcome));
  if (answer.version != kSequenceZero) {
    writer->Key("version").Unsigned(answer.version.value());
    writer->Key("birth").Unsigned(answer.birth.value());
  }
  if (answer.outside) writer->Key("outside").Bool(true);
  if (answer.merged) writer->Key("merged").Bool(true);
  if (!answer.code.empty()) writer->Key("code").String(answer.code);
  if (!answer.field.empty()) writer->Key("field").String(answer.field);
  if (!answer.message.empty()) writer->Key("message").String(answer.message);
  if (answer.current.has_value()) WriteCurrent(writer, *answer.current);
  writer->EndObject();
}

Status Foreign() {
  return {ErrorCode::kUnavailable, "what answered the push is no Tidemark server"};
}

std::optional<PushOutcome> OutcomeNamed(std::string_view name) {
  for (int i = 0; i < kPushOutcomeCount; ++i) {
    const auto outcome = static_cast<PushOutcome>(i);
    if (PushOutcomeName(outcome) == name) return outcome;
  }
  return std::nullopt;
}

Result<PushCurrent> ReadCurrent(const JsonField& field) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(field.text, kAnswerDepthMax));
  PushCurrent current;
  for (const JsonField& member : members) {
    if (member.name == "version") {
      current.version = SequenceNumber(static_cast<uint64_t>(member.integer));
    } else if (member.name == "data") {
      TIDEMARK_ASSIGN_OR_RETURN(TypedValue value, ValueFromField(member));
      current.value_kind = value.kind;
      current.value = std::move(value.bytes);
    }
  }
  return current;
}

Result<PushAnswer> ReadAnswer(const JsonField& element) {
  if (element.type != JsonType::kObject) return Foreign();
  TIDEMARK_ASSIGN_OR_RETURN(const auto members, ReadJsonObject(element.text, kAnswerDepthMax));
  PushAnswer answer;
  bool known = false;
  for (const JsonField& member : members) {
    const std::string& name = member.name;
    if (name == "operation") {
      answer.operation = static_cast<uint64_t>(member.integer);
    } else if (name == "outcome") {
      const auto outcome = OutcomeNamed(member.text);
      if (!outcome.has_value()) return Foreign();
      answer.outcome = *outcome;
      known = true;
    } else if (name == "version") {
      answer.version = SequenceNumber(static_cast<uint64_t>(member.integer));
    } else if (name == "birth") {
      answer.birth = SequenceNumber(static_cast<uint64_t>(member.integer));
    } else if (name == "outside") {
      answer.outside = member.boolean;
    } else if (name == "merged") {
      answer.merged = member.boolean;
    } else if (name == "code") {
      answer.code = member.text;
    } else if (name == "field") {
      answer.field = member.text;
    } else if (name == "message") {
      answer.message = member.text;
    } else if (name == "current" && member.type == JsonType::kObject) {
      TIDEMARK_ASSIGN_OR_RETURN(answer.current, ReadCurrent(member));
    }
  }
  if (!known || answer.operation == 0) return Foreign();
  return answer;
}

}  // namespace

std::string PushToJson(const PushResult& push) {
  JsonWriter writer;
  writer.BeginObject().Key("push").String(push.id);
  writer.Key("device").String(push.device);
  writer.Key("state").String(PushStateName(push.state()));
  writer.Key("handled_at").Raw(TimeToJson(push.time));
  writer.Key("total").Unsigned(push.total());
  writer.Key("errors").Unsigned(push.total() - push.succeeded());
  for (int i = 0; i < kPushOutcomeCount; ++i) {
    const auto outcome = static_cast<PushOutcome>(i);
    writer.Key(PushOutcomeName(outcome)).Unsigned(push.count(outcome));
  }
  writer.Key("answers").BeginArray();
  for (const PushAnswer& answer : push.answers) WriteAnswer(&writer, answer);
  writer.EndArray().EndObject();
  return writer.Take();
}

Result<PushResult> PushFromJson(std::string_view json) {
  PushResult push;
  const auto envelope = ReadJsonObject(json, kAnswerDepthMax);
  if (!envelope.ok()) return Foreign();
  for (const JsonField& member : *envelope) {
    if (member.name != "data" || member.type != JsonType::kObject) continue;
    TIDEMARK_ASSIGN_OR_RETURN(const auto data, ReadJsonObject(member.text, kAnswerDepthMax));
    for (const JsonField& field : data) {
      if (field.name == "push") push.id = field.text;
      if (field.name == "device") push.device = field.text;
      if (field.name != "answers" || field.type != JsonType::kArray) continue;
      TIDEMARK_ASSIGN_OR_RETURN(const auto answers, ReadJsonArray(field.text, kAnswerDepthMax));
      for (const JsonField& element : answers) {
        TIDEMARK_ASSIGN_OR_RETURN(PushAnswer answer, ReadAnswer(element));
        ++push.counts[static_cast<size_t>(answer.outcome)];
        push.answers.push_back(std::move(answer));
      }
    }
  }
  if (push.id.empty()) return Foreign();
  return push;
}

}  // namespace tidemark::server
