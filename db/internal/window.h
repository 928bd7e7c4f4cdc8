// The window: index entries newer than the last fold, in memory. A stack of layers, of which only
// the newest changes; a view keeps the frozen ones it saw.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "db/entity.h"
#include "db/internal/index_entry.h"

namespace tidemark::internal {

/// Hash of a record's key within a store.
uint64_t KeyHash(EntityNumber entity, std::string_view id);

/// One hash table of entries. Changes only until it is frozen; from then on thread-safe.
class Layer {
 public:
  struct Node {
    EntityNumber entity = 0;
    uint32_t id_begin = 0;
    uint16_t id_size = 0;
    IndexEntry entry;
  };

  const IndexEntry* Find(EntityNumber entity, std::string_view id, uint64_t hash) const;
  void Set(EntityNumber entity, std::string_view id, uint64_t hash, IndexEntry entry);

  size_t size() const { return nodes_.size(); }
  const Node& node(size_t index) const { return nodes_[index]; }
  std::string_view id(const Node& node) const {
    return std::string_view(ids_).substr(node.id_begin, node.id_size);
  }
  /// Positions of the nodes in order of (entity, id). Requires: frozen.
  const std::vector<uint32_t>& Sorted() const;

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t node = 0;  // position + 1; 0 is empty
  };
  size_t Probe(EntityNumber entity, std::string_view id, uint64_t hash) const;
  void Grow();

  std::vector<Slot> slots_;
  std::vector<Node> nodes_;
  std::string ids_;
  mutable std::once_flag sort_once_;
  mutable std::vector<uint32_t> sorted_;
};

/// Newest first.
using LayerStack = std::vector<std::shared_ptr<const Layer>>;

/// Guarded by the store's state mutex.
class Window {
 public:
  Window() : active_(std::make_shared<Layer>()) {}

  /// The newest entry of the id, or nullptr when the window has none.
  const IndexEntry* Find(EntityNumber entity, std::string_view id, uint64_t hash) const;
  void Set(EntityNumber entity, std::string_view id, uint64_t hash, IndexEntry entry) {
    active_->Set(entity, id, hash, std::move(entry));
  }
  /// Freezes the newest layer and returns all of them.
  LayerStack Freeze();
  /// Freezes, and marks what there is as being folded.
  LayerStack BeginFold();
  /// What `BeginFold` returned is in the index now.
  void EndFold();
  /// What `BeginFold` returned is not in the index; a later fold takes it again.
  void AbortFold() { folding_ = 0; }

  /// Entries, counting an id once for each layer that has it.
  size_t size() const;

 private:
  std::shared_ptr<Layer> active_;
  LayerStack frozen_;   // newest first
  size_t folding_ = 0;  // the oldest ones of frozen_ that a fold is writing
};

}  // namespace tidemark::internal
