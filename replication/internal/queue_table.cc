#include "replication/internal/queue_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "format/coding.h"
#include "format/record.h"
#include "format/stored_row.h"

namespace tidemark {
namespace {

constexpr uint8_t kRowVersion = 1;
constexpr std::string_view kRowName = "the row of a queue";

std::string QueueKey(std::string_view name) {
  return std::string(kQueuePrefix) + std::string(name);
}

std::string EncodeRow(const QueueDeclaration& queue) {
  std::string row(1, static_cast<char>(kRowVersion));
  AppendBytes(&row, queue.name);
  AppendBytes(&row, QueueToJson(queue));
  return row;
}

Result<QueueDeclaration> DecodeRow(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_RETURN_IF_ERROR(ReadRowVersion(&reader, kRowVersion, kRowName).status());
  const std::string name(reader.Bytes());
  const std::string json(reader.Bytes());
  auto queue = QueueFromJson(name, json);
  if (!reader.Finished() || !queue.ok()) return DamagedRow(kRowName);
  return queue;
}

Status NoSuchQueue(std::string_view name) {
  return {ErrorCode::kNotFound, "there is no queue " + std::string(name)};
}

}  // namespace

Status QueueTable::Load() {
  Status failed;
  TIDEMARK_RETURN_IF_ERROR(
      store_.ScanRows(kQueuePrefix, [&](std::string_view, std::string_view value) {
        auto queue = DecodeRow(value);
        if (!queue.ok()) {
          failed = queue.status();
          return false;
        }
        const std::string name = queue->name;
        declared_[name] = std::move(*queue);
        return true;
      }));
  return failed;
}

Status QueueTable::Check(const Store& store, const QueueDeclaration& queue) {
  TIDEMARK_RETURN_IF_ERROR(CheckName(queue.name));
  if (queue.name == kMainQueue) {
    return {ErrorCode::kInvalidArgument, "the queue main is always there, and has everything"};
  }
  if (queue.order > kQueueOrderMax) {
    return {ErrorCode::kInvalidArgument,
            "the order of a queue is at most " + std::to_string(kQueueOrderMax)};
  }
  if (queue.parts.everything || queue.parts.grants.empty()) {
    return {ErrorCode::kInvalidArgument, "a queue is made of parts: entities, or values of keys"};
  }
  if (CountParts(queue.parts) > kQueuePartsMax) {
    return {ErrorCode::kTooLarge,
            "a queue has at most " + std::to_string(kQueuePartsMax) + " parts"};
  }
  return CheckSelectionRule(store, queue.parts);
}

Status QueueTable::Declare(const QueueDeclaration& queue) {
  TIDEMARK_RETURN_IF_ERROR(Check(store_, queue));
  const std::lock_guard changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    if (!declared_.contains(queue.name) && declared_.size() >= kQueuesMax) {
      return {ErrorCode::kTooLarge,
              "a store has at most " + std::to_string(kQueuesMax) + " queues beside main"};
    }
  }
  WriteBatch batch;
  batch.SetRow(QueueKey(queue.name), EncodeRow(queue));
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(batch).status());
  const std::lock_guard lock(mutex_);
  declared_[queue.name] = queue;
  ++changes_;
  return {};
}

Status QueueTable::Drop(std::string_view name) {
  const std::lock_guard changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    if (!declared_.contains(name)) return NoSuchQueue(name);
  }
  WriteBatch batch;
  batch.DeleteRow(QueueKey(name));
  TIDEMARK_RETURN_IF_ERROR(store_.Commit(batch).status());
  const std::lock_guard lock(mutex_);
  declared_.erase(declared_.find(name));
  ++changes_;
  return {};
}

std::vector<QueueDeclaration> QueueTable::InOrder(const ByName& declared) {
  std::vector<QueueDeclaration> queues;
  for (const auto& [name, queue] : declared) queues.push_back(queue);
  std::stable_sort(queues.begin(), queues.end(), [](const auto& a, const auto& b) {
    return a.order < b.order;  // of equal ones the name decides, by which they come
  });
  return queues;
}

std::vector<QueueDeclaration> QueueTable::List() const {
  const std::lock_guard lock(mutex_);
  return InOrder(declared_);
}

std::shared_ptr<const ResolvedQueues> QueueTable::Resolve() {
  // Read first: what is declared meanwhile is resolved the next time.
  const uint64_t version = store_.entities_version();
  std::vector<QueueDeclaration> queues;
  uint64_t changes = 0;
  {
    const std::lock_guard lock(mutex_);
    if (declared_.empty()) return nullptr;
    if (resolved_version_ == version && resolved_changes_ == changes_) return resolved_;
    queues = InOrder(declared_);
    changes = changes_;
  }
  auto resolved = std::make_shared<ResolvedQueues>();
  for (const QueueDeclaration& queue : queues) {
    resolved->push_back({queue.name, tidemark::Resolve(store_, queue.parts)});
  }
  const std::lock_guard lock(mutex_);
  resolved_ = std::move(resolved);
  resolved_changes_ = changes;
  resolved_version_ = version;
  return resolved_;
}

}  // namespace tidemark
