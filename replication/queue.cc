#include "replication/queue.h"

#include <optional>
#include <vector>

#include "format/json.h"

namespace tidemark {

std::string QueueToJson(const QueueDeclaration& queue) {
  std::string json = R"({"order":)" + std::to_string(queue.order) + ",";
  return json.append(SelectionRuleToJson(queue.parts), 1);
}

Result<QueueDeclaration> QueueFromJson(std::string_view name, std::string_view json) {
  const auto wrong = [](const std::string& what) {
    return Status(ErrorCode::kInvalidArgument, "queue: " + what);
  };
  TIDEMARK_ASSIGN_OR_RETURN(const std::vector<JsonField> members, ReadJsonObject(json));
  QueueDeclaration queue{.name = std::string(name), .parts = {.everything = false}};
  bool has_entities = false;
  for (const JsonField& member : members) {
    if (member.name == "order") {
      if (member.type != JsonType::kInteger || member.integer < 0 ||
          member.integer > int64_t{kQueueOrderMax}) {
        return wrong("order must be an integer of 0 to " + std::to_string(kQueueOrderMax));
      }
      queue.order = static_cast<uint32_t>(member.integer);
    } else if (member.name == "entities") {
      if (member.type != JsonType::kArray) return wrong("entities must be an array");
      TIDEMARK_ASSIGN_OR_RETURN(queue.parts,
                                SelectionRuleFromJson(R"({"entities":)" + member.text + "}"));
      has_entities = true;
    } else {
      return wrong(member.name + R"( must be left out: only "order" and "entities" are known)");
    }
  }
  if (!has_entities) return wrong("entities must be given");
  return queue;
}

}  // namespace tidemark
