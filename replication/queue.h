// Queues beside `main`: parts of a selection that devices may drain first, in an order of
// importance, so that a first usable view arrives early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/selection_rule.h"

namespace tidemark {

/// The queue that every session has: all that the session owes and no other queue handed out.
inline constexpr std::string_view kMainQueue = "main";
inline constexpr size_t kQueuesMax = 16;       ///< declared in one store
inline constexpr size_t kQueuePartsMax = 256;  ///< of one queue
inline constexpr uint32_t kQueueOrderMax = 1000;

/// A queue as an operator declares it. An instruction belongs to the first queue, in order, whose
/// parts have the record at the session's cut: its entity, or a value that it has then and by which
/// the device may see it. What is `deleted` belongs to a queue by its entity only, else to `main`.
struct QueueDeclaration {
  std::string name;
  uint32_t order = 0;   ///< lower ones come first; among equals the name decides
  SelectionRule parts;  ///< grants; what does not exist yet may come
  bool operator==(const QueueDeclaration&) const = default;
};

/// `{"order":1,"entities":[...]}`, where `entities` is as in a selection.
std::string QueueToJson(const QueueDeclaration& queue);
/// `kInvalidArgument` names the member that is wrong; unknown members are refused.
Result<QueueDeclaration> QueueFromJson(std::string_view name, std::string_view json);

}  // namespace tidemark
