// The queues that a store declares, as durable rows.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "replication/queue.h"
#include "replication/selection.h"

namespace tidemark {

/// What a queue comes to at one moment.
struct ResolvedQueue {
  std::string name;
  Selection parts;
};
/// In order of importance, without `main`.
using ResolvedQueues = std::vector<ResolvedQueue>;

/// Prefix among the rows of upper layers.
inline constexpr std::string_view kQueuePrefix = "q/";

/// Thread-safe. Sessions keep what they were given, so a change concerns later sessions only.
class QueueTable {
 public:
  explicit QueueTable(Store& store) : store_(store) {}

  Status Load();
  Status Declare(const QueueDeclaration& queue);
  Status Drop(std::string_view name);
  /// In order of importance.
  std::vector<QueueDeclaration> List() const;
  /// The same as they are now; null when there are none.
  std::shared_ptr<const ResolvedQueues> Resolve();

 private:
  using ByName = std::map<std::string, QueueDeclaration, std::less<>>;
  static Status Check(const Store& store, const QueueDeclaration& queue);
  static std::vector<QueueDeclaration> InOrder(const ByName& declared);

  Store& store_;
  std::mutex changing_;       // one change at a time; taken before the store's locks
  mutable std::mutex mutex_;  // a leaf: nothing is called under it
  ByName declared_;           // guarded by mutex_, as is the rest
  uint64_t changes_ = 0;
  std::shared_ptr<const ResolvedQueues> resolved_;
  uint64_t resolved_changes_ = 0;  // as of this many changes
  uint64_t resolved_version_ = 0;  // and this version of the store's entities; zero: not known
};

}  // namespace tidemark
